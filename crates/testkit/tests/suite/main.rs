//! The testkit's own tests: one binary, so that they link once and share the raw client.
#![expect(
    clippy::disallowed_methods,
    reason = "the json! macro expands to serde_json::to_value"
)]

mod bills;
mod client;
mod clouds;
mod faults;
mod gemini;
mod operations;
mod oracle;
mod responses;
mod shapes;
