//! The words that every other crate of Tollgate speaks: errors, ids, token usage, secrets and clocks.
//!
//! This crate depends on nothing in the workspace, on no runtime and on no wire format, so that any
//! crate may use it without taking on an edge it should not have. What is decided by a dialect, a
//! provider or a store does not belong here.

mod clock;
mod error;
mod id;
mod secret;
mod usage;

pub use clock::{Clock, ManualClock, SystemClock, UnixMillis};
pub use error::{Error, Kind, Result, quote};
pub use id::{IdSource, base62};
pub use secret::Secret;
pub use usage::{Provenance, Usage};
