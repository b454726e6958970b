//! Where a provider is: a base URL that was checked as far as text can be checked.
//!
//! Text is not the whole defence: a public name may resolve to a private address, so the part that
//! connects asks [`Reach::of`] again for the address that it is about to use.
//!
//! Parsing rests on `http::Uri` with stricter rules on top. The `url` crate would bring the WHATWG rules
//! and with them IDNA tables, and its leniency (`0177.0.0.1`, backslashes, odd schemes) is what must be
//! refused here.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use http::Uri;

/// The root of a provider's paths: `https://api.example.com/v1`, without a slash at its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BaseUrl {
    text: String,
    tls: bool,
    host: String,
    port: u16,
    reach: Reach,
}

/// How far an address leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// This machine.
    Loopback,
    /// The network around it.
    Private,
    Public,
    /// Nobody's model server: link-local and cloud metadata addresses, multicast, the unspecified address.
    Forbidden,
}

/// What the user allows for a provider beyond `https` to the public network.
#[derive(Clone, Copy, Debug, Default)]
pub struct Allowances {
    /// Private addresses, by `http` also.
    pub private: bool,
    /// `http` to public addresses.
    pub http: bool,
}

/// Why a text is no base URL: what is wrong, and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UrlFault {
    pub message: &'static str,
    pub hint: &'static str,
}

/// Names that lead to the metadata service of a cloud, which gives out the machine's credentials.
const METADATA_NAMES: [&str; 3] = [
    "metadata",
    "metadata.google.internal",
    "instance-data.ec2.internal",
];

/// Metadata services outside the link-local range: Alibaba, Azure's wire server, Oracle.
const METADATA_V4: [Ipv4Addr; 3] = [
    Ipv4Addr::new(100, 100, 100, 200),
    Ipv4Addr::new(168, 63, 129, 16),
    Ipv4Addr::new(192, 0, 0, 192),
];

/// The metadata service of AWS by IPv6.
const METADATA_V6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254);

// === impl BaseUrl ===

impl BaseUrl {
    /// Checks a URL that a user wrote.
    pub fn parse(text: &str, allow: Allowances) -> Result<Self, UrlFault> {
        let url = Self::read(text)?;
        match url.reach {
            Reach::Forbidden => Err(fault(
                "leads to an address that serves no models (link-local, cloud metadata, multicast or unspecified)",
                "name the server's own address",
            )),
            Reach::Private if !allow.private => Err(fault(
                "leads to a private address",
                "if that is meant, set `allow_private = true` for this provider",
            )),
            Reach::Public if !url.tls && !allow.http => Err(fault(
                "would send the key and the prompts in plain text over the public network",
                "use `https://`, or set `allow_http = true` for this provider",
            )),
            Reach::Loopback | Reach::Private | Reach::Public => Ok(url),
        }
    }

    /// The shape alone, wherever it leads.
    fn read(text: &str) -> Result<Self, UrlFault> {
        if text.is_empty() {
            return Err(fault("is empty", "write `https://host/path`"));
        }
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(fault(
                "holds a space, a control character or a letter outside ASCII",
                "write an internationalised host name in its `xn--` form",
            ));
        }
        if text.contains('\\') {
            return Err(fault("holds a backslash", "use `/`"));
        }
        let (tls, rest) = match text.split_once("://") {
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("https") => (true, rest),
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("http") => (false, rest),
            _ => {
                return Err(fault(
                    "is not an `https://` or `http://` URL",
                    "write `https://host/path`",
                ));
            }
        };
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        if authority.contains('@') {
            return Err(fault(
                "holds a user name or a password",
                "put the credential into `api_key_env` or `api_key_file`",
            ));
        }
        if authority.contains('%') {
            return Err(fault(
                "holds a `%` in its host",
                "write the plain host name, without an IPv6 zone",
            ));
        }
        if rest.contains(['?', '#']) {
            return Err(fault(
                "holds a query or a fragment",
                "write the root of the API alone",
            ));
        }
        let uri: Uri = text
            .parse()
            .map_err(|_| fault("is not a valid URL", "write `https://host/path`"))?;
        let host = uri.host().unwrap_or_default().to_ascii_lowercase();
        let reach = reach_of_host(&host)?;
        let port = port_of(authority, &host, tls)?;
        let path = uri.path().trim_end_matches('/');
        if path.split('/').any(|part| part == "." || part == "..") || path.contains("//") {
            return Err(fault(
                "has a path with `.`, `..` or `//`",
                "write the path out",
            ));
        }
        let scheme = if tls { "https" } else { "http" };
        let shown_port = if port == default_port(tls) {
            String::new()
        } else {
            format!(":{port}")
        };
        Ok(Self {
            text: format!("{scheme}://{host}{shown_port}{path}"),
            tls,
            host,
            port,
            reach,
        })
    }

    /// The whole URL, without a slash at its end.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    pub fn is_tls(&self) -> bool {
        self.tls
    }

    /// The host as it stands in the URL: an IPv6 address keeps its brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn reach(&self) -> Reach {
        self.reach
    }

    /// This URL with a path of the catalogue behind it.
    pub fn join(&self, path: &str) -> String {
        format!("{}{path}", self.text)
    }
}

impl fmt::Display for BaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

// === impl Reach ===

impl Reach {
    /// How far an address leads; an IPv4 address inside an IPv6 one counts as itself.
    pub fn of(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(address) => Self::of_v4(address),
            IpAddr::V6(address) => match embedded_v4(address) {
                Some(inner) => Self::of_v4(inner),
                None => Self::of_v6(address),
            },
        }
    }

    fn of_v4(address: Ipv4Addr) -> Self {
        let [a, b, ..] = address.octets();
        if METADATA_V4.contains(&address)
            || address.is_link_local()
            || address.is_multicast()
            || address.is_broadcast()
            || a == 0
            || a >= 240
        {
            Self::Forbidden
        } else if address.is_loopback() {
            Self::Loopback
        } else if address.is_private() || (a == 100 && (64..128).contains(&b)) {
            Self::Private
        } else {
            Self::Public
        }
    }

    fn of_v6(address: Ipv6Addr) -> Self {
        if address == METADATA_V6
            || address.is_unspecified()
            || address.is_multicast()
            || address.is_unicast_link_local()
        {
            Self::Forbidden
        } else if address.is_loopback() {
            Self::Loopback
        } else if address.is_unique_local() {
            Self::Private
        } else {
            Self::Public
        }
    }
}

/// The IPv4 address that a mapped (`::ffff:0:0/96`), translated (`64:ff9b::/96`) or 6to4 (`2002::/16`)
/// address stands for.
fn embedded_v4(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let low = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        Ipv4Addr::new(a, b, c, d)
    };
    match address.segments() {
        [0, 0, 0, 0, 0, 0xffff, g, h] | [0x64, 0xff9b, 0, 0, 0, 0, g, h] => Some(low(g, h)),
        [0x2002, b, c, ..] => Some(low(b, c)),
        // The deprecated "compatible" form, which is not the loopback or the unspecified address.
        [0, 0, 0, 0, 0, 0, g, h] if g != 0 => Some(low(g, h)),
        _ => None,
    }
}

fn reach_of_host(host: &str) -> Result<Reach, UrlFault> {
    if host.is_empty() {
        return Err(fault("has no host", "write `https://host/path`"));
    }
    if host.ends_with('.') {
        return Err(fault("has a dot at the end of its host", "remove the dot"));
    }
    if let Some(inner) = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'))
    {
        return inner
            .parse::<Ipv6Addr>()
            .map(|address| Reach::of(address.into()))
            .map_err(|_| {
                fault(
                    "has an IPv6 address that is not valid",
                    "write `http://[::1]:8000`",
                )
            });
    }
    if let Ok(address) = host.parse::<Ipv4Addr>() {
        return Ok(Reach::of(address.into()));
    }
    let last = host.rsplit('.').next().unwrap_or_default();
    let hex = last.strip_prefix("0x");
    if last.bytes().all(|byte| byte.is_ascii_digit())
        || hex.is_some_and(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()))
    {
        return Err(fault(
            "writes an IP address as one number, in octal, in hexadecimal or in part",
            "write four decimal numbers, such as `127.0.0.1`",
        ));
    }
    if METADATA_NAMES.contains(&host) {
        return Ok(Reach::Forbidden);
    }
    if !host.split('.').all(is_label) {
        return Err(fault(
            "has a host name that is not valid",
            "write a DNS name or an IP address",
        ));
    }
    if host == "localhost" || last == "localhost" {
        return Ok(Reach::Loopback);
    }
    // A name of one label is a neighbour (a container, a host of the same network).
    let near = ["internal", "lan", "local", "home", "corp", "intranet"];
    if !host.contains('.') || near.contains(&last) || host.ends_with(".home.arpa") {
        return Ok(Reach::Private);
    }
    Ok(Reach::Public)
}

fn is_label(label: &str) -> bool {
    !label.is_empty()
        && label.len() <= 63
        && !label.starts_with('-')
        && !label.ends_with('-')
        && label
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
}

fn port_of(authority: &str, host: &str, tls: bool) -> Result<u16, UrlFault> {
    let Some(tail) = authority.get(host.len()..).filter(|tail| !tail.is_empty()) else {
        return Ok(default_port(tls));
    };
    tail.strip_prefix(':')
        .filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()))
        .and_then(|digits| digits.parse().ok())
        .filter(|&port| port != 0)
        .ok_or(fault(
            "has a port that is not valid",
            "write a port from 1 to 65535",
        ))
}

fn default_port(tls: bool) -> u16 {
    if tls { 443 } else { 80 }
}

fn fault(message: &'static str, hint: &'static str) -> UrlFault {
    UrlFault { message, hint }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONE: Allowances = Allowances {
        private: false,
        http: false,
    };
    const PRIVATE: Allowances = Allowances {
        private: true,
        http: false,
    };

    #[test]
    fn good_urls_are_kept_in_one_form() {
        for (text, kept) in [
            ("https://api.example.com/v1/", "https://api.example.com/v1"),
            ("HTTPS://API.Example.com:443", "https://api.example.com"),
            ("http://127.0.0.1:8000/v1", "http://127.0.0.1:8000/v1"),
            ("http://localhost:11434/v1", "http://localhost:11434/v1"),
            ("http://[::1]:8080", "http://[::1]:8080"),
            (
                "https://xn--bcher-kva.example/v1",
                "https://xn--bcher-kva.example/v1",
            ),
            (
                "https://api.example.com:8443/a/b",
                "https://api.example.com:8443/a/b",
            ),
        ] {
            assert_eq!(BaseUrl::parse(text, NONE).unwrap().as_str(), kept, "{text}");
        }
    }

    #[test]
    fn every_disguise_is_refused() {
        for text in [
            "",
            "api.example.com",
            "file:///etc/passwd",
            "ftp://example.com",
            "https://",
            "https:///v1",
            "http://api.example.com/v1",
            "https://user:secret@api.example.com/v1",
            "https://user@api.example.com/v1",
            "https://api.example.com\\@evil.example/v1",
            "https://api.example.com./v1",
            "https://[fe80::1%25eth0]/v1",
            "http://2130706433/v1",
            "http://0177.0.0.1/v1",
            "http://0x7f.0.0.1/v1",
            "http://0x7f000001/v1",
            "http://127.1/v1",
            "https://[::ffff:169.254.169.254]/v1",
            "https://[64:ff9b::a9fe:a9fe]/v1",
            "https://[2002:a9fe:a9fe::1]/v1",
            "https://[::169.254.169.254]/v1",
            "https://169.254.169.254/latest/meta-data",
            "https://metadata.google.internal/v1",
            "https://100.100.100.200/v1",
            "https://[fd00:ec2::254]/v1",
            "https://0.0.0.0/v1",
            "https://[::]/v1",
            "https://224.0.0.1/v1",
            "https://аpi.example.com/v1",
            "https://api.example.com/v1?key=1",
            "https://api.example.com/v1#x",
            "https://api.example.com/../v1",
            "https://api.example.com:0/v1",
            "https://api.example.com:70000/v1",
            "https://api.example.com:80a/v1",
            "https://api..example.com/v1",
            "https://10.0.0.1/v1",
            "http://vllm:8000/v1",
            "https://[fd12::1]/v1",
            "https://[::ffff:10.0.0.1]/v1",
            " https://api.example.com",
        ] {
            assert!(BaseUrl::parse(text, NONE).is_err(), "{text}");
        }
    }

    #[test]
    fn private_addresses_and_plain_text_need_leave() {
        for text in [
            "http://10.0.0.1:8000/v1",
            "http://vllm:8000/v1",
            "http://192.168.1.9",
            "http://gpu.local",
        ] {
            assert!(BaseUrl::parse(text, PRIVATE).is_ok(), "{text}");
        }
        let everything = Allowances {
            private: true,
            http: true,
        };
        assert!(BaseUrl::parse("http://api.example.com", everything).is_ok());
        assert!(BaseUrl::parse("http://api.example.com", PRIVATE).is_err());
        for never in [
            "http://169.254.169.254",
            "http://[::ffff:a9fe:a9fe]",
            "http://0.0.0.0:8000",
        ] {
            assert!(BaseUrl::parse(never, everything).is_err(), "{never}");
        }
    }

    #[test]
    fn paths_join_without_a_double_slash() {
        let url = BaseUrl::parse("https://api.example.com/v1/", NONE).unwrap();
        assert_eq!(
            url.join("/chat/completions"),
            "https://api.example.com/v1/chat/completions"
        );
        assert_eq!(
            (url.host(), url.port(), url.is_tls()),
            ("api.example.com", 443, true)
        );
    }
}
