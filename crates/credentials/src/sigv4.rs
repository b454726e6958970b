//! AWS Signature Version 4, for every service but S3 (whose paths follow other rules).
//!
//! A signature covers the method, the path, the query, the headers `host`, `content-type` and `x-amz-*`,
//! and the body's hash. The other headers stay out: a proxy on the way may change them. Presigned
//! addresses and chunk signatures are not here.
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html>

use std::fmt::Write as _;

use aws_lc_rs::{digest, hmac};
use http::{
    HeaderMap, HeaderName, HeaderValue,
    header::{AUTHORIZATION, CONTENT_TYPE},
};
use time::OffsetDateTime;
use tollgate_base::{Result, Secret, UnixMillis};

use crate::{Signed, percent, refusal};

const ALGORITHM: &str = "AWS4-HMAC-SHA256";
const DATE: HeaderName = HeaderName::from_static("x-amz-date");
const TOKEN: HeaderName = HeaderName::from_static("x-amz-security-token");

/// What AWS gives to sign with. The session's token comes with keys that end.
#[derive(Debug)]
pub(crate) struct Keys {
    pub id: String,
    pub secret: Secret,
    pub session: Option<Secret>,
}

/// Where a signature holds.
#[derive(Clone, Debug)]
pub(crate) struct Scope {
    pub region: String,
    pub service: String,
}

/// The canonical form of a request, and the names of the headers in it.
struct Canonical {
    bytes: Vec<u8>,
    signed: String,
}

/// Signs `request` as it will go over the wire: sets `x-amz-date`, `x-amz-security-token` and `Authorization`.
pub(crate) fn sign(keys: &Keys, scope: &Scope, now: UnixMillis, request: Signed<'_>) -> Result<()> {
    let Signed {
        method,
        host,
        target,
        headers,
        body,
    } = request;
    let stamp = stamp(now)?;
    headers.insert(DATE, header(&stamp)?);
    match &keys.session {
        Some(token) => {
            let mut value = header(token.expose())?;
            value.set_sensitive(true);
            headers.insert(TOKEN, value);
        }
        None => drop(headers.remove(TOKEN)),
    }
    let canonical = canonical(
        method.as_str(),
        target.path(),
        target.query().unwrap_or_default(),
        &signed_headers(host, headers),
        &hash(body),
    );
    let mut value = header(&authorization(keys, scope, &stamp, &canonical))?;
    value.set_sensitive(true);
    headers.insert(AUTHORIZATION, value);
    Ok(())
}

fn signed_headers<'a>(host: &'a HeaderValue, headers: &'a HeaderMap) -> Vec<(&'a str, &'a [u8])> {
    let mut out = vec![("host", host.as_bytes())];
    for (name, value) in headers {
        if name == CONTENT_TYPE || name.as_str().starts_with("x-amz-") {
            out.push((name.as_str(), value.as_bytes()));
        }
    }
    out
}

fn canonical(
    method: &str,
    path: &str,
    query: &str,
    headers: &[(&str, &[u8])],
    body_hash: &str,
) -> Canonical {
    // Stable: values of one name keep the order in which they are sent.
    let mut headers = headers.to_vec();
    headers.sort_by_key(|&(name, _)| name);

    let mut bytes = format!(
        "{method}\n{}\n{}\n",
        canonical_path(path),
        canonical_query(query)
    )
    .into_bytes();
    let mut signed = String::new();
    for group in headers.chunk_by(|a, b| a.0 == b.0) {
        let name = group[0].0;
        bytes.extend_from_slice(name.as_bytes());
        for (at, (_, value)) in group.iter().enumerate() {
            bytes.push(if at == 0 { b':' } else { b',' });
            push_trimmed(&mut bytes, value);
        }
        bytes.push(b'\n');
        if !signed.is_empty() {
            signed.push(';');
        }
        signed.push_str(name);
    }
    bytes.extend_from_slice(format!("\n{signed}\n{body_hash}").as_bytes());
    Canonical { bytes, signed }
}

/// The path, its dot segments and empty segments taken out, encoded once more: an escape that stands on
/// the wire (`%3A` in a model's name) is signed as `%253A`.
fn canonical_path(path: &str) -> String {
    let mut segments: Vec<&str> = Vec::new();
    for segment in path.split('/') {
        match segment {
            "" | "." => {}
            ".." => drop(segments.pop()),
            segment => segments.push(segment),
        }
    }
    let mut out = String::with_capacity(path.len() + 8);
    for segment in &segments {
        out.push('/');
        percent::encode_into(&mut out, segment.as_bytes());
    }
    let open = ["/", "/.", "/.."].iter().any(|end| path.ends_with(end));
    if out.is_empty() || open {
        out.push('/');
    }
    out
}

fn canonical_query(query: &str) -> String {
    let encoded = |text: &str| {
        let mut out = String::new();
        percent::encode_into(&mut out, &percent::decode_query(text));
        out
    };
    let mut fields: Vec<(String, String)> = query
        .split('&')
        .filter(|field| !field.is_empty())
        .map(|field| field.split_once('=').unwrap_or((field, "")))
        .map(|(name, value)| (encoded(name), encoded(value)))
        .collect();
    fields.sort();
    let mut out = String::with_capacity(query.len());
    for (name, value) in fields {
        if !out.is_empty() {
            out.push('&');
        }
        out.push_str(&name);
        out.push('=');
        out.push_str(&value);
    }
    out
}

/// Appends `value` without the spaces around it, and with one space for each run of them inside.
fn push_trimmed(out: &mut Vec<u8>, value: &[u8]) {
    let words = value
        .split(u8::is_ascii_whitespace)
        .filter(|word| !word.is_empty());
    for (at, word) in words.enumerate() {
        if at > 0 {
            out.push(b' ');
        }
        out.extend_from_slice(word);
    }
}

/// The value of `Authorization`. `stamp` is the time as [`stamp`] writes it; its first eight digits are the day.
fn authorization(keys: &Keys, scope: &Scope, stamp: &str, canonical: &Canonical) -> String {
    let day = stamp.split('T').next().unwrap_or_default();
    let Scope { region, service } = scope;
    let place = format!("{day}/{region}/{service}/aws4_request");
    let text = format!("{ALGORITHM}\n{stamp}\n{place}\n{}", hash(&canonical.bytes));

    let first = format!("AWS4{}", keys.secret.expose());
    let mut key = hmac_of(first.as_bytes(), day);
    for step in [region, service, "aws4_request", &text] {
        key = hmac_of(key.as_ref(), step);
    }
    format!(
        "{ALGORITHM} Credential={}/{place}, SignedHeaders={}, Signature={}",
        keys.id,
        canonical.signed,
        hex(key.as_ref())
    )
}

/// `20150830T123600Z`
fn stamp(now: UnixMillis) -> Result<String> {
    let time = i64::try_from(now.0 / 1000)
        .ok()
        .and_then(|seconds| OffsetDateTime::from_unix_timestamp(seconds).ok())
        .ok_or_else(|| {
            refusal("The clock cannot be written as a date. Set the machine's clock.")
        })?;
    let (hour, minute, second) = time.to_hms();
    let (year, month, day) = (time.year(), u8::from(time.month()), time.day());
    Ok(format!(
        "{year:04}{month:02}{day:02}T{hour:02}{minute:02}{second:02}Z"
    ))
}

fn header(text: &str) -> Result<HeaderValue> {
    HeaderValue::from_str(text).map_err(|_| {
        refusal("The AWS keys hold a character that cannot be sent. Check key id, region and session token for line breaks.")
    })
}

fn hmac_of(key: &[u8], text: &str) -> hmac::Tag {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text.as_bytes())
}

fn hash(bytes: &[u8]) -> String {
    hex(digest::digest(&digest::SHA256, bytes).as_ref())
}

fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .fold(String::with_capacity(bytes.len() * 2), |mut out, byte| {
            // Writing to a String cannot fail.
            write!(out, "{byte:02x}").unwrap_or_default();
            out
        })
}

#[cfg(test)]
mod tests {
    use http::{Method, Uri};
    use serde::Deserialize;

    use super::*;

    const NOON: UnixMillis = UnixMillis(1_440_938_160_000);

    #[derive(Deserialize)]
    struct Vectors {
        cases: Vec<Vector>,
    }

    #[derive(Deserialize)]
    struct Vector {
        name: String,
        request: String,
        sign_body: bool,
        token: Option<String>,
        canonical: String,
        signature: String,
    }

    fn keys(token: Option<&str>) -> Keys {
        Keys {
            id: "AKIDEXAMPLE".to_owned(),
            secret: Secret::new("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"),
            session: token.map(Secret::new),
        }
    }

    fn scope() -> Scope {
        Scope {
            region: "us-east-1".to_owned(),
            service: "service".to_owned(),
        }
    }

    /// A vector's head as it stands: names in any case, values over several lines.
    fn headers_of(head: &str) -> Vec<(String, String)> {
        let mut headers: Vec<(String, String)> = Vec::new();
        for line in head.lines().skip(1).filter(|line| !line.is_empty()) {
            if line.starts_with(' ') {
                let (_, value) = headers.last_mut().unwrap();
                value.push('\n');
                value.push_str(line);
            } else {
                let (name, value) = line.split_once(':').unwrap();
                headers.push((name.to_ascii_lowercase(), value.to_owned()));
            }
        }
        headers
    }

    #[test]
    fn the_published_vectors_are_signed_as_published() {
        let vectors: Vectors =
            serde_json::from_str(include_str!("../tests/data/sigv4.json")).unwrap();
        assert_eq!(vectors.cases.len(), 31);
        for case in vectors.cases {
            let (head, body) = case
                .request
                .split_once("\n\n")
                .unwrap_or((&case.request, ""));
            let line = head.lines().next().unwrap();
            let (method, rest) = line.split_once(' ').unwrap();
            let target = rest.strip_suffix(" HTTP/1.1").unwrap();
            let (path, query) = target.split_once('?').unwrap_or((target, ""));

            let mut headers = headers_of(head);
            headers.push(("x-amz-date".to_owned(), stamp(NOON).unwrap()));
            if let Some(token) = &case.token {
                headers.push(("x-amz-security-token".to_owned(), token.clone()));
            }
            if case.sign_body {
                headers.push(("x-amz-content-sha256".to_owned(), hash(body.as_bytes())));
            }
            let headers: Vec<(&str, &[u8])> = headers
                .iter()
                .map(|(name, value)| (name.as_str(), value.as_bytes()))
                .collect();
            let canonical = canonical(method, path, query, &headers, &hash(body.as_bytes()));
            assert_eq!(
                String::from_utf8_lossy(&canonical.bytes),
                case.canonical,
                "{}",
                case.name
            );

            let value = authorization(
                &keys(case.token.as_deref()),
                &scope(),
                &stamp(NOON).unwrap(),
                &canonical,
            );
            assert!(
                value.ends_with(&format!("Signature={}", case.signature)),
                "{}: {value}",
                case.name
            );
        }
    }

    #[test]
    fn a_request_gets_its_date_token_and_authorization() {
        let mut headers = HeaderMap::new();
        headers.insert("user-agent", HeaderValue::from_static("not signed"));
        headers.insert("authorization", HeaderValue::from_static("of the caller"));
        headers.insert(
            "x-amz-security-token",
            HeaderValue::from_static("of the caller"),
        );
        sign(
            &keys(None),
            &scope(),
            NOON,
            Signed {
                method: &Method::GET,
                host: &HeaderValue::from_static("example.amazonaws.com"),
                target: &Uri::from_static("/"),
                headers: &mut headers,
                body: b"",
            },
        )
        .unwrap();
        assert_eq!(
            headers["authorization"],
            "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, \
             SignedHeaders=host;x-amz-date, \
             Signature=5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"
        );
        assert!(headers["authorization"].is_sensitive());
        assert_eq!(headers["x-amz-date"], "20150830T123600Z");
        assert!(!headers.contains_key("x-amz-security-token"));

        sign(
            &keys(Some("session")),
            &scope(),
            NOON,
            Signed {
                method: &Method::POST,
                host: &HeaderValue::from_static("example.amazonaws.com"),
                target: &Uri::from_static("/"),
                headers: &mut headers,
                body: b"{}",
            },
        )
        .unwrap();
        assert_eq!(headers["x-amz-security-token"], "session");
        let value = headers["authorization"].to_str().unwrap();
        assert!(
            value.contains("SignedHeaders=host;x-amz-date;x-amz-security-token,"),
            "{value}"
        );
    }

    #[test]
    fn an_escape_on_the_wire_is_escaped_once_more() {
        assert_eq!(
            canonical_path("/model/anthropic.claude-v1%3A0/converse"),
            "/model/anthropic.claude-v1%253A0/converse"
        );
        assert_eq!(
            canonical_path("/model/a:0/converse"),
            "/model/a%3A0/converse"
        );
        assert_eq!(canonical_path("/model/arn%3Aaws%2Fx/.."), "/model/");
    }
}
