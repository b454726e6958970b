//! Anthropic's error bodies, by status. Shape: `ErrorResponse` of the official SDK; types as published under
//! api/errors.

use crate::builtin::ERROR_MESSAGE;
use crate::json::quote;
use crate::scenario::ErrorDetail;

/// A refusal of the request: what `check` found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refused {
    pub(crate) status: u16,
    pub(crate) message: String,
}

impl Refused {
    pub(crate) fn bad(message: impl Into<String>) -> Self {
        Self {
            status: 400,
            message: message.into(),
        }
    }

    pub(crate) fn body(&self, request_id: &str) -> String {
        body(kind(self.status), &self.message, "", request_id)
    }
}

fn kind(status: u16) -> &'static str {
    match status {
        401 => "authentication_error",
        402 => "billing_error",
        403 => "permission_error",
        404 => "not_found_error",
        409 => "conflict_error",
        413 => "request_too_large",
        429 => "rate_limit_error",
        504 => "timeout_error",
        529 => "overloaded_error",
        400..=499 => "invalid_request_error",
        _ => "api_error",
    }
}

fn body(kind: &str, message: &str, details: &str, request_id: &str) -> String {
    format!(
        r#"{{"type":"error","error":{{"type":"{kind}","message":{}{details}}},"request_id":"{request_id}"}}"#,
        quote(message)
    )
}

/// The body of a scripted error status.
pub(crate) fn scripted(status: u16, detail: ErrorDetail, model: &str, request_id: &str) -> String {
    let message = match (status, detail) {
        (400, ErrorDetail::Context) => {
            "prompt is too long: 250000 tokens > 200000 maximum".to_owned()
        }
        (401, _) => "invalid x-api-key".to_owned(),
        (404, _) => format!("model: {model}"),
        (529, _) => "Overloaded".to_owned(),
        _ => format!("{ERROR_MESSAGE}: {status}."),
    };
    let details = match (status, detail) {
        (429, ErrorDetail::Quota) => r#","details":{"error_code":"enforced_spend_limit_reached"}"#,
        _ => "",
    };
    body(kind(status), &message, details, request_id)
}

/// The event that ends a 200 stream with an error.
pub(crate) fn event() -> String {
    "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"Overloaded\"}}\n\n"
        .to_owned()
}
