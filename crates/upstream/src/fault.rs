//! What went wrong on the way to a provider, and how far the request had got.

use std::io;

use tollgate_base::{Error, Kind};

/// A failed exchange.
#[derive(Debug)]
pub struct Fault {
    /// Names no address: it is shown to callers.
    pub error: Error,
    pub progress: Progress,
}

/// How far a request got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// No byte of it left this machine.
    NotSent,
    /// It may have arrived.
    MaybeSent,
}

impl Fault {
    pub(crate) fn unreachable(cause: &io::Error) -> Self {
        let message = match cause.kind() {
            io::ErrorKind::ConnectionRefused => "The provider refused the connection.",
            io::ErrorKind::TimedOut => "The provider could not be reached in time.",
            io::ErrorKind::PermissionDenied => {
                "The provider's name leads to an address that is not allowed for it; set `allow_private = true` \
                 for this provider if that is meant."
            }
            io::ErrorKind::NotFound => "The provider's name could not be resolved.",
            _ => "The provider could not be reached.",
        };
        Self {
            error: Error::new(Kind::Upstream, "upstream_unreachable", message),
            progress: Progress::NotSent,
        }
    }

    pub(crate) fn tls(reason: &str) -> Self {
        let message = format!("No secure connection to the provider could be made: {reason}.");
        Self {
            error: Error::new(Kind::Upstream, "upstream_tls", message),
            progress: Progress::NotSent,
        }
    }

    pub(crate) fn first_byte_timeout() -> Self {
        Self {
            error: Error::new(
                Kind::UpstreamTimeout,
                "upstream_timeout",
                "The provider did not begin to answer in time.",
            ),
            progress: Progress::MaybeSent,
        }
    }

    /// A connection that broke after the request was handed to it.
    pub(crate) fn broken(cause: &hyper::Error) -> Self {
        let error = if cause.is_parse() || cause.is_parse_status() {
            Error::upstream_invalid("The provider's answer is not proper HTTP.")
        } else {
            Error::new(
                Kind::Upstream,
                "upstream_closed",
                "The provider closed the connection before it answered.",
            )
        };
        Self {
            error,
            progress: Progress::MaybeSent,
        }
    }
}
