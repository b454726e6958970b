//! Answers and their headers: the same on every route, so that no route forgets one.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};
use tollgate_base::{Error, Kind};
use tollgate_dialect::{Dialect, Family, Loss, LossKind, render_error};
use tollgate_policy::ledger::Cost;

use crate::Body;

const JSON: HeaderValue = HeaderValue::from_static("application/json; charset=utf-8");
const EVENT_STREAM: HeaderValue = HeaderValue::from_static("text/event-stream; charset=utf-8");
const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");
const NO_TRANSFORM: HeaderValue = HeaderValue::from_static("no-cache, no-transform");
const NOSNIFF: HeaderValue = HeaderValue::from_static("nosniff");

const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// The id that a provider is told of an attempt.
pub(crate) const X_CLIENT_REQUEST_ID: HeaderName = HeaderName::from_static("x-client-request-id");
const MISTRAL_ID: HeaderName = HeaderName::from_static("mistral-correlation-id");
const REQUEST_ID: HeaderName = HeaderName::from_static("request-id");
const X_SHOULD_RETRY: HeaderName = HeaderName::from_static("x-should-retry");
const X_ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");
const LOSS: HeaderName = HeaderName::from_static("x-tollgate-loss");
const TARGET: HeaderName = HeaderName::from_static("x-tollgate-target");
const COST: HeaderName = HeaderName::from_static("x-tollgate-cost-usd");
const UPSTREAM_REQUEST_ID: HeaderName = HeaderName::from_static("x-upstream-request-id");

/// The error as the caller's dialect shows it, with its headers.
pub fn error_response(dialect: Dialect, error: &Error, request_id: &str) -> Response<Body> {
    let wire = render_error(dialect, error, request_id);
    let mut response = Response::new(Body::Whole(wire.body));
    *response.status_mut() =
        StatusCode::from_u16(wire.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, JSON);
    headers.insert(header::CACHE_CONTROL, NO_STORE);
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, NOSNIFF);
    insert_request_id(headers, dialect, request_id);
    if let Some(wait) = error.retry_after() {
        headers.insert(
            header::RETRY_AFTER,
            HeaderValue::from(whole_seconds_up(wait)),
        );
    }
    if let Some(retry) = error.should_retry() {
        headers.insert(
            X_SHOULD_RETRY,
            HeaderValue::from_static(if retry { "true" } else { "false" }),
        );
    }
    if error.kind() == Kind::Authentication {
        headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    if error.closes() {
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// A whole answer.
pub(crate) fn json_response(dialect: Dialect, body: Bytes, request_id: &str) -> Response<Body> {
    let mut response = Response::new(Body::Whole(body));
    let headers = response.headers_mut();
    headers.reserve(8);
    headers.insert(header::CONTENT_TYPE, JSON);
    headers.insert(header::CACHE_CONTROL, NO_STORE);
    insert_request_id(headers, dialect, request_id);
    response
}

/// A stream of events.
pub(crate) fn stream_response(
    dialect: Dialect,
    body: Body,
    as_array: bool,
    request_id: &str,
) -> Response<Body> {
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.reserve(8);
    headers.insert(
        header::CONTENT_TYPE,
        if as_array { JSON } else { EVENT_STREAM },
    );
    headers.insert(header::CACHE_CONTROL, NO_TRANSFORM);
    headers.insert(X_ACCEL_BUFFERING, HeaderValue::from_static("no"));
    insert_request_id(headers, dialect, request_id);
    response
}

/// Adds what the caller may want to know of how the answer came to be.
pub(crate) fn insert_provenance(
    headers: &mut HeaderMap,
    target: &str,
    upstream_request_id: Option<HeaderValue>,
    losses: &[Loss],
) {
    if let Ok(value) = HeaderValue::try_from(target) {
        headers.insert(TARGET, value);
    }
    if let Some(id) = upstream_request_id {
        headers.insert(UPSTREAM_REQUEST_ID, id);
    }
    if !losses.is_empty()
        && let Ok(value) = HeaderValue::try_from(loss_report(losses))
    {
        headers.insert(LOSS, value);
    }
}

/// What a whole answer cost, in dollars; nothing where that is not known, which is not the same as zero.
pub(crate) fn insert_cost(headers: &mut HeaderMap, cost: Option<Cost>) {
    if let Some(Cost::Known(cost)) = cost
        && let Ok(value) = HeaderValue::try_from(cost.to_decimal())
    {
        headers.insert(COST, value);
    }
}

/// The provider's own id of the exchange, under the names that providers use.
pub(crate) fn upstream_request_id(headers: &HeaderMap) -> Option<HeaderValue> {
    [X_REQUEST_ID, REQUEST_ID, MISTRAL_ID]
        .iter()
        .find_map(|name| headers.get(name))
        .cloned()
}

fn insert_request_id(headers: &mut HeaderMap, dialect: Dialect, request_id: &str) {
    let Ok(value) = HeaderValue::try_from(request_id) else {
        return;
    };
    if dialect.family() == Family::Anthropic {
        headers.insert(REQUEST_ID, value.clone());
    }
    headers.insert(X_REQUEST_ID, value);
}

/// `dropped=seed,logit_bias; changed=temperature`, cut after about 1,000 characters.
pub(crate) fn loss_report(losses: &[Loss]) -> String {
    let mut out = String::new();
    for (word, kind) in [
        ("dropped", LossKind::Dropped),
        ("changed", LossKind::Changed),
    ] {
        let mut separator = if out.is_empty() { "" } else { "; " };
        let mut lead = "=";
        for loss in losses.iter().filter(|loss| loss.kind == kind) {
            if out.len() > 1000 {
                out.push_str(",…");
                break;
            }
            if lead == "=" {
                out.push_str(separator);
                out.push_str(word);
            }
            out.push_str(lead);
            out.extend(loss.field.chars().filter(char::is_ascii_graphic));
            separator = "";
            lead = ",";
        }
    }
    out.replace('…', "...")
}

/// `Retry-After` has whole seconds; a wait is never shortened.
fn whole_seconds_up(wait: Duration) -> u64 {
    wait.as_secs() + u64::from(wait.subsec_nanos() > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loss_header_groups_by_kind() {
        let loss = |field: &str, kind| Loss {
            field: field.to_owned(),
            kind,
            reason: String::new(),
        };
        let losses = [
            loss("seed", LossKind::Dropped),
            loss("temperature", LossKind::Changed),
            loss("messages[2].name", LossKind::Dropped),
        ];
        assert_eq!(
            loss_report(&losses),
            "dropped=seed,messages[2].name; changed=temperature"
        );
        assert_eq!(loss_report(&losses[1..2]), "changed=temperature");
    }

    #[test]
    fn a_wait_is_rounded_up_to_whole_seconds() {
        assert_eq!(whole_seconds_up(Duration::from_millis(1)), 1);
        assert_eq!(whole_seconds_up(Duration::from_secs(2)), 2);
    }
}
