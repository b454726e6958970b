//! Pure decisions: what a key is and whether it may pass, whether a call fits its limits and budgets, whether a
//! failed attempt is tried again and when.
//!
//! Nothing here does IO, reads a clock or knows a wire format; time and randomness come in as arguments.
//! The traits that stores implement stand here, beside the decisions that need them.

pub mod account;
pub mod admission;
pub mod audit;
pub mod key;
pub mod ledger;
pub mod objects;
pub mod retry;
pub mod rules;
pub mod scope;
