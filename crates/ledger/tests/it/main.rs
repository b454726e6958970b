//! The ledger from the outside: what survives which fault.
#![expect(clippy::unwrap_used, reason = "tests say what went wrong by panicking")]
#![expect(clippy::cast_precision_loss, reason = "figures are printed rounded")]

mod crash;
mod disk;
mod figures;
mod files;
mod flow;
mod shipping;
mod support;
mod syncing;
