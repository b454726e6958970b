//! How a reply fails: a status of its own inside of a 200, or an event that ends the stream.

use bytes::Bytes;
use serde::Serialize;
use tollgate_base::{Error, Kind};

use super::wire::Failure;
use crate::errors;

#[derive(Serialize)]
struct ErrorEvent<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    code: &'a str,
    message: &'a str,
    param: Option<&'a str>,
    sequence_number: u64,
}

/// `event: error`. Who sends it does not know how many events there were, so that it counts from 0.
pub(crate) fn render_stream_error(error: &Error) -> Bytes {
    let event = ErrorEvent {
        kind: "error",
        code: error.code(),
        message: error.message(),
        param: error.param(),
        sequence_number: 0,
    };
    let mut out = Vec::from(b"event: error\ndata: ");
    out.extend_from_slice(&serde_json::to_vec(&event).unwrap_or_default());
    out.extend_from_slice(b"\n\n");
    out.into()
}

#[derive(Serialize)]
struct Body<'a> {
    error: Said<'a>,
}

#[derive(Serialize)]
struct Said<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    code: &'a str,
    message: &'a str,
    param: Option<&'a str>,
}

/// What a failed response, or an event of type `error`, means: its code says the class.
pub(super) fn failure(said: Option<&Failure<'_>>) -> Error {
    let text = |text: fn(&Failure<'_>) -> Option<String>| said.and_then(text);
    let code = text(|it| it.code.filled().or(it.kind.filled()).map(str::to_owned));
    let message = text(|it| it.message.filled().map(str::to_owned));
    let body = Body {
        error: Said {
            kind: code.as_deref().unwrap_or_default(),
            code: code.as_deref().unwrap_or_default(),
            message: message.as_deref().unwrap_or_default(),
            param: said.and_then(|it| it.param.filled()),
        },
    };
    let body = serde_json::to_vec(&body).unwrap_or_default();
    errors::parse(200, None, &body, kind_of_code)
}

fn kind_of_code(code: &str) -> Option<Kind> {
    let kind = match code {
        "rate_limit_exceeded" | "rate_limit_error" => Kind::RateLimit,
        "vector_store_timeout" | "timeout" => Kind::UpstreamTimeout,
        "server_overloaded" | "overloaded_error" | "service_unavailable" => Kind::Overloaded,
        "invalid_prompt"
        | "invalid_request_error"
        | "data_residency_mismatch"
        | "bio_policy"
        | "misalignment_policy_violation"
        | "image_too_large"
        | "image_too_small"
        | "image_parse_error"
        | "image_content_policy_violation"
        | "image_file_too_large"
        | "image_file_not_found"
        | "unsupported_image_media_type"
        | "empty_image_file"
        | "failed_to_download_image" => Kind::InvalidRequest,
        _ if code.starts_with("invalid_") => Kind::InvalidRequest,
        _ => return None,
    };
    Some(kind)
}
