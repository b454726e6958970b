//! The command line from outside: the real program on a data folder of its own.

#![expect(clippy::unwrap_used, reason = "a test may panic, and its helpers too")]

mod accounts;
mod keys;
mod ledger;
mod local;
mod models;
mod program;
mod sample;
mod tokens;
