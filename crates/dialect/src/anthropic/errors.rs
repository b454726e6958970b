//! Errors of the Messages API, one table each way (digest sections 5.8 and 12, reliability 4.0).

use bytes::Bytes;
use serde::Serialize;
use tollgate_base::{Error, Kind};

use crate::{WireError, errors};

#[derive(Serialize)]
struct Envelope<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    error: Body<'a>,
    #[serde(skip_serializing_if = "str::is_empty")]
    request_id: &'a str,
}

#[derive(Serialize)]
struct Body<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    message: &'a str,
}

pub(crate) fn parse_error(status: u16, retry_after: Option<&str>, body: &[u8]) -> Error {
    errors::parse(status, retry_after, body, kind_of_type)
}

pub(crate) fn render_error(error: &Error, request_id: &str) -> WireError {
    let status = match error.kind() {
        // This dialect's own status for it, which its client libraries know.
        Kind::Overloaded => 529,
        kind => kind.status(),
    };
    WireError {
        status,
        body: envelope(error, request_id),
    }
}

/// `event: error`, without the `message_stop` that would call the reply complete.
pub(crate) fn render_stream_error(error: &Error, request_id: &str) -> Bytes {
    let mut out = Vec::from(b"event: error\ndata: ");
    out.extend_from_slice(&envelope(error, request_id));
    out.extend_from_slice(b"\n\n");
    out.into()
}

fn envelope(error: &Error, request_id: &str) -> Bytes {
    let body = Body {
        kind: type_of_kind(error.kind()),
        message: error.message(),
    };
    serde_json::to_vec(&Envelope {
        kind: "error",
        error: body,
        request_id,
    })
    .unwrap_or_default()
    .into()
}

fn type_of_kind(kind: Kind) -> &'static str {
    match kind {
        Kind::InvalidRequest
        | Kind::MethodNotAllowed
        | Kind::RequestTimeout
        | Kind::UriTooLong
        | Kind::UnsupportedMedia
        | Kind::ExpectationFailed
        | Kind::Misdirected
        | Kind::Unprocessable
        | Kind::Precondition
        | Kind::HeadersTooLarge
        | Kind::NotSupported => "invalid_request_error",
        Kind::Authentication => "authentication_error",
        Kind::Billing => "billing_error",
        Kind::Permission => "permission_error",
        Kind::NotFound => "not_found_error",
        Kind::Conflict => "conflict_error",
        Kind::TooLarge => "request_too_large",
        Kind::RateLimit | Kind::Quota => "rate_limit_error",
        Kind::Internal | Kind::Upstream => "api_error",
        Kind::Overloaded => "overloaded_error",
        Kind::UpstreamTimeout => "timeout_error",
    }
}

/// What a `type` means when no status says it: in an error inside of a stream.
fn kind_of_type(name: &str) -> Option<Kind> {
    let kind = match name {
        "invalid_request_error" => Kind::InvalidRequest,
        "authentication_error" => Kind::Authentication,
        "billing_error" => Kind::Billing,
        "permission_error" => Kind::Permission,
        "not_found_error" => Kind::NotFound,
        "conflict_error" => Kind::Conflict,
        "request_too_large" => Kind::TooLarge,
        "rate_limit_error" => Kind::RateLimit,
        "overloaded_error" => Kind::Overloaded,
        "timeout_error" => Kind::UpstreamTimeout,
        _ => return None,
    };
    Some(kind)
}
