//! The part of OAuth 2.0 that token endpoints share: a form goes out, an access token comes back.
//! Nothing of an answer is repeated in an error but its status and codes from a fixed list, since
//! answers may hold what was sent. <https://www.rfc-editor.org/rfc/rfc6749#section-5>

use bytes::Bytes;
use http::{
    HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri, header::CONTENT_TYPE,
};
use serde::{Deserialize, de::DeserializeOwned};
use tollgate_base::{Result, UnixMillis};

use crate::{Fetch, percent, refusal, token::Token};

/// The error codes that OAuth and Google's token endpoint define; others are not repeated.
const CODES: [&str; 9] = [
    "invalid_request",
    "invalid_client",
    "invalid_grant",
    "unauthorized_client",
    "unsupported_grant_type",
    "invalid_scope",
    "access_denied",
    "admin_policy_enforced",
    "temporarily_unavailable",
];

/// Who is asked, for messages: `Google's token endpoint`; and what to look at when it refuses.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Peer {
    pub name: &'static str,
    pub advice: &'static str,
}

#[derive(Deserialize)]
struct Granted {
    access_token: String,
    expires_in: Seconds,
}

/// Entra's endpoints write seconds as a number, its machine endpoint as text.
#[derive(Deserialize)]
#[serde(untagged)]
enum Seconds {
    Number(u64),
    Text(String),
}

#[derive(Deserialize)]
struct Refused {
    error: Option<String>,
    #[serde(default)]
    error_codes: Vec<u64>,
}

/// Posts a form and reads the access token out of the answer.
pub(crate) async fn post_form(
    fetch: &impl Fetch,
    now: UnixMillis,
    peer: Peer,
    url: &str,
    fields: &[(&str, &str)],
) -> Result<Token<HeaderValue>> {
    let body = Bytes::from(percent::form(fields));
    let mut request = request(Method::POST, body);
    let form = HeaderValue::from_static("application/x-www-form-urlencoded");
    request.headers_mut().insert(CONTENT_TYPE, form);
    let answer = send(fetch, peer, url, request).await?;
    bearer(now, peer, &answer)
}

/// Asks a metadata server, which wants one header as a sign that no browser was tricked into asking.
pub(crate) async fn get(
    fetch: &impl Fetch,
    now: UnixMillis,
    peer: Peer,
    url: &str,
    sign: (HeaderName, &'static str),
) -> Result<Token<HeaderValue>> {
    let mut request = request(Method::GET, Bytes::new());
    request
        .headers_mut()
        .insert(sign.0, HeaderValue::from_static(sign.1));
    let answer = send(fetch, peer, url, request).await?;
    bearer(now, peer, &answer)
}

pub(crate) fn request(method: Method, body: Bytes) -> Request<Bytes> {
    let mut request = Request::new(body);
    *request.method_mut() = method;
    request
}

/// Sends a request; whatever is not a 200 becomes an error.
pub(crate) async fn send(
    fetch: &impl Fetch,
    peer: Peer,
    url: &str,
    request: Request<Bytes>,
) -> Result<Bytes> {
    let Peer { name, advice } = peer;
    let answer = fetch.fetch(url, request).await.map_err(|error| {
        refusal(format!(
            "No credentials from {name}: {} {advice}",
            error.message()
        ))
    })?;
    if answer.status() == StatusCode::OK {
        return Ok(answer.into_body());
    }
    Err(refusal(format!(
        "{name} refused with status {}. {advice}",
        reason(&answer)
    )))
}

/// Reads JSON whose content must not appear in an error.
pub(crate) fn parse<T: DeserializeOwned>(peer: Peer, answer: &[u8]) -> Result<T> {
    serde_json::from_slice(answer).map_err(|_| unreadable(peer))
}

pub(crate) fn unreadable(Peer { name, advice }: Peer) -> tollgate_base::Error {
    refusal(format!(
        "The answer of {name} holds no credentials. {advice}"
    ))
}

/// `https`, or `http` to this very machine: what is sent to a token endpoint must not be readable on the way.
pub(crate) fn is_safe(url: &str) -> bool {
    let Ok(uri) = url.parse::<Uri>() else {
        return false;
    };
    match (uri.scheme_str(), uri.host()) {
        (Some("https"), Some(_)) => true,
        (Some("http"), Some(host)) => is_loopback(host),
        _ => false,
    }
}

pub(crate) fn is_loopback(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost"
        || address
            .parse()
            .is_ok_and(|ip: std::net::IpAddr| ip.is_loopback())
}

fn bearer(now: UnixMillis, peer: Peer, answer: &[u8]) -> Result<Token<HeaderValue>> {
    let granted: Granted = parse(peer, answer)?;
    let seconds = match granted.expires_in {
        Seconds::Number(seconds) => seconds,
        Seconds::Text(text) => text.parse().map_err(|_| unreadable(peer))?,
    };
    let mut value = HeaderValue::from_str(&format!("Bearer {}", granted.access_token))
        .map_err(|_| unreadable(peer))?;
    value.set_sensitive(true);
    let expires = UnixMillis(now.0.saturating_add(seconds.saturating_mul(1000)));
    Ok(Token { value, expires })
}

/// `401 (invalid_client, AADSTS7000215)`
fn reason(answer: &Response<Bytes>) -> String {
    let status = answer.status().as_u16();
    let Ok(refused) = serde_json::from_slice::<Refused>(answer.body()) else {
        return status.to_string();
    };
    let known = |code: String| CODES.into_iter().find(|&known| known == code);
    let mut words: Vec<String> = refused
        .error
        .and_then(known)
        .map(str::to_owned)
        .into_iter()
        .collect();
    words.extend(
        refused
            .error_codes
            .first()
            .map(|code| format!("AADSTS{code}")),
    );
    if words.is_empty() {
        return status.to_string();
    }
    format!("{status} ({})", words.join(", "))
}
