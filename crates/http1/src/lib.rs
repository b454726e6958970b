//! The HTTP/1.1 server connection of the edge: strict where requests could be read in two ways, frugal
//! with system calls, buffers and timers.
//!
//! It owns the wire: heads, framing, body transfer, deadlines, the order of answers, the end of the
//! connection. It does not own listening, TLS, routes, limits per route or the shape of an error: those
//! are the [`Service`]'s. Why not a general server: those repair what must be refused here (equal
//! `Content-Length`s are merged, `Content-Length` beside `Transfer-Encoding` is dropped) before a service
//! can see it, and answer malformed heads themselves.

mod alarm;
mod body;
mod chunked;
mod connection;
mod date;
mod fault;
mod head;
mod intake;
mod reply;
mod sending;
mod stop;

use std::{convert::Infallible, fmt, net::SocketAddr, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, Method, Uri};
use tollgate_base::Error;

pub use body::RequestBody;
pub use connection::serve;
pub use sending::CUT;
pub use stop::Stop;

/// What answers requests.
pub trait Service: Send + Sync + 'static {
    /// A body cannot fail on the way out: a fault is said in its own bytes, and a trailer frame with
    /// `connection: close` ends the connection after it.
    type Body: http_body::Body<Data = Bytes, Error = Infallible> + Send + 'static;

    /// Answers one request. The future, and later the body, are dropped as soon as the client is gone.
    /// `connection: close` on the response closes the connection after it.
    fn call(&self, request: Request) -> impl Future<Output = http::Response<Self::Body>> + Send;

    /// The answer to a head that never became a request. `target` is the request target as far as it was
    /// readable. The connection closes after it.
    fn refuse(&self, error: Error, target: Option<&str>) -> http::Response<Self::Body>;
}

/// One request, its head checked, its body still to be read.
pub struct Request {
    pub method: Method,
    /// In origin form; `*` or an authority where the method takes one (`OPTIONS`, `CONNECT`).
    pub uri: Uri,
    pub headers: HeaderMap,
    pub body: RequestBody,
    pub peer: SocketAddr,
}

/// Bounds on what a client may send and how long it may take.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The whole head, request line included.
    pub head_bytes: usize,
    /// Fields in a head; at most 128.
    pub header_count: usize,
    /// One field, its name included.
    pub field_bytes: usize,
    /// The request target.
    pub uri_bytes: usize,
    /// From the first byte of a head to its last.
    pub head_timeout: Duration,
    /// Between exchanges, and before the first.
    pub idle_timeout: Duration,
    /// From the first wait for a body to its last byte.
    pub body_timeout: Duration,
    /// Without the client taking a byte.
    pub write_idle_timeout: Duration,
}

// === impl Settings ===

impl Default for Settings {
    fn default() -> Self {
        Self {
            head_bytes: 32 * 1024,
            header_count: 100,
            field_bytes: 16 * 1024,
            uri_bytes: 8 * 1024,
            head_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_mins(1),
            body_timeout: Duration::from_mins(1),
            write_idle_timeout: Duration::from_mins(1),
        }
    }
}

// === impl Request ===

impl fmt::Debug for Request {
    /// Without headers and query: they hold credentials.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request")
            .field("method", &self.method)
            .field("path", &self.uri.path())
            .field("body", &self.body)
            .field("peer", &self.peer)
            .finish_non_exhaustive()
    }
}
