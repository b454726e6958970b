//! Implementations of the traits that `policy` states: memory and SQLite. One behaviour suite
//! (`tests/suite.rs`) is run against each.
//!
//! Nothing here decides anything: a store keeps what it is given and says honestly when it cannot.

mod memory;
mod migrations;
mod sqlite;

pub use memory::{MemoryLedger, MemoryStore};
pub use sqlite::{OpenError, SqliteLedger, SqliteStore};

/// The refusal of a key whose text another key has.
fn same_digest() -> tollgate_base::Error {
    tollgate_base::Error::new(
        tollgate_base::Kind::Conflict,
        "conflict",
        "Another key has this text already. Make a new one.",
    )
}
