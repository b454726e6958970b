//! From bytes to a request head: finding its end, parsing it once, and deciding its framing.
//!
//! `httparse` reads the grammar. Around it stands what it leaves open: line ends (it takes a bare LF),
//! limits, the rules of framing, and which fields may not be sent twice or named by `Connection`. A head
//! that breaks a rule is refused as a whole; nothing is repaired.
//! [RFC 9112](https://www.rfc-editor.org/rfc/rfc9112)

use std::{mem::MaybeUninit, ops::Range};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri, header};
use tollgate_base::{Error, Result, quote};

use crate::{Settings, fault};

/// More than [`Settings::header_count`] can ask for is not read.
pub(crate) const MOST_HEADERS: usize = 128;
/// The longest registered method has 17 bytes.
const METHOD_BYTES: usize = 32;
/// What a request line holds beside method and target: two spaces, `HTTP/1.1`.
const LINE_REST: usize = METHOD_BYTES + 10;
/// Clients of old send a line end after a body; more than two are junk.
const MOST_EMPTY_LINES: usize = 2;

/// A body up to this size shares the allocation of its head.
const SHARED_BODY: usize = 1024;

/// Fields that decide who asks for what. `Connection` may not make a proxy drop them on the way.
const NEVER_HOP_BY_HOP: [&str; 10] = [
    "authorization",
    "x-api-key",
    "api-key",
    "x-goog-api-key",
    "cookie",
    "host",
    "content-length",
    "transfer-encoding",
    "content-type",
    "content-encoding",
];

type Raw<'a> = [httparse::Header<'a>];

/// A head that can be answered.
#[derive(Debug)]
pub(crate) struct Head {
    pub(crate) method: Method,
    pub(crate) uri: Uri,
    pub(crate) headers: HeaderMap,
    pub(crate) is_http10: bool,
    pub(crate) keep_alive: bool,
    pub(crate) expects_continue: bool,
    pub(crate) framing: Framing,
    /// What came with the head: the whole body if `framing` says so and it all fits, else its beginning.
    pub(crate) body: Bytes,
    /// How many bytes of the input the head and `body` took.
    pub(crate) n_used: usize,
}

/// Where the body ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    /// Also when there is no body: a length of 0.
    Length(u64),
    Chunked,
}

/// The search for the end of the head. It looks at each byte once, however the head is cut into reads.
#[derive(Debug, Default)]
pub(crate) struct Scan {
    /// Where the request line begins.
    start: usize,
    /// Where the line being read begins.
    line: usize,
    /// The first byte not looked at.
    at: usize,
    n_lines: usize,
    n_empty: usize,
    /// The beginning was parsed once, so that what is not HTTP at all is refused before a line ends.
    tried: bool,
}

// === impl Scan ===

impl Scan {
    /// The extent of the head in `data`, once it is whole. `data` is all that came so far.
    pub(crate) fn find(
        &mut self,
        data: &[u8],
        settings: &Settings,
    ) -> Result<Option<Range<usize>>> {
        let had_line = self.n_lines > 0;
        for newline in memchr::memchr_iter(b'\n', &data[self.at..]) {
            let newline = self.at + newline;
            let line = &data[self.line..newline];
            let Some(line) = line.strip_suffix(b"\r") else {
                return Err(fault::framing(
                    "A line of the request head ends in a bare LF.",
                ));
            };
            self.line = newline + 1;
            if !line.is_empty() {
                self.n_lines += 1;
                self.check_line(line.len(), data, settings)?;
            } else if self.n_lines > 0 {
                return self
                    .check_head(self.line, settings)
                    .map(|()| Some(self.start..self.line));
            } else {
                self.n_empty += 1;
                self.start = self.line;
                if self.n_empty > MOST_EMPTY_LINES {
                    return Err(fault::framing("Empty lines stand where a request should."));
                }
            }
        }
        self.at = data.len();
        let tail = data.len() - self.line;
        if tail > 0 {
            self.n_lines += 1;
            self.check_line(tail - usize::from(data.ends_with(b"\r")), data, settings)?;
            self.n_lines -= 1;
        }
        self.check_head(data.len(), settings)?;
        let begun = &data[self.start..];
        if !matches!(begun, [] | [b'\r']) && (!self.tried || (self.n_lines > 0 && !had_line)) {
            self.tried = true;
            check_beginning(begun)?;
        }
        Ok(None)
    }

    /// Limits on the line with number `n_lines`, finished or not.
    fn check_line(&self, len: usize, data: &[u8], settings: &Settings) -> Result<()> {
        if self.n_lines == 1 {
            let line = &data[self.start..];
            let method = &line[..line.len().min(METHOD_BYTES + 1)];
            if len > METHOD_BYTES && !method.contains(&b' ') {
                return Err(fault::framing(
                    "The request line does not begin with a method.",
                ));
            }
            if len > settings.uri_bytes + LINE_REST {
                return Err(fault::target_too_long(settings.uri_bytes));
            }
            return Ok(());
        }
        if len > settings.field_bytes {
            let limit = settings.field_bytes;
            return Err(fault::head_too_large(format!(
                "A header field exceeds {limit} bytes."
            )));
        }
        let limit = settings.header_count.min(MOST_HEADERS);
        if self.n_lines - 1 > limit {
            return Err(fault::head_too_large(format!(
                "There are more than {limit} header fields."
            )));
        }
        Ok(())
    }

    fn check_head(&self, end: usize, settings: &Settings) -> Result<()> {
        let limit = settings.head_bytes;
        if end - self.start > limit {
            return Err(fault::head_too_large(format!(
                "The request head exceeds {limit} bytes."
            )));
        }
        Ok(())
    }
}

/// The request target as far as it can be read, for the answer to a head that is no request.
pub(crate) fn readable_target(data: &[u8]) -> Option<&str> {
    let line = data
        .trim_ascii_start()
        .split(|&b| matches!(b, b'\r' | b'\n'))
        .next()?;
    let target = line.split(|&b| b == b' ').nth(1)?;
    let target = std::str::from_utf8(target).ok()?;
    (target.starts_with('/') && !target.contains(|c: char| c.is_control())).then_some(target)
}

/// Parses the head at `extent` of `data`, and takes what of its body has come.
pub(crate) fn parse(data: &[u8], extent: Range<usize>, settings: &Settings) -> Result<Head> {
    let mut space = [MaybeUninit::<httparse::Header<'_>>::uninit(); MOST_HEADERS];
    let mut parsed = httparse::Request::new(&mut []);
    let text = &data[extent.clone()];
    parsed
        .parse_with_uninit_headers(text, &mut space)
        .map_err(syntax)?;
    let (Some(method), Some(target), Some(version)) = (parsed.method, parsed.path, parsed.version)
    else {
        return Err(fault::framing("The request head is incomplete."));
    };
    if target.len() > settings.uri_bytes {
        return Err(fault::target_too_long(settings.uri_bytes));
    }
    let raw = &*parsed.headers;
    let is_http10 = version == 0;

    let framing = framing(raw, text, is_http10)?;
    let n_body = match framing {
        Framing::Length(length) => {
            let available = data.len() - extent.end;
            usize::try_from(length).map_or(available, |length| length.min(available))
        }
        // How much of it is body is the decoder's to say.
        Framing::Chunked => 0,
    };
    // One allocation holds a small request; every value is a slice of it. A body of some size gets its own,
    // so that who keeps the one does not keep the other.
    let n_used = extent.end + n_body;
    let is_small = n_body <= SHARED_BODY;
    let whole =
        Bytes::copy_from_slice(&data[extent.start..if is_small { n_used } else { extent.end }]);
    let body = if is_small {
        whole.slice(extent.len()..)
    } else {
        Bytes::copy_from_slice(&data[extent.end..n_used])
    };
    let slice = |part: &[u8]| whole.slice(offset(text, part)..offset(text, part) + part.len());

    let uri = uri(method, target, raw, &slice)?;
    let method = Method::from_bytes(method.as_bytes())
        .map_err(|_| fault::framing("The request line does not begin with a method."))?;
    let mut headers = HeaderMap::with_capacity(raw.len());
    for field in raw {
        let name = HeaderName::from_bytes(field.name.as_bytes())
            .map_err(|_| fault::header("A header field has no proper name."))?;
        let value = HeaderValue::from_maybe_shared(slice(field.value))
            .map_err(|_| fault::header(format!("The value of `{name}` holds a control byte.")))?;
        headers.append(name, value);
    }

    let keep_alive = check_connection(&headers, is_http10)?;
    check_host(&headers, is_http10)?;
    if headers.contains_key(header::UPGRADE) && framing != Framing::Length(0) {
        return Err(fault::framing(
            "A request with a body cannot ask for an upgrade.",
        ));
    }
    Ok(Head {
        expects_continue: expects_continue(&headers, is_http10)? && framing != Framing::Length(0),
        method,
        uri,
        headers,
        is_http10,
        keep_alive,
        framing,
        body,
        n_used,
    })
}

/// Refuses what cannot become a request, from its first bytes.
fn check_beginning(data: &[u8]) -> Result<()> {
    let mut space = [MaybeUninit::<httparse::Header<'_>>::uninit(); MOST_HEADERS];
    let mut parsed = httparse::Request::new(&mut []);
    parsed
        .parse_with_uninit_headers(data, &mut space)
        .map(|_| ())
        .map_err(syntax)
}

fn syntax(error: httparse::Error) -> Error {
    match error {
        httparse::Error::HeaderName => {
            fault::header("A header field is malformed: `Name: value` on one line is expected.")
        }
        httparse::Error::HeaderValue => fault::header("A header value holds a control byte."),
        httparse::Error::Version => fault::framing("Only HTTP/1.1 and HTTP/1.0 are spoken here."),
        httparse::Error::TooManyHeaders => {
            fault::head_too_large("There are too many header fields.")
        }
        httparse::Error::Token | httparse::Error::NewLine | httparse::Error::Status => {
            fault::framing("This is not an HTTP/1.1 request line.")
        }
    }
}

/// Where `part`, a slice of `text`, begins in it.
fn offset(text: &[u8], part: &[u8]) -> usize {
    part.as_ptr().addr() - text.as_ptr().addr()
}

/// Decides where the body ends, or refuses: two readers must not be able to disagree about it.
fn framing(raw: &Raw<'_>, text: &[u8], is_http10: bool) -> Result<Framing> {
    let (mut length, mut coding) = (None, None);
    for field in raw {
        // Looked at by length first: most fields are neither.
        let slot = match field.name.len() {
            14 if field.name.eq_ignore_ascii_case("content-length") => &mut length,
            17 if field.name.eq_ignore_ascii_case("transfer-encoding") => &mut coding,
            _ => continue,
        };
        if slot.replace(field.value).is_some() {
            return Err(fault::framing(format!("`{}` is sent twice.", field.name)));
        }
        // The parser trims, but another reader may not: no space may follow these values.
        if text.get(offset(text, field.value) + field.value.len()) != Some(&b'\r') {
            return Err(fault::framing(format!(
                "A space follows the value of `{}`.",
                field.name
            )));
        }
    }
    match (length, coding) {
        (None, None) => Ok(Framing::Length(0)),
        (Some(value), None) => content_length(value).map(Framing::Length),
        (Some(_), Some(_)) => Err(fault::framing(
            "`Content-Length` and `Transfer-Encoding` are sent together. Send one of them.",
        )),
        (None, Some(_)) if is_http10 => Err(fault::framing(
            "`Transfer-Encoding` does not exist in HTTP/1.0.",
        )),
        (None, Some(value)) if value.eq_ignore_ascii_case(b"chunked") => Ok(Framing::Chunked),
        (None, Some(value)) => Err(unread_coding(value)),
    }
}

fn content_length(value: &[u8]) -> Result<u64> {
    let digits = std::str::from_utf8(value).ok().filter(|text| {
        // 19 digits always fit.
        (1..=19).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit())
    });
    digits
        .and_then(|digits| digits.parse().ok())
        .ok_or_else(|| fault::framing("`Content-Length` is not a decimal number of bytes."))
}

fn unread_coding(value: &[u8]) -> Error {
    let codings = || value.split(|&b| b == b',').map(<[u8]>::trim_ascii);
    let n_chunked = codings()
        .filter(|coding| coding.eq_ignore_ascii_case(b"chunked"))
        .count();
    let are_tokens = codings().all(|coding| {
        !coding.is_empty()
            && coding
                .iter()
                .all(|b| b.is_ascii_alphanumeric() || *b == b'-')
    });
    if are_tokens && n_chunked < 2 {
        fault::transfer_coding()
    } else {
        fault::framing("`Transfer-Encoding` must be `chunked`, once.")
    }
}

/// The target in origin form. `*` and the authority of `CONNECT` pass: the method decides about them.
fn uri(method: &str, target: &str, raw: &Raw<'_>, slice: &impl Fn(&[u8]) -> Bytes) -> Result<Uri> {
    let is_origin = target.starts_with('/');
    if !is_origin && target != "*" && method != "CONNECT" {
        return Err(absolute(target, raw));
    }
    if !target.is_ascii() || target.contains('#') {
        return Err(fault::target(
            "The request target holds a fragment or bytes beyond ASCII.",
        ));
    }
    Uri::from_maybe_shared(slice(target.as_bytes())).map_err(|_| {
        fault::target(format!(
            "The request target {} is malformed.",
            quote(target)
        ))
    })
}

/// A target that names a host is for proxies. It is never followed, whichever host it names.
fn absolute(target: &str, raw: &Raw<'_>) -> Error {
    let Some((_, rest)) = target.split_once("://") else {
        return fault::target("The request target does not begin with `/`.");
    };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let is_ours = raw.iter().any(|field| {
        field.name.eq_ignore_ascii_case("host")
            && field.value.eq_ignore_ascii_case(authority.as_bytes())
    });
    if is_ours {
        fault::target("The request target names a host. Send the path only.")
    } else {
        fault::misdirected()
    }
}

/// Whether the connection lasts beyond this request.
fn check_connection(headers: &HeaderMap, is_http10: bool) -> Result<bool> {
    let (mut close, mut keep_alive) = (false, false);
    for value in headers.get_all(header::CONNECTION) {
        for option in value
            .as_bytes()
            .split(|&b| b == b',')
            .map(<[u8]>::trim_ascii)
        {
            close |= option.eq_ignore_ascii_case(b"close");
            keep_alive |= option.eq_ignore_ascii_case(b"keep-alive");
            if let Some(name) = NEVER_HOP_BY_HOP
                .iter()
                .find(|name| option.eq_ignore_ascii_case(name.as_bytes()))
            {
                return Err(fault::header(format!(
                    "`Connection` must not name `{name}`."
                )));
            }
        }
    }
    Ok(!close && (keep_alive || !is_http10))
}

fn check_host(headers: &HeaderMap, is_http10: bool) -> Result<()> {
    let mut hosts = headers.get_all(header::HOST).iter();
    match (hosts.next(), hosts.next()) {
        (None, _) if is_http10 => Ok(()),
        (None, _) => Err(fault::header("`Host` is missing.")),
        (Some(_), Some(_)) => Err(fault::header("`Host` is sent twice.")),
        (Some(host), None) if is_host(host.as_bytes()) => Ok(()),
        (Some(_), None) => Err(fault::header("`Host` is not `name` or `name:port`.")),
    }
}

/// `name`, `1.2.3.4` or `[v6]`, each with an optional port.
fn is_host(host: &[u8]) -> bool {
    let (name, port) = if host.starts_with(b"[") {
        let Some(end) = host.iter().position(|&b| b == b']') else {
            return false;
        };
        let inside = &host[1..end];
        if inside.is_empty()
            || !inside
                .iter()
                .all(|b| b.is_ascii_hexdigit() || b":.".contains(b))
        {
            return false;
        }
        (&host[..=end], &host[end + 1..])
    } else {
        let end = host.iter().position(|&b| b == b':').unwrap_or(host.len());
        if !host[..end]
            .iter()
            .all(|b| b.is_ascii_alphanumeric() || b"-._~%".contains(b))
        {
            return false;
        }
        (&host[..end], &host[end..])
    };
    let port_fits = match port {
        [] => true,
        [b':', digits @ ..] => {
            digits.len() <= 5
                && digits.iter().all(u8::is_ascii_digit)
                && std::str::from_utf8(digits).is_ok_and(|digits| digits.parse::<u16>().is_ok())
        }
        _ => false,
    };
    !name.is_empty() && port_fits
}

fn expects_continue(headers: &HeaderMap, is_http10: bool) -> Result<bool> {
    let mut expected = headers.get_all(header::EXPECT).iter();
    match (expected.next(), expected.next()) {
        (None, _) => Ok(false),
        // HTTP/1.0 knows no expectations: the field means nothing there.
        _ if is_http10 => Ok(false),
        (Some(value), None) if value.as_bytes().eq_ignore_ascii_case(b"100-continue") => Ok(true),
        _ => Err(fault::expectation()),
    }
}
