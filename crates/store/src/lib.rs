//! Implementations of the traits that `policy` states: memory and SQLite. One behaviour suite
//! (`tests/suite.rs`) is run against each.
//!
//! Nothing here decides anything: a store keeps what it is given and says honestly when it cannot.

mod memory;
mod migrations;
mod sqlite;

pub use memory::MemoryStore;
pub use sqlite::{OpenError, SqliteStore};
