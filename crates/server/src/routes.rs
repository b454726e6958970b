//! Every route of the service, as one table.

use http::{HeaderMap, Method};
use tollgate_dialect::{Dialect, Family};

/// One route.
#[derive(Clone, Copy, Debug)]
pub struct Route {
    pub method: &'static str,
    /// A path; `{id}` at its end stands for the rest, slashes included.
    pub path: &'static str,
    pub action: Action,
}

/// What a route does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// A call in this dialect.
    Call(Dialect),
    ListModels,
    ShowModel,
    /// The process is alive.
    Live,
    /// The process can serve.
    Ready,
}

pub const ROUTES: &[Route] = &[
    Route {
        method: "POST",
        path: "/v1/chat/completions",
        action: Action::Call(Dialect::OpenAiChat),
    },
    Route {
        method: "POST",
        path: "/v1/completions",
        action: Action::Call(Dialect::OpenAiCompletions),
    },
    Route {
        method: "POST",
        path: "/v1/embeddings",
        action: Action::Call(Dialect::OpenAiEmbeddings),
    },
    Route {
        method: "POST",
        path: "/v1/messages",
        action: Action::Call(Dialect::AnthropicMessages),
    },
    Route {
        method: "GET",
        path: "/v1/models",
        action: Action::ListModels,
    },
    Route {
        method: "GET",
        path: "/v1/models/{id}",
        action: Action::ShowModel,
    },
    Route {
        method: "GET",
        path: "/health/live",
        action: Action::Live,
    },
    Route {
        method: "GET",
        path: "/health/ready",
        action: Action::Ready,
    },
];

/// Where a request leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found<'p> {
    Route {
        action: Action,
        id: &'p str,
    },
    /// The path exists, for other methods.
    WrongMethod {
        allowed: &'static str,
    },
    Nothing,
}

/// Finds the route of a path, taken as it is: no decoding, no normalising, so that no other part of the
/// gateway can read it differently.
pub(crate) fn find<'p>(method: &Method, path: &'p str) -> Found<'p> {
    let mut allowed = None;
    for route in ROUTES {
        let Some(id) = matches(route.path, path) else {
            continue;
        };
        // What answers GET answers HEAD; the connection leaves the body out.
        if method == route.method || (method == Method::HEAD && route.method == "GET") {
            return Found::Route {
                action: route.action,
                id,
            };
        }
        allowed = Some(route.method);
    }
    allowed.map_or(Found::Nothing, |allowed| Found::WrongMethod { allowed })
}

fn matches<'p>(pattern: &str, path: &'p str) -> Option<&'p str> {
    match pattern.strip_suffix("{id}") {
        None => (pattern == path).then_some(""),
        Some(prefix) => path.strip_prefix(prefix).filter(|id| !id.is_empty()),
    }
}

/// Whose shape an answer on this path has when the route alone does not say it. Both vendors list models
/// under `/v1/models`; `anthropic-version` or `x-api-key` tells their clients apart (trap T47).
pub(crate) fn family_of(path: &str, headers: &HeaderMap) -> Family {
    let speaks_anthropic =
        || headers.contains_key("anthropic-version") || headers.contains_key("x-api-key");
    if path.starts_with("/v1/messages") || (path.starts_with("/v1/models") && speaks_anthropic()) {
        Family::Anthropic
    } else {
        Family::OpenAi
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_taken_as_it_is() {
        for path in [
            "/v1/chat/completions/",
            "//v1/chat/completions",
            "/v1/chat/../chat/completions",
            "/V1/models",
            "/v1/chat%2fcompletions",
        ] {
            assert_eq!(find(&Method::POST, path), Found::Nothing, "{path}");
        }
    }

    #[test]
    fn a_models_id_may_hold_slashes() {
        let found = find(&Method::GET, "/v1/models/together/meta-llama/Llama-3");
        assert_eq!(
            found,
            Found::Route {
                action: Action::ShowModel,
                id: "together/meta-llama/Llama-3"
            }
        );
        assert_eq!(find(&Method::GET, "/v1/models/"), Found::Nothing);
    }

    #[test]
    fn a_wrong_method_names_the_right_one() {
        assert_eq!(
            find(&Method::GET, "/v1/messages"),
            Found::WrongMethod { allowed: "POST" }
        );
        let head = find(&Method::HEAD, "/health/live");
        assert_eq!(
            head,
            Found::Route {
                action: Action::Live,
                id: ""
            }
        );
    }

    #[test]
    fn t47_the_models_path_is_told_apart_by_headers() {
        let mut headers = HeaderMap::new();
        assert_eq!(family_of("/v1/models", &headers), Family::OpenAi);
        headers.insert(
            "anthropic-version",
            http::HeaderValue::from_static("2026-10-21"),
        );
        assert_eq!(family_of("/v1/models", &headers), Family::Anthropic);
        assert_eq!(family_of("/v1/chat/completions", &headers), Family::OpenAi);
    }
}
