//! The trials: each drives one gateway and says what did not hold.

pub(crate) mod aborts;
pub(crate) mod background;
pub(crate) mod budget;
pub(crate) mod crash;
pub(crate) mod ends;
pub(crate) mod mixed;
pub(crate) mod power;
pub(crate) mod refusals;
