//! What went wrong on the way to a provider, and how far the request had got.

use std::io;

use tollgate_base::{Error, Kind};

use crate::exchange::Broken;

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

    /// An exchange that broke on a connection of its own.
    pub(crate) fn broken(cause: Broken) -> Self {
        let (kind, code, message) = match cause {
            Broken::Unused => {
                return Self::unreachable(&io::ErrorKind::ConnectionReset.into());
            }
            Broken::Closed => (
                Kind::Upstream,
                "upstream_closed",
                "The provider closed the connection before it answered.",
            ),
            Broken::TooSlow => (
                Kind::UpstreamTimeout,
                "upstream_timeout",
                "The provider did not begin to answer in time.",
            ),
            Broken::Improper => {
                return Self::maybe_sent(Error::upstream_invalid(
                    "The provider's answer is not proper HTTP.",
                ));
            }
            Broken::Body(error) => return Self::maybe_sent(error),
        };
        Self::maybe_sent(Error::new(kind, code, message))
    }

    fn maybe_sent(error: Error) -> Self {
        Self {
            error,
            progress: Progress::MaybeSent,
        }
    }
}
