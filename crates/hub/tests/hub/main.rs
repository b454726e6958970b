//! Pulls from a hub on loopback that misbehaves in every way that a download has to survive.

#![expect(clippy::unwrap_used, reason = "a test may panic, and its helpers too")]

mod faults;
mod models;
mod pulls;
mod refusals;
mod support;
