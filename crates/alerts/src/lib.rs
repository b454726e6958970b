//! What is worth telling somebody, told once, by webhook, Slack or mail.
//!
//! An [`Alert`] is plain data with an id that its crossing alone decides. An [`AlertLog`] remembers which
//! have been fired and what is not delivered yet, across restarts. The [`Dispatcher`] brings them to the
//! [`Channel`]s and tries again until a receiver accepts. [`Pattern`] notices a key that spends several times
//! what it usually does.
//!
//! This crate does not watch anything: budgets, the ledger and the audit log say when they crossed a line.

mod alert;
mod channel;
mod dispatch;
mod journal;
mod log;
mod mail;
mod pattern;
mod smtp;
mod webhook;

#[cfg(test)]
mod tests;

pub use alert::{Alert, BudgetCrossing, Severity};
pub use channel::{Channel, channels};
pub use dispatch::{Alerts, Dispatcher};
pub use journal::FileLog;
pub use log::{AlertLog, MemoryLog, Outcome, Pending};
pub use pattern::{Pattern, Unusual};
