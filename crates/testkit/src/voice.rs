//! What each vendor says around an answer: credentials, headers, refusals, the model list.

use crate::dialect::Dialect;
use crate::http::Request;
use crate::json::quote;
use crate::route::{Host, Route, parameter};
use crate::scenario::{ErrorDetail, FaultKind};
use crate::turn::{Frame, Role};
use crate::wire::Answer;
use crate::{anthropic, builtin, gemini, openai, sigv4};

/// Keys that a scripted provider accepts begin with this.
pub const KEY_PREFIX: &str = "test-";

/// Who answers: a dialect as one host serves it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Vendor {
    pub(crate) dialect: Dialect,
    pub(crate) host: Host,
}

impl From<&Route> for Vendor {
    fn from(route: &Route) -> Self {
        Self {
            dialect: route.dialect,
            host: route.host,
        }
    }
}

/// A refusal in any dialect, ready to be written.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) status: u16,
    pub(crate) message: String,
    pub(crate) body: String,
    pub(crate) headers: Vec<(String, String)>,
}

impl Refusal {
    pub(crate) fn new(status: u16, message: String, body: String) -> Self {
        Self {
            status,
            message,
            body,
            headers: Vec::new(),
        }
    }

    /// Bedrock's form: the kind in a header, the message alone in the body.
    pub(crate) fn bedrock(status: u16, kind: &str, message: String) -> Self {
        Self {
            headers: vec![("x-amzn-errortype".to_owned(), kind.to_owned())],
            body: bedrock_body(&message),
            status,
            message,
        }
    }
}

impl From<Box<openai::errors::Refused>> for Refusal {
    fn from(refused: Box<openai::errors::Refused>) -> Self {
        Self::new(refused.status, refused.message.clone(), refused.body())
    }
}

impl From<Box<gemini::errors::Refused>> for Refusal {
    fn from(refused: Box<gemini::errors::Refused>) -> Self {
        Self::new(refused.status, refused.message.clone(), refused.body())
    }
}

fn bedrock_body(message: &str) -> String {
    format!(r#"{{"message":{}}}"#, quote(message))
}

/// The name of Bedrock's exception for a status.
fn bedrock_kind(status: u16) -> &'static str {
    match status {
        401 | 403 => "AccessDeniedException",
        404 => "ResourceNotFoundException",
        408 => "ModelTimeoutException",
        424 => "ModelErrorException",
        429 => "ThrottlingException",
        503 => "ServiceUnavailableException",
        400..=499 => "ValidationException",
        _ => "InternalServerException",
    }
}

pub(crate) fn check_key(vendor: Vendor, request: &Request, serial: u64) -> Result<(), Refusal> {
    let bearer = request
        .header("authorization")
        .and_then(|value| value.strip_prefix("Bearer "));
    let key = match (vendor.host, vendor.dialect) {
        (Host::Azure, _) => request.header("api-key").or(bearer),
        (Host::Bedrock, _) if bearer.is_none() => {
            return sigv4::check(request)
                .map_err(|(kind, message)| Refusal::bedrock(403, kind, message));
        }
        (Host::Vertex | Host::Bedrock, _) | (Host::Own, Dialect::OpenAi) => bearer,
        (Host::Own, Dialect::Anthropic) => request.header("x-api-key").or(bearer),
        (Host::Own, Dialect::Gemini) => request
            .header("x-goog-api-key")
            .or_else(|| parameter(&request.query, "key"))
            .or(bearer),
    };
    if key.is_some_and(|key| key.starts_with(KEY_PREFIX)) {
        return Ok(());
    }
    let message = match (vendor.host, vendor.dialect, key) {
        (Host::Azure, ..) => {
            "Access denied due to invalid subscription key or wrong API endpoint. Make sure to provide a valid key for an active subscription and use a correct regional API endpoint for your resource."
        }
        (Host::Vertex, ..) => {
            "Request is missing required authentication credential. Expected OAuth 2 access token, login cookie or other valid authentication credential. See https://developers.google.com/identity/sign-in/web/devconsole-project."
        }
        (Host::Bedrock, ..) => {
            let message = "Authentication failed: Please make sure your API Key is valid.";
            return Err(Refusal::bedrock(
                403,
                "AccessDeniedException",
                message.to_owned(),
            ));
        }
        (Host::Own, Dialect::OpenAi, None) => {
            "You didn't provide an API key. You need to provide your API key in an Authorization header using Bearer auth (i.e. Authorization: Bearer YOUR_KEY)."
        }
        (Host::Own, Dialect::OpenAi, Some(_)) => "Incorrect API key provided.",
        (Host::Own, Dialect::Anthropic, None) => "x-api-key header is required",
        (Host::Own, Dialect::Anthropic, Some(_)) => "invalid x-api-key",
        (Host::Own, Dialect::Gemini, None) => {
            let message = "Method doesn't allow unregistered callers (callers without established identity). Please use API Key or other form of API consumer identity to call this API.";
            return Err(refusal(vendor, 403, message.to_owned(), serial));
        }
        (Host::Own, Dialect::Gemini, Some(_)) => {
            let message = "API key not valid. Please pass a valid API key.";
            let body = gemini::errors::bad_key(message);
            return Err(Refusal::new(400, message.to_owned(), body));
        }
    };
    Err(refusal(vendor, 401, message.to_owned(), serial))
}

/// The model list, or the model that the route names.
pub(crate) fn models(
    route: &Route,
    request: &Request,
    registered: &[String],
    serial: u64,
) -> Result<Answer, Refusal> {
    let vendor = Vendor::from(route);
    let mut ids: Vec<String> = builtin::NAMES
        .iter()
        .map(|name| (*name).to_owned())
        .collect();
    ids.extend_from_slice(registered);
    let body = match &route.name {
        Some(id) if ids.contains(id) => match vendor.dialect {
            Dialect::OpenAi => openai::embeddings::model(id),
            Dialect::Anthropic => anthropic::render::model(id),
            Dialect::Gemini => gemini::embeddings::model(id),
        },
        Some(id) => return Err(refusal(vendor, 404, unknown_model(vendor, id), serial)),
        None => match vendor.dialect {
            Dialect::OpenAi => openai::embeddings::models(&ids),
            Dialect::Anthropic => anthropic_page(&ids, &request.query),
            Dialect::Gemini => gemini::embeddings::models(
                &ids,
                parameter(&request.query, "pageSize")
                    .and_then(|size| size.parse().ok())
                    .unwrap_or(50),
                parameter(&request.query, "pageToken"),
            ),
        },
    };
    Ok(json(vendor, 200, body, serial, &[]))
}

/// What the vendor says of a model that it does not have.
pub(crate) fn unknown_model(vendor: Vendor, id: &str) -> String {
    match (vendor.host, vendor.dialect) {
        (Host::Bedrock, _) => "The provided model identifier is invalid.".to_owned(),
        (_, Dialect::OpenAi) => {
            format!("The model `{id}` does not exist or you do not have access to it.")
        }
        (_, Dialect::Anthropic) => format!("model: {id}"),
        (_, Dialect::Gemini) => format!(
            "models/{id} is not found for API version v1beta, or is not supported for generateContent. Call ListModels to see the list of available models and their supported methods."
        ),
    }
}

pub(crate) fn refusal(vendor: Vendor, status: u16, message: String, serial: u64) -> Refusal {
    let body = match (vendor.host, vendor.dialect) {
        (Host::Bedrock, _) => return Refusal::bedrock(status, bedrock_kind(status), message),
        (Host::Azure, _) if matches!(status, 401 | 404) => {
            let code = match status {
                404 if message.contains("does not exist") => "DeploymentNotFound".to_owned(),
                status => status.to_string(),
            };
            format!(
                r#"{{"error":{{"code":"{code}","message":{}}}}}"#,
                quote(&message)
            )
        }
        (_, Dialect::OpenAi) => {
            let code = match status {
                401 => "invalid_api_key",
                404 if message.contains("does not exist") => "model_not_found",
                _ => "",
            };
            openai::errors::Refused::bad("", code, message.clone())
                .with_status(status)
                .body()
        }
        (Host::Vertex, Dialect::Anthropic) if status == 401 => gemini::errors::Refused {
            status,
            message: message.clone(),
        }
        .body(),
        (_, Dialect::Anthropic) => anthropic::errors::Refused {
            status,
            message: message.clone(),
        }
        .body(&request_id(serial)),
        (_, Dialect::Gemini) => gemini::errors::Refused {
            status,
            message: message.clone(),
        }
        .body(),
    };
    Refusal::new(status, message, body)
}

/// The answer to a scripted error status, with what the vendor says about waiting.
pub(crate) fn scripted_error(
    vendor: Vendor,
    fault: &FaultKind,
    model: &str,
    serial: u64,
) -> Option<Answer> {
    let FaultKind::Status {
        status,
        detail,
        retry_after,
        retry_after_ms,
    } = fault
    else {
        return None;
    };
    let mut headers = Vec::new();
    if vendor.dialect != Dialect::Gemini {
        headers.extend(
            retry_after
                .clone()
                .map(|value| ("retry-after".to_owned(), value)),
        );
        headers.extend(retry_after_ms.map(|ms| ("retry-after-ms".to_owned(), ms.to_string())));
    }
    let body = match (vendor.host, vendor.dialect) {
        (Host::Bedrock, _) => {
            let kind = bedrock_kind(*status);
            headers.push(("x-amzn-errortype".to_owned(), kind.to_owned()));
            let message = match detail {
                ErrorDetail::Context => "Input is too long for requested model.".to_owned(),
                _ => format!("{}: {status}.", builtin::ERROR_MESSAGE),
            };
            bedrock_body(&message)
        }
        (_, Dialect::OpenAi) => openai::errors::scripted(*status, *detail, model),
        (_, Dialect::Anthropic) => {
            anthropic::errors::scripted(*status, *detail, model, &request_id(serial))
        }
        (_, Dialect::Gemini) => {
            // Google has no header for it: the delay stands in the body.
            let delay = retry_after_ms
                .map(|ms| format!("{}.{:03}", ms / 1000, ms % 1000))
                .or_else(|| retry_after.clone());
            gemini::errors::scripted(*status, *detail, model, delay.as_deref())
        }
    };
    Some(json(vendor, *status, body, serial, &headers))
}

/// A JSON answer with the vendor's usual headers.
pub(crate) fn json(
    vendor: Vendor,
    status: u16,
    body: String,
    serial: u64,
    extra: &[(String, String)],
) -> Answer {
    let (id_header, usual): (&str, &[(&str, &str)]) = match (vendor.host, vendor.dialect) {
        (Host::Bedrock, _) => ("x-amzn-requestid", &[]),
        (Host::Azure, _) => (
            "apim-request-id",
            &[
                ("x-ms-region", "Testkit"),
                ("x-ratelimit-remaining-requests", "9999"),
                ("x-ratelimit-remaining-tokens", "999999"),
            ],
        ),
        (_, Dialect::OpenAi) => (
            "x-request-id",
            &[
                ("openai-organization", "testkit"),
                ("openai-processing-ms", "1"),
                ("openai-version", "2020-10-01"),
                ("x-ratelimit-limit-requests", "10000"),
                ("x-ratelimit-remaining-requests", "9999"),
                ("x-ratelimit-reset-requests", "6ms"),
            ],
        ),
        (_, Dialect::Anthropic) => (
            "request-id",
            &[
                (
                    "anthropic-organization-id",
                    "00000000-0000-4000-8000-000000000001",
                ),
                ("anthropic-ratelimit-requests-limit", "4000"),
                ("anthropic-ratelimit-requests-remaining", "3999"),
                ("anthropic-ratelimit-requests-reset", "2030-01-01T00:00:00Z"),
            ],
        ),
        // Google documents no header for correlation.
        (_, Dialect::Gemini) => (
            "",
            &[("vary", "Origin"), ("server-timing", "gfet4t7; dur=1")],
        ),
    };
    let mut headers = Vec::new();
    if !id_header.is_empty() {
        headers.push((id_header.to_owned(), request_id(serial)));
    }
    headers.extend(
        usual
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned())),
    );
    headers.extend(extra.iter().cloned());
    Answer {
        status,
        headers,
        frames: vec![Frame::new(Role::Content, body)],
        ..Answer::default()
    }
}

/// One page of the model list, by `limit` and `after_id`.
fn anthropic_page(ids: &[String], query: &str) -> String {
    let limit = parameter(query, "limit")
        .and_then(|limit| limit.parse().ok())
        .unwrap_or(20);
    let start = parameter(query, "after_id")
        .map(crate::route::decoded)
        .and_then(|after| ids.iter().position(|id| *id == after))
        .map_or(0, |at| at + 1);
    let end = ids.len().min(start + limit);
    anthropic::render::models(&ids[start..end], end < ids.len())
}

pub(crate) fn request_id(serial: u64) -> String {
    format!("req_tk{serial:022}")
}
