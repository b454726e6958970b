//! Errors of Google's APIs, one table each way (digest sections 6.5 and 12): a `google.rpc.Status` whose
//! details say what to wait for and which field is wrong.

use std::time::Duration;

use bytes::Bytes;
use serde::Deserialize;
use tollgate_base::{Error, Kind};

use crate::{
    WireError, errors,
    json::{Object, Text},
};

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Envelope<'a> {
    #[serde(borrow)]
    error: Body<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Body<'a> {
    #[serde(borrow)]
    status: Text<'a>,
    #[serde(borrow)]
    details: Vec<Detail<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Detail<'a> {
    #[serde(borrow)]
    reason: Text<'a>,
    #[serde(borrow)]
    retry_delay: Text<'a>,
    #[serde(borrow)]
    violations: Vec<Violation<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Violation<'a> {
    #[serde(borrow)]
    quota_id: Text<'a>,
}

/// Errors may come in a list of one: where a stream is a list, and for some failures of the front end.
fn read(body: &[u8]) -> Body<'_> {
    let one = |body| serde_json::from_slice::<Envelope<'_>>(body).ok();
    let first = |body| {
        let list = serde_json::from_slice::<Vec<Envelope<'_>>>(body).ok()?;
        list.into_iter().next()
    };
    // The list first: a struct may be read from a list of its fields, too.
    first(body)
        .or_else(|| one(body))
        .map(|envelope| envelope.error)
        .unwrap_or_default()
}

pub(crate) fn parse_error(status: u16, retry_after: Option<&str>, body: &[u8]) -> Error {
    let said = read(body);
    let reasons = || said.details.iter().filter_map(|d| d.reason.filled());
    // The vendor's answer to a wrong key, and to an account that may not use the service, is a plain 400.
    let is_about_key =
        reasons().any(|reason| reason.starts_with("API_KEY_") || reason == "ACCESS_TOKEN_EXPIRED");
    let status = match said.status.as_deref() {
        _ if is_about_key => 401,
        Some("FAILED_PRECONDITION") if matches!(status, 200 | 400) => 403,
        _ => status,
    };
    let error = errors::parse(status, retry_after, body, kind_of_status_name);
    let delay = said.details.iter().find_map(|d| d.retry_delay.filled());
    let delay = delay.and_then(|text| errors::parse_seconds(text.strip_suffix('s')?));
    let error = match delay {
        Some(wait) if error.retry_after().is_none() => error.with_retry_after(wait),
        _ => error,
    };
    let is_daily = said
        .details
        .iter()
        .flat_map(|detail| &detail.violations)
        .any(|violation| {
            violation
                .quota_id
                .filled()
                .is_some_and(|id| id.contains("PerDay"))
        });
    if is_daily && error.kind() == Kind::RateLimit {
        let wait = error.retry_after();
        let quota = Error::new(Kind::Quota, "insufficient_quota", error.message());
        let quota = quota.with_should_retry(false);
        return match wait {
            Some(wait) => quota.with_retry_after(wait),
            None => quota,
        };
    }
    error
}

/// What a `status` means when no HTTP status says it: in an error inside of a stream.
fn kind_of_status_name(name: &str) -> Option<Kind> {
    let kind = match name {
        "INVALID_ARGUMENT" | "OUT_OF_RANGE" => Kind::InvalidRequest,
        "UNAUTHENTICATED" => Kind::Authentication,
        "PERMISSION_DENIED" | "FAILED_PRECONDITION" => Kind::Permission,
        "NOT_FOUND" => Kind::NotFound,
        "ABORTED" | "ALREADY_EXISTS" => Kind::Conflict,
        "RESOURCE_EXHAUSTED" => Kind::RateLimit,
        "UNIMPLEMENTED" => Kind::NotSupported,
        "UNAVAILABLE" => Kind::Overloaded,
        "DEADLINE_EXCEEDED" => Kind::UpstreamTimeout,
        _ => return None,
    };
    Some(kind)
}

fn status_name(kind: Kind) -> &'static str {
    match kind {
        Kind::InvalidRequest
        | Kind::MethodNotAllowed
        | Kind::TooLarge
        | Kind::UriTooLong
        | Kind::UnsupportedMedia
        | Kind::ExpectationFailed
        | Kind::Misdirected
        | Kind::Unprocessable
        | Kind::Precondition
        | Kind::HeadersTooLarge => "INVALID_ARGUMENT",
        Kind::Authentication => "UNAUTHENTICATED",
        Kind::Billing | Kind::RateLimit | Kind::Quota => "RESOURCE_EXHAUSTED",
        Kind::Permission => "PERMISSION_DENIED",
        Kind::NotFound => "NOT_FOUND",
        Kind::Conflict => "ABORTED",
        Kind::Internal => "INTERNAL",
        Kind::NotSupported => "UNIMPLEMENTED",
        Kind::Upstream | Kind::Overloaded => "UNAVAILABLE",
        Kind::RequestTimeout | Kind::UpstreamTimeout => "DEADLINE_EXCEEDED",
    }
}

pub(crate) fn render_error(error: &Error) -> WireError {
    WireError {
        status: error.kind().status(),
        body: envelope(error).into(),
    }
}

/// An event like any other; its clients look for `error` in each.
pub(crate) fn render_stream_error(error: &Error) -> Bytes {
    let mut out = Vec::from(b"data: ");
    out.extend_from_slice(&envelope(error));
    out.extend_from_slice(b"\r\n\r\n");
    out.into()
}

fn envelope(error: &Error) -> Vec<u8> {
    let mut out = Vec::with_capacity(256);
    {
        let mut outer = Object::new(&mut out);
        let mut body = outer.object("error");
        body.put("code", &error.kind().status());
        body.put("message", error.message());
        body.put("status", status_name(error.kind()));
        let mut details = body.list("details");
        {
            let mut info = details.object();
            info.put("@type", "type.googleapis.com/google.rpc.ErrorInfo");
            info.put("reason", &error.code().to_ascii_uppercase());
            info.put("domain", "tollgate");
        }
        if let Some(param) = error.param() {
            let mut bad = details.object();
            bad.put("@type", "type.googleapis.com/google.rpc.BadRequest");
            let mut violations = bad.list("fieldViolations");
            let mut violation = violations.object();
            violation.put("field", param);
            violation.put("description", error.message());
        }
        if let Some(wait) = error.retry_after() {
            let mut retry = details.object();
            retry.put("@type", "type.googleapis.com/google.rpc.RetryInfo");
            retry.put("retryDelay", &duration(wait));
        }
    }
    out
}

/// `1.500s`, as JSON writes a `google.protobuf.Duration`.
fn duration(wait: Duration) -> String {
    match wait.subsec_millis() {
        0 => format!("{}s", wait.as_secs()),
        millis => format!("{}.{millis:03}s", wait.as_secs()),
    }
}
