//! Requests authorised as a gateway does it, with scripted token endpoints in place of the network. The fetches
//! that each way makes are compared whole; what must stay secret is looked for in every error.

#![expect(
    clippy::disallowed_methods,
    reason = "`json!` writes the scripted answers"
)]
#![expect(clippy::unwrap_used, reason = "a test fails where it unwraps")]

mod aws;
mod azure;
mod faults;
mod google;
mod script;
