//! The Anthropic side: what it accepts (`check`, `messages`), how it writes answers (`render`) and errors.

pub(crate) mod check;
pub(crate) mod cloud;
pub(crate) mod errors;
pub(crate) mod messages;
pub(crate) mod render;
