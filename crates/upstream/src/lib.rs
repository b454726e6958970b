//! Connections to providers: where they are, how they are reached and kept, and what it means when that fails.
//!
//! HTTP/1.1 over TCP or TLS, one [`Client`] for each serving thread, so that a connection is used by the
//! thread that opened it and nothing is locked across threads. The call that makes a request writes and reads it
//! itself: no task of a connection's own stands in between, and no channel. What could be read in two ways is refused, and
//! its connection with it. Redirects are never followed, proxies of the
//! environment are not read, nothing is decompressed. This crate knows no dialect, retries nothing that may
//! have been sent, and makes no decision about what a failure means for the call.

mod body;
mod chunked;
mod client;
mod connect;
mod connection;
mod endpoint;
mod exchange;
mod fault;
mod head;
mod pool;
mod tls;

pub use body::{Pieces, ReplyBody, RequestBody};
pub use client::{Client, Timeouts};
pub use connect::dial;
pub use endpoint::{AddressGuard, Endpoint};
pub use fault::{Fault, Progress};
pub use tls::connector as tls_connector;
