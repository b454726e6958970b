//! The heads of an exchange: what a request says of itself, and what an answer says of its body.
//!
//! An answer that two readers could end at different places is refused as a whole, and its connection with it:
//! what came behind it could be taken for the answer to somebody else. [RFC 9112](https://www.rfc-editor.org/rfc/rfc9112)

use std::mem::MaybeUninit;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header};

/// The longest head of an answer, in bytes.
pub(crate) const LONGEST: usize = 64 * 1024;
/// More header fields than any provider sends.
const MOST_FIELDS: usize = 200;

/// Bytes that are no answer, or none that can be told apart from the next one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Improper;

/// The head of an answer.
#[derive(Debug)]
pub(crate) struct Head {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) framing: Framing,
    /// The connection can be used again when the body has been read.
    pub(crate) keeps: bool,
}

/// Where the body of an answer ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    /// Also where there is no body: a length of 0.
    Length(u64),
    Chunked,
    /// With the connection.
    Close,
}

/// How the length of a request's body is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Announced {
    Length(u64),
    Chunked,
}

// === requests ===

/// Writes the head of a request. What frames the message is said here alone, whatever `headers` say of it.
pub(crate) fn render(
    method: &Method,
    target: &Uri,
    (authority, headers): (&HeaderValue, &HeaderMap),
    announced: Announced,
) -> Vec<u8> {
    let target = target
        .path_and_query()
        .map_or("/", |target| target.as_str());
    let mut out = Vec::with_capacity(160 + target.len() + 64 * headers.len());
    for part in [method.as_str(), " ", target, " HTTP/1.1\r\n"] {
        out.extend_from_slice(part.as_bytes());
    }
    push_field(&mut out, &header::HOST, authority);
    for (name, value) in headers {
        if !FRAMING.contains(name) {
            push_field(&mut out, name, value);
        }
    }
    match announced {
        Announced::Length(0) if !takes_a_body(method) => {}
        Announced::Length(length) => {
            out.extend_from_slice(b"content-length: ");
            out.extend_from_slice(itoa::Buffer::new().format(length).as_bytes());
            out.extend_from_slice(b"\r\n");
        }
        Announced::Chunked => out.extend_from_slice(b"transfer-encoding: chunked\r\n"),
    }
    out.extend_from_slice(b"\r\n");
    out
}

const FRAMING: [HeaderName; 5] = [
    header::HOST,
    header::CONTENT_LENGTH,
    header::TRANSFER_ENCODING,
    header::CONNECTION,
    header::UPGRADE,
];

fn push_field(out: &mut Vec<u8>, name: &HeaderName, value: &HeaderValue) {
    out.extend_from_slice(name.as_str().as_bytes());
    out.extend_from_slice(b": ");
    out.extend_from_slice(value.as_bytes());
    out.extend_from_slice(b"\r\n");
}

/// Whether a length of 0 means something.
fn takes_a_body(method: &Method) -> bool {
    matches!(*method, Method::POST | Method::PUT | Method::PATCH)
}

// === answers ===

/// Takes the head of an answer to `method` off the front of what came, as soon as it is whole.
pub(crate) fn take(inbox: &mut BytesMut, method: &Method) -> Result<Option<Head>, Improper> {
    let mut space = [MaybeUninit::<httparse::Header<'_>>::uninit(); MOST_FIELDS];
    let mut parsed = httparse::Response::new(&mut []);
    let status = httparse::ParserConfig::default()
        .parse_response_with_uninit_headers(&mut parsed, inbox, &mut space)
        .map_err(|_| Improper)?;
    let length = match status {
        httparse::Status::Complete(length) if length <= LONGEST => length,
        httparse::Status::Partial if inbox.len() < LONGEST => return Ok(None),
        _ => return Err(Improper),
    };
    let code = parsed.code.ok_or(Improper)?;
    let is_http10 = parsed.version == Some(0);
    // The values are slices of the head's own bytes: found by where they stand, taken when those are apart.
    let base = inbox.as_ptr().addr();
    let place = |part: &[u8]| {
        let start = part.as_ptr().addr() - base;
        start..start + part.len()
    };
    let fields: Vec<_> = parsed
        .headers
        .iter()
        .map(|field| {
            (
                HeaderName::from_bytes(field.name.as_bytes()),
                place(field.value),
            )
        })
        .collect();
    let text = inbox.split_to(length).freeze();
    let mut headers = HeaderMap::with_capacity(fields.len());
    for (name, place) in fields {
        let value = HeaderValue::from_maybe_shared(text.slice(place)).map_err(|_| Improper)?;
        headers.append(name.map_err(|_| Improper)?, value);
    }
    let status = StatusCode::from_u16(code).map_err(|_| Improper)?;
    let framing = framing(&headers, method, status, is_http10)?;
    Ok(Some(Head {
        keeps: !is_http10 && framing != Framing::Close && !says_close(&headers),
        status,
        headers,
        framing,
    }))
}

fn framing(
    headers: &HeaderMap,
    method: &Method,
    status: StatusCode,
    is_http10: bool,
) -> Result<Framing, Improper> {
    let length = only(headers, &header::CONTENT_LENGTH)?;
    let coding = only(headers, &header::TRANSFER_ENCODING)?;
    let said = match (length, coding) {
        (Some(length), None) => Framing::Length(decimal(length.as_bytes())?),
        (None, Some(coding)) if is_chunked(coding) && !is_http10 => Framing::Chunked,
        (Some(_) | None, Some(_)) => return Err(Improper),
        (None, None) => Framing::Close,
    };
    let is_bodiless = status.is_informational()
        || [StatusCode::NO_CONTENT, StatusCode::NOT_MODIFIED].contains(&status)
        || *method == Method::HEAD;
    Ok(if is_bodiless {
        Framing::Length(0)
    } else {
        said
    })
}

/// A field that may not be said twice, not even in the same words.
fn only<'h>(
    headers: &'h HeaderMap,
    name: &HeaderName,
) -> Result<Option<&'h HeaderValue>, Improper> {
    let mut values = headers.get_all(name).iter();
    let first = values.next();
    match values.next() {
        None => Ok(first),
        Some(_) => Err(Improper),
    }
}

fn is_chunked(coding: &HeaderValue) -> bool {
    coding.as_bytes().eq_ignore_ascii_case(b"chunked")
}

fn decimal(value: &[u8]) -> Result<u64, Improper> {
    let text = std::str::from_utf8(value).map_err(|_| Improper)?;
    // 19 digits always fit.
    let is_number = (1..=19).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    if !is_number {
        return Err(Improper);
    }
    text.parse().map_err(|_| Improper)
}

fn says_close(headers: &HeaderMap) -> bool {
    headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|option| option.trim().eq_ignore_ascii_case("close"))
}

/// The bytes of a size line of the chunked coding.
pub(crate) fn chunk_line(length: usize) -> Bytes {
    Bytes::from(format!("{length:x}\r\n"))
}

#[cfg(test)]
mod tests {
    use proptest::{prelude::*, sample::Index};

    use super::*;
    use crate::chunked::tests::parts;

    /// Reads an answer that comes in two parts: its head, and what is left behind it.
    fn in_two(first: &[u8], second: &[u8]) -> Result<(Option<String>, BytesMut), Improper> {
        let mut inbox = BytesMut::from(first);
        let mut head = take(&mut inbox, &Method::POST)?;
        inbox.extend_from_slice(second);
        if head.is_none() {
            head = take(&mut inbox, &Method::POST)?;
        }
        Ok((head.map(|head| format!("{head:?}")), inbox))
    }

    const PARTS: &[&str] = &[
        "HTTP/1.1 200 OK\r\n",
        "HTTP/1.0 204 \r\n",
        "content-length: 5\r\n",
        "Content-Length: 07\r\n",
        "transfer-encoding: chunked\r\n",
        "connection: close\r\n",
        "a: b\r\n",
        "a:\r\n",
        "\r\n",
        "\n",
        "\r",
        " c\r\n",
        ":",
    ];

    proptest! {
        #[test]
        fn whatever_comes_is_read_the_same_however_it_is_cut(
            is_answer in any::<bool>(),
            rest in parts(PARTS),
            cut in any::<Index>(),
        ) {
            let start: &[u8] = if is_answer { b"HTTP/1.1 200 OK\r\n" } else { b"" };
            let text = [start, &rest].concat();
            let (first, second) = text.split_at(cut.index(text.len() + 1));
            prop_assert_eq!(in_two(first, second), in_two(&text, b""));
        }
    }

    fn read(text: &str) -> Result<Option<Head>, Improper> {
        take(&mut BytesMut::from(text), &Method::POST)
    }

    fn framing_of(fields: &str) -> Result<(Framing, bool), Improper> {
        let head = read(&format!("HTTP/1.1 200 OK\r\n{fields}\r\n"))?.unwrap();
        Ok((head.framing, head.keeps))
    }

    #[test]
    fn a_head_is_taken_when_it_is_whole_and_what_follows_stays() {
        let text = "HTTP/1.1 201 Created\r\nContent-Length: 2\r\nX-Id: a b\r\n\r\nhi";
        for cut in 0..text.len() - 2 {
            let mut inbox = BytesMut::from(&text[..cut]);
            assert!(take(&mut inbox, &Method::POST).unwrap().is_none(), "{cut}");
            assert_eq!(inbox.len(), cut);
        }
        let mut inbox = BytesMut::from(text);
        let head = take(&mut inbox, &Method::POST).unwrap().unwrap();
        assert_eq!((head.status.as_u16(), &inbox[..]), (201, &b"hi"[..]));
        assert_eq!(head.headers["x-id"], "a b");
        assert_eq!((head.framing, head.keeps), (Framing::Length(2), true));
    }

    #[test]
    fn the_end_of_a_body_is_said_in_one_way_or_not_at_all() {
        let length = "content-length: 5\r\n";
        assert_eq!(framing_of(length), Ok((Framing::Length(5), true)));
        let chunked = "transfer-encoding: Chunked\r\n";
        assert_eq!(framing_of(chunked), Ok((Framing::Chunked, true)));
        assert_eq!(framing_of(""), Ok((Framing::Close, false)));
        let closing = "content-length: 5\r\nconnection: x, Close\r\n";
        assert_eq!(framing_of(closing), Ok((Framing::Length(5), false)));
        for fields in [
            "content-length: 5\r\ncontent-length: 5\r\n",
            "content-length: 5, 5\r\n",
            "content-length: +5\r\n",
            "content-length: -1\r\n",
            "content-length: 0x5\r\n",
            "content-length: \r\n",
            "content-length: 99999999999999999999\r\n",
            "content-length: 5\r\ntransfer-encoding: chunked\r\n",
            "transfer-encoding: gzip, chunked\r\n",
            "transfer-encoding: identity\r\n",
            "transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n",
        ] {
            assert_eq!(framing_of(fields), Err(Improper), "{fields}");
        }
        let old = "HTTP/1.0 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
        assert!(read(old).is_err());
    }

    #[test]
    fn some_answers_have_no_body_whatever_they_say() {
        for text in [
            "HTTP/1.1 204 No Content\r\n\r\n",
            "HTTP/1.1 304 Not Modified\r\ncontent-length: 5\r\n\r\n",
            "HTTP/1.1 100 Continue\r\n\r\n",
        ] {
            let head = read(text).unwrap().unwrap();
            assert_eq!(head.framing, Framing::Length(0), "{text}");
        }
        let mut inbox = BytesMut::from("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n");
        let head = take(&mut inbox, &Method::HEAD).unwrap().unwrap();
        assert_eq!(head.framing, Framing::Length(0));
    }

    #[test]
    fn an_older_server_is_read_to_its_end_and_not_used_again() {
        let head = read("HTTP/1.0 200 OK\r\ncontent-length: 5\r\n\r\n")
            .unwrap()
            .unwrap();
        assert_eq!((head.framing, head.keeps), (Framing::Length(5), false));
    }

    #[test]
    fn what_is_no_answer_is_refused() {
        let many = format!(
            "HTTP/1.1 200 OK\r\n{}\r\n",
            "a: b\r\n".repeat(MOST_FIELDS + 1)
        );
        let long = format!("HTTP/1.1 200 OK\r\na: {}", "x".repeat(LONGEST));
        let longer = format!("{long}\r\n\r\n");
        for text in [
            "SSH-2.0-x\r\n",
            "HTTP/2 200\r\n\r\n",
            "HTTP/1.1 2000 OK\r\n\r\n",
            "HTTP/1.1 200 OK\r\na b: c\r\n\r\n",
            "HTTP/1.1 200 OK\r\na: b\r\n c\r\n\r\n",
            "HTTP/1.1 200 OK\r\na: \0\r\n\r\n",
            &many,
            &long,
            &longer,
        ] {
            assert!(read(text).is_err(), "{text:.40}");
        }
    }

    #[test]
    fn a_request_frames_itself_whatever_its_headers_say() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("x-one", "1"),
            ("content-length", "7"),
            ("transfer-encoding", "chunked"),
            ("connection", "close"),
            ("host", "elsewhere"),
        ] {
            headers.append(name, HeaderValue::from_static(value));
        }
        let authority = HeaderValue::from_static("here:1");
        let target = Uri::from_static("/v1/x?y=z");
        let written = |method, announced| {
            let head = render(&method, &target, (&authority, &headers), announced);
            String::from_utf8(head).unwrap()
        };
        assert_eq!(
            written(Method::POST, Announced::Length(0)),
            "POST /v1/x?y=z HTTP/1.1\r\nhost: here:1\r\nx-one: 1\r\ncontent-length: 0\r\n\r\n"
        );
        assert_eq!(
            written(Method::GET, Announced::Length(0)),
            "GET /v1/x?y=z HTTP/1.1\r\nhost: here:1\r\nx-one: 1\r\n\r\n"
        );
        assert!(
            written(Method::PUT, Announced::Chunked)
                .ends_with("transfer-encoding: chunked\r\n\r\n")
        );
    }
}
