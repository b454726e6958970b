//! Which endpoint of which vendor a request line names: the one place that knows paths.
//!
//! A cloud's paths are unmistakable, so every port serves them; only the vendors' own paths depend on the port.

use crate::dialect::Dialect;
use crate::operations::Operation;

/// Where a vendor's model is served: decides credentials, the shape of refusals and where the model is named.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Host {
    #[default]
    Own,
    Azure,
    Vertex,
    Bedrock,
}

/// How an answer is written on the wire.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Shape {
    #[default]
    Chat,
    Responses,
    Messages,
    /// Messages inside AWS event-stream frames.
    Bedrock,
    Gemini,
    /// A stream as one JSON array: Gemini without `alt=sse`.
    GeminiArray,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Endpoint {
    Chat,
    Completions,
    Embeddings,
    Messages,
    CountTokens,
    Responses,
    ResponseTokens,
    /// A stored response, told by its id and what stands behind it.
    StoredResponse,
    Generate,
    GeminiCount,
    Embed,
    BatchEmbed,
    Models,
    Files,
    Jobs,
    Operation(Operation),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Route {
    pub(crate) endpoint: Endpoint,
    pub(crate) dialect: Dialect,
    pub(crate) host: Host,
    pub(crate) shape: Shape,
    /// The model or the id that the path names.
    pub(crate) name: Option<String>,
    /// Whether the path asks for a stream, when it is the path that says so.
    pub(crate) stream: Option<bool>,
}

impl Endpoint {
    /// Whether a script answers here: a model is named and its attempts count.
    pub(crate) fn runs_model(self) -> bool {
        !matches!(
            self,
            Self::Models | Self::StoredResponse | Self::Files | Self::Jobs
        )
    }

    pub(crate) fn embeds(self) -> bool {
        matches!(self, Self::Embeddings | Self::Embed | Self::BatchEmbed)
    }

    pub(crate) fn streams(self) -> bool {
        matches!(
            self,
            Self::Chat | Self::Completions | Self::Messages | Self::Responses | Self::Generate
        )
    }
}

impl Route {
    /// The route of a path; `None` when the vendor has no such path.
    pub(crate) fn of(port: Dialect, path: &str, query: &str) -> Option<Self> {
        azure(path, query)
            .or_else(|| bedrock(path))
            .or_else(|| vertex(path, query))
            .or_else(|| match port {
                Dialect::OpenAi => match path {
                    "/v2/rerank" => Some(operation(Operation::CohereRerank, Host::Own)),
                    "/v2/embed" => Some(operation(Operation::CohereEmbed, Host::Own)),
                    _ => openai(path.strip_prefix("/v1/")?, Host::Own),
                },
                Dialect::Anthropic => anthropic(path),
                Dialect::Gemini => gemini(path, query),
            })
    }

    fn new(endpoint: Endpoint, dialect: Dialect, host: Host) -> Self {
        let shape = match (dialect, endpoint) {
            (
                Dialect::OpenAi,
                Endpoint::Responses | Endpoint::ResponseTokens | Endpoint::StoredResponse,
            ) => Shape::Responses,
            (Dialect::OpenAi, _) => Shape::Chat,
            (Dialect::Anthropic, _) => Shape::Messages,
            (Dialect::Gemini, _) => Shape::Gemini,
        };
        Self {
            endpoint,
            dialect,
            host,
            shape,
            name: None,
            stream: None,
        }
    }

    fn named(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }
}

fn operation(operation: Operation, host: Host) -> Route {
    Route::new(Endpoint::Operation(operation), Dialect::OpenAi, host)
}

fn openai(rest: &str, host: Host) -> Option<Route> {
    let route = |endpoint| Some(Route::new(endpoint, Dialect::OpenAi, host));
    if let Some(found) = Operation::of(rest) {
        return Some(operation(found, host));
    }
    if let Some(target) = rest.strip_prefix("fine_tuning/jobs/") {
        return Some(route(Endpoint::Jobs)?.named(target));
    }
    match rest {
        "chat/completions" => route(Endpoint::Chat),
        "completions" => route(Endpoint::Completions),
        "embeddings" => route(Endpoint::Embeddings),
        "responses" => route(Endpoint::Responses),
        "responses/input_tokens" => route(Endpoint::ResponseTokens),
        "models" => route(Endpoint::Models),
        "files" => route(Endpoint::Files),
        "fine_tuning/jobs" => route(Endpoint::Jobs),
        _ => match rest.split_once('/')? {
            ("models", id) => Some(route(Endpoint::Models)?.named(decoded(id))),
            ("files", target) => Some(route(Endpoint::Files)?.named(target)),
            ("responses", id) => Some(route(Endpoint::StoredResponse)?.named(id)),
            _ => None,
        },
    }
}

/// `/openai/deployments/{deployment}/…?api-version=…` and the newer `/openai/v1/…`.
fn azure(path: &str, query: &str) -> Option<Route> {
    if let Some(rest) = path.strip_prefix("/openai/v1/") {
        return openai(rest, Host::Azure);
    }
    let (deployment, rest) = path.strip_prefix("/openai/deployments/")?.split_once('/')?;
    parameter(query, "api-version")?;
    let route = openai(rest, Host::Azure)?;
    Some(route.named(decoded(deployment)))
}

fn anthropic(path: &str) -> Option<Route> {
    let route = |endpoint| Some(Route::new(endpoint, Dialect::Anthropic, Host::Own));
    match path {
        "/v1/messages" => route(Endpoint::Messages),
        "/v1/messages/count_tokens" => route(Endpoint::CountTokens),
        "/v1/models" => route(Endpoint::Models),
        _ => Some(route(Endpoint::Models)?.named(decoded(path.strip_prefix("/v1/models/")?))),
    }
}

/// `/model/{id}/invoke` and `/model/{id}/invoke-with-response-stream`.
fn bedrock(path: &str) -> Option<Route> {
    let (model, verb) = path.strip_prefix("/model/")?.rsplit_once('/')?;
    let (shape, stream) = match verb {
        "invoke" => (Shape::Messages, false),
        "invoke-with-response-stream" => (Shape::Bedrock, true),
        _ => return None,
    };
    Some(Route {
        shape,
        stream: Some(stream),
        ..Route::new(Endpoint::Messages, Dialect::Anthropic, Host::Bedrock).named(decoded(model))
    })
}

/// `/v1/projects/{p}/locations/{l}/publishers/{google|anthropic}/models/{m}:{verb}`.
fn vertex(path: &str, query: &str) -> Option<Route> {
    let rest = path
        .strip_prefix("/v1/projects/")
        .or_else(|| path.strip_prefix("/v1beta1/projects/"))?;
    let mut parts = rest.splitn(7, '/');
    let (_project, locations, _location, publishers) =
        (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let (publisher, models, target) = (parts.next()?, parts.next()?, parts.next()?);
    if (locations, publishers, models) != ("locations", "publishers", "models") {
        return None;
    }
    match publisher {
        "google" => gemini_verb(target, query, Host::Vertex),
        "anthropic" => {
            let (model, verb) = target.rsplit_once(':')?;
            let endpoint = match model {
                "count-tokens" => Endpoint::CountTokens,
                _ => Endpoint::Messages,
            };
            let stream = match verb {
                "rawPredict" => false,
                "streamRawPredict" => true,
                _ => return None,
            };
            let route = Route::new(endpoint, Dialect::Anthropic, Host::Vertex);
            Some(match endpoint {
                Endpoint::CountTokens => route,
                _ => Route {
                    stream: Some(stream),
                    ..route.named(decoded(model))
                },
            })
        }
        _ => None,
    }
}

fn gemini(path: &str, query: &str) -> Option<Route> {
    let rest = path
        .strip_prefix("/v1beta/")
        .or_else(|| path.strip_prefix("/v1/"))?;
    if rest == "models" {
        return Some(Route::new(Endpoint::Models, Dialect::Gemini, Host::Own));
    }
    let target = rest.strip_prefix("models/")?;
    gemini_verb(target, query, Host::Own).or_else(|| {
        Some(Route::new(Endpoint::Models, Dialect::Gemini, Host::Own).named(decoded(target)))
    })
}

/// `{model}:{verb}`: the last colon separates, because a model's name may hold colons too.
fn gemini_verb(target: &str, query: &str, host: Host) -> Option<Route> {
    let (model, verb) = target.rsplit_once(':')?;
    let (endpoint, stream) = match verb {
        "generateContent" => (Endpoint::Generate, false),
        "streamGenerateContent" => (Endpoint::Generate, true),
        "countTokens" => (Endpoint::GeminiCount, false),
        "embedContent" => (Endpoint::Embed, false),
        "batchEmbedContents" => (Endpoint::BatchEmbed, false),
        _ => return None,
    };
    let is_array = stream && parameter(query, "alt") != Some("sse");
    Some(Route {
        shape: if is_array {
            Shape::GeminiArray
        } else {
            Shape::Gemini
        },
        stream: Some(stream),
        ..Route::new(endpoint, Dialect::Gemini, host).named(decoded(model))
    })
}

pub(crate) fn parameter<'a>(query: &'a str, name: &str) -> Option<&'a str> {
    query
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .find(|(key, _)| *key == name)
        .map(|(_, value)| value)
}

/// Undoes percent-encoding.
pub(crate) fn decoded(text: &str) -> String {
    let mut out = Vec::new();
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            out.push(byte);
            continue;
        }
        let digits: Vec<u8> = bytes.by_ref().take(2).collect();
        out.extend(
            std::str::from_utf8(&digits)
                .ok()
                .and_then(|digits| u8::from_str_radix(digits, 16).ok()),
        );
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(path: &str, query: &str) -> Option<(Endpoint, Host, Option<String>, Option<bool>)> {
        Route::of(Dialect::Gemini, path, query)
            .map(|route| (route.endpoint, route.host, route.name, route.stream))
    }

    #[test]
    fn the_last_colon_separates_model_and_verb() {
        let route = Route::of(
            Dialect::Gemini,
            "/v1beta/models/cut-at:40:streamGenerateContent",
            "alt=sse",
        )
        .unwrap();
        assert_eq!(
            (route.name.as_deref(), route.shape),
            (Some("cut-at:40"), Shape::Gemini)
        );
        assert_eq!(
            named("/v1beta/models/cut-at:40", ""),
            Some((
                Endpoint::Models,
                Host::Own,
                Some("cut-at:40".to_owned()),
                None
            ))
        );
    }

    #[test]
    fn every_port_serves_the_clouds() {
        let some = |name: &str| Some(name.to_owned());
        for (path, query, expected) in [
            (
                "/model/us.anthropic.text%3A0/invoke-with-response-stream",
                "",
                Some((
                    Endpoint::Messages,
                    Host::Bedrock,
                    some("us.anthropic.text:0"),
                    Some(true),
                )),
            ),
            (
                "/v1/projects/p/locations/l/publishers/anthropic/models/text:streamRawPredict",
                "",
                Some((Endpoint::Messages, Host::Vertex, some("text"), Some(true))),
            ),
            (
                "/v1/projects/p/locations/l/publishers/google/models/text:countTokens",
                "",
                Some((
                    Endpoint::GeminiCount,
                    Host::Vertex,
                    some("text"),
                    Some(false),
                )),
            ),
            (
                "/openai/deployments/text/chat/completions",
                "api-version=2026-01-01",
                Some((Endpoint::Chat, Host::Azure, some("text"), None)),
            ),
            ("/openai/deployments/text/chat/completions", "", None),
            (
                "/openai/v1/responses",
                "",
                Some((Endpoint::Responses, Host::Azure, None, None)),
            ),
        ] {
            assert_eq!(named(path, query), expected, "{path}");
        }
    }
}
