//! OpenAI's error bodies, by status. Shape: `ErrorResponse` of the OpenAPI document; types and codes as
//! published under guides/error-codes and as observed.

use crate::builtin::ERROR_MESSAGE;
use crate::json::{quote, quote_or_null};
use crate::scenario::ErrorDetail;

/// A refusal of the request: what `check` found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refused {
    pub(crate) status: u16,
    pub(crate) kind: &'static str,
    pub(crate) code: Option<&'static str>,
    pub(crate) param: Option<String>,
    pub(crate) message: String,
}

impl Refused {
    pub(crate) fn bad(
        param: impl Into<String>,
        code: &'static str,
        message: impl Into<String>,
    ) -> Self {
        Self {
            status: 400,
            kind: "invalid_request_error",
            code: (!code.is_empty()).then_some(code),
            param: Some(param.into()).filter(|param: &String| !param.is_empty()),
            message: message.into(),
        }
    }

    pub(crate) fn with_status(mut self, status: u16) -> Self {
        self.status = status;
        self
    }

    pub(crate) fn body(&self) -> String {
        body(&self.message, self.kind, self.param.as_deref(), self.code)
    }
}

fn body(message: &str, kind: &str, param: Option<&str>, code: Option<&str>) -> String {
    format!(
        r#"{{"error":{{"message":{},"type":{},"param":{},"code":{}}}}}"#,
        quote(message),
        quote(kind),
        quote_or_null(param),
        quote_or_null(code)
    )
}

/// The body of a scripted error status.
pub(crate) fn scripted(status: u16, detail: ErrorDetail, model: &str) -> String {
    if (status, detail) == (400, ErrorDetail::Filter) {
        return filtered();
    }
    let (kind, code, param): (&str, Option<&str>, Option<&str>) = match (status, detail) {
        (400, ErrorDetail::Context) => (
            "invalid_request_error",
            Some("context_length_exceeded"),
            Some("messages"),
        ),
        (401, _) => ("invalid_request_error", Some("invalid_api_key"), None),
        (403, _) => (
            "invalid_request_error",
            Some("unsupported_country_region_territory"),
            None,
        ),
        (404, _) => ("invalid_request_error", Some("model_not_found"), None),
        (402 | 429, ErrorDetail::Quota) | (402, _) => {
            ("insufficient_quota", Some("insufficient_quota"), None)
        }
        (429, _) => ("requests", Some("rate_limit_exceeded"), None),
        (400..=499, _) => ("invalid_request_error", None, None),
        _ => ("server_error", None, None),
    };
    let message = match (status, detail) {
        (400, ErrorDetail::Context) => {
            "This model's maximum context length is 128000 tokens. However, your messages resulted in 150000 tokens. Please reduce the length of the messages.".to_owned()
        }
        (404, _) => format!("The model `{model}` does not exist or you do not have access to it."),
        (401, _) => "Incorrect API key provided.".to_owned(),
        (429, ErrorDetail::Quota) => {
            "You exceeded your current quota, please check your plan and billing details.".to_owned()
        }
        _ => format!("{ERROR_MESSAGE}: {status}."),
    };
    body(&message, kind, param, code)
}

/// Azure's refusal of a prompt that its filter caught.
fn filtered() -> String {
    r#"{"error":{"message":"The response was filtered due to the prompt triggering Azure OpenAI's content management policy. Please modify your prompt and retry.","type":null,"param":"prompt","code":"content_filter","status":400,"innererror":{"code":"ResponsibleAIPolicyViolation","content_filter_result":{"hate":{"filtered":false,"severity":"safe"},"jailbreak":{"detected":false,"filtered":false},"self_harm":{"filtered":false,"severity":"safe"},"sexual":{"filtered":false,"severity":"safe"},"violence":{"filtered":true,"severity":"high"}}}}}"#.to_owned()
}

/// The event that ends a 200 stream with an error.
pub(crate) fn event() -> String {
    format!(
        "data: {}\n\n",
        body(
            &format!("{ERROR_MESSAGE}: failed mid-stream."),
            "server_error",
            None,
            None
        )
    )
}
