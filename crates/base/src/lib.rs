//! The words that every other crate of Tollgate speaks: errors, ids, money, token usage, secrets
//! and clocks.
//!
//! This crate depends on nothing in the workspace, on no runtime and on no wire format, so that any
//! crate may use it without taking on an edge it should not have. What is decided by a dialect, a
//! provider or a store does not belong here.

mod clock;
mod crash;
mod error;
mod id;
mod money;
mod secret;
mod usage;

pub use clock::{Clock, ManualClock, Moment, SystemClock, UnixMillis};
pub use crash::crash_point;
pub use error::{Error, Kind, Result, quote};
pub use id::{IdSource, base62};
pub use money::{Money, Rate};
pub use secret::Secret;
pub use usage::{Provenance, Region, ServiceTier, Usage};
