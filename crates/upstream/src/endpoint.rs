//! Where a provider is.

use std::{fmt, net::IpAddr, sync::Arc};

/// Says whether an address may be dialled. It is asked for the address itself, after name resolution, so
/// that a name cannot lead to a place its owner did not mean.
pub type AddressGuard = fn(IpAddr) -> bool;

/// A provider's address. Cheap to clone; two endpoints are the same place when host, port and TLS are.
#[derive(Clone)]
pub struct Endpoint(Arc<Inner>);

struct Inner {
    host: String,
    port: u16,
    tls: bool,
    authority: http::HeaderValue,
    guard: AddressGuard,
}

impl Endpoint {
    /// `None` when `host` cannot stand in a `Host` header.
    pub fn new(host: &str, port: u16, tls: bool, guard: AddressGuard) -> Option<Self> {
        let bracketed = host.contains(':') && !host.starts_with('[');
        let shown = if bracketed {
            format!("[{host}]")
        } else {
            host.to_owned()
        };
        let is_default_port = port == if tls { 443 } else { 80 };
        let authority = if is_default_port {
            shown
        } else {
            format!("{shown}:{port}")
        };
        Some(Self(Arc::new(Inner {
            host: host.trim_matches(['[', ']']).to_owned(),
            port,
            tls,
            authority: http::HeaderValue::try_from(authority).ok()?,
            guard,
        })))
    }

    pub fn host(&self) -> &str {
        &self.0.host
    }

    pub fn port(&self) -> u16 {
        self.0.port
    }

    pub fn is_tls(&self) -> bool {
        self.0.tls
    }

    /// The `Host` header.
    pub fn authority(&self) -> &http::HeaderValue {
        &self.0.authority
    }

    pub(crate) fn allows(&self, address: IpAddr) -> bool {
        (self.0.guard)(address)
    }

    pub(crate) fn is_same_place(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
            || (self.0.port == other.0.port
                && self.0.tls == other.0.tls
                && self.0.host == other.0.host)
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.0.tls { "https" } else { "http" };
        write!(f, "{scheme}://{}:{}", self.0.host, self.0.port)
    }
}
