//! URLs: where a hub is, where it redirects to, and whether two of them are one origin.

use std::fmt;

use http::Uri;
use tollgate_base::{Error, Result, quote};
use tollgate_upstream::Endpoint;

/// The address of something that is fetched over HTTP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    is_tls: bool,
    host: String,
    port: u16,
    /// Path and query, from its slash on.
    target: String,
}

// === impl Address ===

impl Address {
    /// Reads `https://host[:port][/path][?query]`, or the same with `http`.
    pub fn parse(text: &str) -> Result<Self> {
        let wrong = |why: &str| {
            let message = format!(
                "{} is no usable URL: {why}. Write it as https://host/path.",
                quote(text)
            );
            Error::invalid_value("url", message)
        };
        let uri: Uri = text.parse().map_err(|_| wrong("it cannot be read"))?;
        let is_tls = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err(wrong("it is neither https nor http")),
        };
        let authority = uri.authority().ok_or_else(|| wrong("it has no host"))?;
        if authority.as_str().contains('@') {
            return Err(wrong("a user name or password in it is not taken"));
        }
        let host = authority
            .host()
            .trim_matches(['[', ']'])
            .to_ascii_lowercase();
        if host.is_empty() {
            return Err(wrong("it has no host"));
        }
        Ok(Self {
            is_tls,
            host,
            port: authority
                .port_u16()
                .unwrap_or(if is_tls { 443 } else { 80 }),
            target: uri
                .path_and_query()
                .map_or_else(|| "/".to_owned(), ToString::to_string),
        })
    }

    /// Where a `Location` header leads from here.
    pub(crate) fn join(&self, location: &str) -> Result<Self> {
        if location.contains("://") {
            return Self::parse(location);
        }
        if let Some(rest) = location.strip_prefix("//") {
            let scheme = if self.is_tls { "https" } else { "http" };
            return Self::parse(&format!("{scheme}://{rest}"));
        }
        let target = if location.starts_with('/') {
            location.to_owned()
        } else {
            let folder = self
                .path()
                .rsplit_once('/')
                .map_or("", |(folder, _)| folder);
            format!("{folder}/{location}")
        };
        Self::parse(&format!("{}{target}", self.origin()))
    }

    /// This address with `tail` behind its path.
    pub(crate) fn below(&self, tail: &str) -> Result<Self> {
        let target = format!("{}{tail}", self.path().trim_end_matches('/'));
        Self::parse(&format!("{}{target}", self.origin()))
    }

    /// Scheme, host and port, as a browser compares them.
    pub fn origin(&self) -> String {
        let scheme = if self.is_tls { "https" } else { "http" };
        let host = if self.host.contains(':') {
            format!("[{}]", self.host)
        } else {
            self.host.clone()
        };
        let default = if self.is_tls { 443 } else { 80 };
        if self.port == default {
            format!("{scheme}://{host}")
        } else {
            format!("{scheme}://{host}:{}", self.port)
        }
    }

    pub(crate) fn is_same_origin(&self, other: &Self) -> bool {
        (self.is_tls, &self.host, self.port) == (other.is_tls, &other.host, other.port)
    }

    pub(crate) fn is_tls(&self) -> bool {
        self.is_tls
    }

    /// Whether it is this machine, by an address or by the one name that always means it.
    pub(crate) fn is_loopback(&self) -> bool {
        self.host == "localhost"
            || self
                .host
                .parse::<std::net::IpAddr>()
                .is_ok_and(|address| address.is_loopback())
    }

    pub(crate) fn host(&self) -> &str {
        &self.host
    }

    pub(crate) fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or("/")
    }

    /// What a request line names.
    pub(crate) fn target(&self) -> Option<Uri> {
        self.target.parse().ok()
    }

    /// Every address may be dialled: the one who runs the command chose the hub, and a redirect carries no token away.
    pub(crate) fn endpoint(&self) -> Option<Endpoint> {
        Endpoint::new(&self.host, self.port, self.is_tls, |_| true)
    }
}

/// Without the query, which may be a signature that lets anybody in.
impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.origin(), self.path())
    }
}

#[cfg(test)]
mod tests {
    use super::Address;

    #[test]
    fn a_location_leads_where_a_browser_would_go() {
        let from = Address::parse("https://hub.example/a/b?x=1").unwrap();
        for (location, to) in [
            (
                "https://cdn.example:444/f?sig=1",
                "https://cdn.example:444/f",
            ),
            ("//cdn.example/f", "https://cdn.example/f"),
            (
                "/api/resolve-cache/f",
                "https://hub.example/api/resolve-cache/f",
            ),
            ("c", "https://hub.example/a/c"),
        ] {
            assert_eq!(from.join(location).unwrap().to_string(), to);
        }
        assert!(from.join("ftp://x/y").is_err());
        assert!(from.join("https://user:pw@x/y").is_err());
    }

    #[test]
    fn another_port_or_scheme_is_another_origin() {
        let of = |text| Address::parse(text).unwrap();
        let hub = of("https://hub.example/x");
        assert!(hub.is_same_origin(&of("https://HUB.example:443/y")));
        for other in [
            "http://hub.example/x",
            "https://hub.example:8443/x",
            "https://evil-hub.example/x",
            "https://hub.example.evil/x",
        ] {
            assert!(!hub.is_same_origin(&of(other)), "{other}");
        }
    }
}
