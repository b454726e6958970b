//! Errors of the OpenAI family, one table each way (digest section 1, reliability 4.0).

use bytes::Bytes;
use serde::Serialize;
use tollgate_base::{Error, Kind};

use crate::{WireError, errors};

#[derive(Serialize)]
struct Envelope<'a> {
    error: Body<'a>,
}

#[derive(Serialize)]
struct Body<'a> {
    message: &'a str,
    #[serde(rename = "type")]
    kind: &'static str,
    param: Option<&'a str>,
    code: &'a str,
}

pub(crate) fn parse_error(status: u16, retry_after: Option<&str>, body: &[u8]) -> Error {
    errors::parse(status, retry_after, body, kind_of_type)
}

pub(crate) fn render_error(error: &Error) -> WireError {
    let status = match error.kind() {
        // This family knows no 402: an empty account is a quota that is used up.
        Kind::Billing => 429,
        kind => kind.status(),
    };
    WireError {
        status,
        body: envelope(error),
    }
}

/// `data: {"error": …}`, without the `[DONE]` that would call the reply complete.
pub(crate) fn render_stream_error(error: &Error) -> Bytes {
    let mut out = Vec::from(b"data: ");
    out.extend_from_slice(&envelope(error));
    out.extend_from_slice(b"\n\n");
    out.into()
}

fn envelope(error: &Error) -> Bytes {
    let body = Body {
        message: error.message(),
        kind: type_of_kind(error.kind()),
        param: error.param(),
        code: error.code(),
    };
    serde_json::to_vec(&Envelope { error: body })
        .unwrap_or_default()
        .into()
}

fn type_of_kind(kind: Kind) -> &'static str {
    match kind {
        Kind::InvalidRequest
        | Kind::NotFound
        | Kind::MethodNotAllowed
        | Kind::RequestTimeout
        | Kind::Conflict
        | Kind::TooLarge
        | Kind::UriTooLong
        | Kind::UnsupportedMedia
        | Kind::ExpectationFailed
        | Kind::Misdirected
        | Kind::Unprocessable
        | Kind::Precondition
        | Kind::HeadersTooLarge
        | Kind::NotSupported => "invalid_request_error",
        Kind::Authentication => "authentication_error",
        Kind::Permission => "permission_error",
        Kind::Billing => "insufficient_quota",
        Kind::RateLimit | Kind::Quota => "rate_limit_error",
        Kind::Internal => "server_error",
        Kind::Upstream | Kind::UpstreamTimeout => "upstream_error",
        Kind::Overloaded => "overloaded_error",
    }
}

/// What a `type` means when no status says it: in an error inside of a stream.
fn kind_of_type(name: &str) -> Option<Kind> {
    let kind = match name {
        "invalid_request_error" | "BadRequestError" | "invalid_request" => Kind::InvalidRequest,
        "authentication_error" | "AuthenticationError" => Kind::Authentication,
        "permission_error" => Kind::Permission,
        "not_found_error" | "NotFoundError" => Kind::NotFound,
        "rate_limit_error" | "tokens" | "requests" | "rate_limit_exceeded" | "RateLimitError" => {
            Kind::RateLimit
        }
        "overloaded_error" | "unavailable_error" | "service_unavailable" => Kind::Overloaded,
        "not_supported_error" => Kind::NotSupported,
        "timeout_error" | "timeout" => Kind::UpstreamTimeout,
        _ => return None,
    };
    Some(kind)
}
