//! What each vendor says around an answer: credentials, headers, refusals, the model list.

use crate::dialect::Dialect;
use crate::http::Request;
use crate::scenario::ErrorDetail;
use crate::turn::{Frame, Role};
use crate::wire::Answer;
use crate::{anthropic, builtin, openai};

/// Keys that a scripted provider accepts begin with this.
pub const KEY_PREFIX: &str = "test-";

/// A refusal of either dialect, ready to be written.
pub(crate) struct Refusal {
    pub(crate) status: u16,
    pub(crate) message: String,
    pub(crate) body: String,
}

impl From<Box<openai::errors::Refused>> for Refusal {
    fn from(refused: Box<openai::errors::Refused>) -> Self {
        Self {
            status: refused.status,
            body: refused.body(),
            message: refused.message,
        }
    }
}

pub(crate) fn check_key(dialect: Dialect, request: &Request, serial: u64) -> Result<(), Refusal> {
    let bearer = request
        .header("authorization")
        .and_then(|value| value.strip_prefix("Bearer "));
    let key = match dialect {
        Dialect::OpenAi => bearer,
        Dialect::Anthropic => request.header("x-api-key").or(bearer),
    };
    if key.is_some_and(|key| key.starts_with(KEY_PREFIX)) {
        return Ok(());
    }
    let message = match (dialect, key) {
        (Dialect::OpenAi, None) => {
            "You didn't provide an API key. You need to provide your API key in an Authorization header using Bearer auth (i.e. Authorization: Bearer YOUR_KEY)."
        }
        (Dialect::OpenAi, Some(_)) => "Incorrect API key provided.",
        (Dialect::Anthropic, None) => "x-api-key header is required",
        (Dialect::Anthropic, Some(_)) => "invalid x-api-key",
    };
    Err(refusal(dialect, 401, message.to_owned(), serial))
}

pub(crate) fn models(
    dialect: Dialect,
    request: &Request,
    registered: &[String],
    serial: u64,
) -> Result<Answer, Refusal> {
    let mut ids: Vec<String> = builtin::NAMES
        .iter()
        .map(|name| (*name).to_owned())
        .collect();
    ids.extend_from_slice(registered);
    let body = match request.path.strip_prefix("/v1/models/") {
        Some(id) if ids.iter().any(|known| known == id) => match dialect {
            Dialect::OpenAi => openai::embeddings::model(id),
            Dialect::Anthropic => anthropic::render::model(id),
        },
        Some(id) => {
            let message = match dialect {
                Dialect::OpenAi => format!("The model '{id}' does not exist"),
                Dialect::Anthropic => format!("model: {id}"),
            };
            return Err(refusal(dialect, 404, message, serial));
        }
        None => match dialect {
            Dialect::OpenAi => openai::embeddings::models(&ids),
            Dialect::Anthropic => anthropic_page(&ids, &request.query),
        },
    };
    Ok(json(dialect, 200, body, serial, &[]))
}

pub(crate) fn refusal(dialect: Dialect, status: u16, message: String, serial: u64) -> Refusal {
    let body = match dialect {
        Dialect::OpenAi => {
            let code = match status {
                401 => "invalid_api_key",
                404 if message.contains("does not exist") => "model_not_found",
                _ => "",
            };
            openai::errors::Refused::bad("", code, message.clone())
                .with_status(status)
                .body()
        }
        Dialect::Anthropic => anthropic::errors::Refused {
            status,
            message: message.clone(),
        }
        .body(&request_id(serial)),
    };
    Refusal {
        status,
        message,
        body,
    }
}

pub(crate) fn scripted_error(
    dialect: Dialect,
    status: u16,
    detail: ErrorDetail,
    model: &str,
    serial: u64,
) -> String {
    match dialect {
        Dialect::OpenAi => openai::errors::scripted(status, detail, model),
        Dialect::Anthropic => {
            anthropic::errors::scripted(status, detail, model, &request_id(serial))
        }
    }
}

/// A JSON answer with the vendor's usual headers.
pub(crate) fn json(
    dialect: Dialect,
    status: u16,
    body: String,
    serial: u64,
    extra: &[(String, String)],
) -> Answer {
    let usual: &[(&str, &str)] = match dialect {
        Dialect::OpenAi => &[
            ("openai-organization", "testkit"),
            ("openai-processing-ms", "1"),
            ("openai-version", "2020-10-01"),
            ("x-ratelimit-limit-requests", "10000"),
            ("x-ratelimit-remaining-requests", "9999"),
            ("x-ratelimit-reset-requests", "6ms"),
        ],
        Dialect::Anthropic => &[
            (
                "anthropic-organization-id",
                "00000000-0000-4000-8000-000000000001",
            ),
            ("anthropic-ratelimit-requests-limit", "4000"),
            ("anthropic-ratelimit-requests-remaining", "3999"),
            ("anthropic-ratelimit-requests-reset", "2030-01-01T00:00:00Z"),
        ],
    };
    let id_header = match dialect {
        Dialect::OpenAi => "x-request-id",
        Dialect::Anthropic => "request-id",
    };
    let mut headers = vec![(id_header.to_owned(), request_id(serial))];
    headers.extend(
        usual
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned())),
    );
    headers.extend(extra.iter().cloned());
    Answer {
        dialect,
        status,
        headers,
        content_type: "application/json".to_owned(),
        frames: vec![Frame::new(Role::Content, body)],
        is_stream: false,
        usage: None,
        closes: false,
    }
}

/// One page of the model list, by `limit` and `after_id`.
fn anthropic_page(ids: &[String], query: &str) -> String {
    let parameter = |name: &str| {
        query
            .split('&')
            .filter_map(|pair| pair.split_once('='))
            .find(|(key, _)| *key == name)
            .map(|(_, value)| value.replace("%3A", ":"))
    };
    let limit = parameter("limit")
        .and_then(|limit| limit.parse().ok())
        .unwrap_or(20);
    let start = parameter("after_id")
        .and_then(|after| ids.iter().position(|id| *id == after))
        .map_or(0, |at| at + 1);
    let end = ids.len().min(start + limit);
    anthropic::render::models(&ids[start..end], end < ids.len())
}

pub(crate) fn request_id(serial: u64) -> String {
    format!("req_tk{serial:022}")
}
