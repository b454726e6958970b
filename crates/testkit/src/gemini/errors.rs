//! Google's error bodies, by status. Shape: `google.rpc.Status` in JSON, details as published in
//! google/rpc/error_details.proto.

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

    pub(crate) fn body(&self) -> String {
        body(self.status, &self.message, "")
    }
}

/// The name of `google.rpc.Code` that Google sends with an HTTP status.
fn code(status: u16) -> &'static str {
    match status {
        401 => "UNAUTHENTICATED",
        402 | 429 => "RESOURCE_EXHAUSTED",
        403 => "PERMISSION_DENIED",
        404 => "NOT_FOUND",
        409 => "ABORTED",
        499 => "CANCELLED",
        400..=498 => "INVALID_ARGUMENT",
        502 | 503 | 529 => "UNAVAILABLE",
        504 => "DEADLINE_EXCEEDED",
        _ => "INTERNAL",
    }
}

fn body(status: u16, message: &str, details: &str) -> String {
    let details = match details {
        "" => String::new(),
        details => format!(",\n    \"details\": [{details}]"),
    };
    format!(
        "{{\n  \"error\": {{\n    \"code\": {status},\n    \"message\": {},\n    \"status\": \"{}\"{details}\n  }}\n}}\n",
        quote(message),
        code(status)
    )
}

/// AI Studio's answer to a key that it does not know.
pub(crate) fn bad_key(message: &str) -> String {
    body(
        400,
        message,
        r#"{"@type":"type.googleapis.com/google.rpc.ErrorInfo","reason":"API_KEY_INVALID","domain":"googleapis.com","metadata":{"service":"generativelanguage.googleapis.com"}}"#,
    )
}

/// The body of a scripted error status; `retry_after` in seconds becomes a `RetryInfo`.
pub(crate) fn scripted(
    status: u16,
    detail: ErrorDetail,
    model: &str,
    retry_after: Option<&str>,
) -> String {
    let message = match (status, detail) {
        (400, ErrorDetail::Context) => {
            "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576).".to_owned()
        }
        (401, _) => "Request had invalid authentication credentials. Expected OAuth 2 access token, login cookie or other valid authentication credential.".to_owned(),
        (403, _) => "The caller does not have permission".to_owned(),
        (404, _) => format!("models/{model} is not found for API version v1beta, or is not supported for generateContent. Call ListModels to see the list of available models and their supported methods."),
        (429, ErrorDetail::Quota) => "You exceeded your current quota, please check your plan and billing details.".to_owned(),
        (429, _) => "Resource has been exhausted (e.g. check quota).".to_owned(),
        (503, _) => "The model is overloaded. Please try again later.".to_owned(),
        _ => format!("{ERROR_MESSAGE}: {status}."),
    };
    let mut details = Vec::new();
    if (status, detail) == (429, ErrorDetail::Quota) {
        details.push(r#"{"@type":"type.googleapis.com/google.rpc.QuotaFailure","violations":[{"quotaMetric":"generativelanguage.googleapis.com/generate_content_free_tier_requests","quotaId":"GenerateRequestsPerDayPerProjectPerModel-FreeTier","quotaDimensions":{"location":"global"},"quotaValue":"50"}]}"#.to_owned());
        details.push(retry_info("39600"));
    }
    if let Some(seconds) = retry_after.filter(|text| text.parse::<f64>().is_ok_and(|n| n >= 0.0)) {
        details.push(retry_info(seconds));
    }
    body(status, &message, &details.join(","))
}

fn retry_info(seconds: &str) -> String {
    format!(r#"{{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"{seconds}s"}}"#)
}

/// The object that ends a 200 stream with an error.
pub(crate) fn mid_stream() -> String {
    format!(
        r#"{{"error":{{"code":503,"message":"{ERROR_MESSAGE}: failed mid-stream.","status":"UNAVAILABLE"}}}}"#
    )
}
