//! The durable record of every attempt.
//!
//! An entry is first written to a [`journal`]: an append-only file, one write on the calling thread, so that
//! it survives the death of the process before the attempt's first byte goes out. A thread moves entries from
//! there into a [`LedgerStore`](tollgate_policy::ledger::LedgerStore), where reports read them. When the
//! store fails, entries wait; when the disk fails, new attempts are refused.
//!
//! How an attempt may change is decided in `policy::ledger`, prices and limits are not decided here.

mod codec;
mod commits;
mod config;
mod dead;
mod disk;
mod health;
mod journal;
mod ledger;
mod recovery;
pub mod report;
mod segment;
mod ship;
pub mod verify;
mod waiting;

pub use commits::Durable;
pub use config::{Config, Durability};
pub use dead::{DeadLetter, dead_letters};
pub use disk::{Disk, DiskFile, RealDisk};
pub use health::{Alarms, Health, Refusal};
pub use ledger::{Ledger, OpenError, Reprice};
pub use recovery::Recovery;
pub use waiting::waiting;
