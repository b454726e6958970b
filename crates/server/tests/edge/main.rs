//! The whole service over real sockets, between a raw client and the scripted providers.
#![expect(clippy::unwrap_used, reason = "tests say what went wrong by panicking")]

mod asks;
mod background;
mod credentials;
mod dialects;
mod kept;
mod ledger;
mod limits;
mod local;
mod memory;
mod operations;
mod policies;
mod requests;
mod streams;
mod support;
mod upstream;
