//! The admin API over real sockets, on stores in a folder.
#![expect(clippy::unwrap_used, reason = "tests say what went wrong by panicking")]
#![expect(
    clippy::disallowed_methods,
    reason = "bodies are written as values, by a macro that goes through them"
)]

mod changes;
mod keys;
mod matrix;
mod money;
mod requests;
mod rules;
mod support;
