//! Every route of the service, as one table.

use http::{HeaderMap, Method};
use tollgate_catalog::Operation;
use tollgate_dialect::{Dialect, Family};
use tollgate_gateway::{ConversationAction, StoredAction};

/// One route.
#[derive(Clone, Copy, Debug)]
pub struct Route {
    pub method: &'static str,
    /// A path; `{id}` stands for what differs. At the end of a path it may hold slashes.
    pub path: &'static str,
    pub action: Action,
}

/// What a route does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// A call in this dialect.
    Call(Dialect),
    /// A call of Gemini's: the path names the model and, after its last colon, what is asked of it.
    ModelVerb,
    /// How many tokens a call in this dialect would send.
    CountTokens(Dialect),
    /// A response that was stored.
    Stored(StoredAction),
    /// A conversation of the Responses API.
    Conversation(ConversationAction),
    /// Passed through.
    Pass(Operation),
    /// Makes a file or a job.
    Make(Operation),
    /// A file, a job, or a part of one; without an id their list.
    About(Operation, &'static str),
    DeleteModel,
    ListModels,
    ShowModel,
    /// The process is alive.
    Live,
    /// The process can serve.
    Ready,
}

impl Action {
    /// What it does, in the words of keys' scopes; empty where no key is needed. `id` is what the path names.
    pub fn operation(self, id: &str) -> &'static str {
        match self {
            Action::ModelVerb => model_verb(id).map_or("generation", |(_, verb)| match verb {
                Verb::Call { dialect, .. } => Action::Call(dialect).operation(id),
                Verb::CountTokens => "count_tokens",
            }),
            Action::Call(dialect) if dialect.is_embeddings() => "embeddings",
            Action::Call(_) | Action::Stored(_) | Action::Conversation(_) => "generation",
            Action::CountTokens(_) => "count_tokens",
            Action::Pass(operation) | Action::Make(operation) | Action::About(operation, _) => {
                operation.name()
            }
            Action::DeleteModel => Operation::DeleteModel.name(),
            Action::ListModels | Action::ShowModel => "models",
            Action::Live | Action::Ready => "",
        }
    }

    /// Whether the gateway itself admits the request, by what it asks of a model.
    pub fn calls_a_model(self) -> bool {
        matches!(
            self,
            Action::Call(_) | Action::ModelVerb | Action::CountTokens(_) | Action::Pass(_)
        )
    }
}

const fn get(path: &'static str, action: Action) -> Route {
    Route {
        method: "GET",
        path,
        action,
    }
}

const fn post(path: &'static str, action: Action) -> Route {
    Route {
        method: "POST",
        path,
        action,
    }
}

const fn delete(path: &'static str, action: Action) -> Route {
    Route {
        method: "DELETE",
        path,
        action,
    }
}

/// The first that fits counts, so that a longer path stands before a shorter one.
pub const ROUTES: &[Route] = &[
    post("/v1/chat/completions", Action::Call(Dialect::OpenAiChat)),
    post("/v1/completions", Action::Call(Dialect::OpenAiCompletions)),
    post("/v1/embeddings", Action::Call(Dialect::OpenAiEmbeddings)),
    post("/v1/responses", Action::Call(Dialect::OpenAiResponses)),
    post(
        "/v1/responses/input_tokens",
        Action::CountTokens(Dialect::OpenAiResponses),
    ),
    get(
        "/v1/responses/{id}/input_items",
        Action::Stored(StoredAction::InputItems),
    ),
    post(
        "/v1/responses/{id}/cancel",
        Action::Stored(StoredAction::Cancel),
    ),
    get("/v1/responses/{id}", Action::Stored(StoredAction::Show)),
    delete("/v1/responses/{id}", Action::Stored(StoredAction::Delete)),
    post(
        "/v1/conversations",
        Action::Conversation(ConversationAction::Create),
    ),
    get(
        "/v1/conversations/{id}/items",
        Action::Conversation(ConversationAction::Items),
    ),
    post(
        "/v1/conversations/{id}/items",
        Action::Conversation(ConversationAction::AddItems),
    ),
    get(
        "/v1/conversations/{id}",
        Action::Conversation(ConversationAction::Show),
    ),
    post(
        "/v1/conversations/{id}",
        Action::Conversation(ConversationAction::Update),
    ),
    delete(
        "/v1/conversations/{id}",
        Action::Conversation(ConversationAction::Delete),
    ),
    post("/v1/messages", Action::Call(Dialect::AnthropicMessages)),
    post(
        "/v1/messages/count_tokens",
        Action::CountTokens(Dialect::AnthropicMessages),
    ),
    post("/v1beta/models/{id}", Action::ModelVerb),
    // Some clients put the bare name of a model with a slash in it here.
    post("/v1beta/{id}", Action::ModelVerb),
    post("/v1/models/{id}", Action::ModelVerb),
    get("/v1beta/models", Action::ListModels),
    get("/v1beta/models/{id}", Action::ShowModel),
    get("/v1/models", Action::ListModels),
    get("/v1/models/{id}", Action::ShowModel),
    delete("/v1/models/{id}", Action::DeleteModel),
    post(
        "/v1/images/generations",
        Action::Pass(Operation::ImageGeneration),
    ),
    post("/v1/images/edits", Action::Pass(Operation::ImageEdit)),
    post(
        "/v1/images/variations",
        Action::Pass(Operation::ImageVariation),
    ),
    post(
        "/v1/audio/transcriptions",
        Action::Pass(Operation::Transcription),
    ),
    post(
        "/v1/audio/translations",
        Action::Pass(Operation::Translation),
    ),
    post("/v1/audio/speech", Action::Pass(Operation::Speech)),
    post("/v1/moderations", Action::Pass(Operation::Moderation)),
    post("/v1/rerank", Action::Pass(Operation::Rerank)),
    post("/v2/rerank", Action::Pass(Operation::Rerank)),
    post("/v1/files", Action::Make(Operation::Files)),
    get("/v1/files", Action::About(Operation::Files, "")),
    get(
        "/v1/files/{id}/content",
        Action::About(Operation::Files, "content"),
    ),
    get("/v1/files/{id}", Action::About(Operation::Files, "")),
    delete("/v1/files/{id}", Action::About(Operation::Files, "")),
    post("/v1/fine_tuning/jobs", Action::Make(Operation::FineTuning)),
    get(
        "/v1/fine_tuning/jobs",
        Action::About(Operation::FineTuning, ""),
    ),
    post(
        "/v1/fine_tuning/jobs/{id}/cancel",
        Action::About(Operation::FineTuning, "cancel"),
    ),
    post(
        "/v1/fine_tuning/jobs/{id}/pause",
        Action::About(Operation::FineTuning, "pause"),
    ),
    post(
        "/v1/fine_tuning/jobs/{id}/resume",
        Action::About(Operation::FineTuning, "resume"),
    ),
    get(
        "/v1/fine_tuning/jobs/{id}/events",
        Action::About(Operation::FineTuning, "events"),
    ),
    get(
        "/v1/fine_tuning/jobs/{id}/checkpoints",
        Action::About(Operation::FineTuning, "checkpoints"),
    ),
    get(
        "/v1/fine_tuning/jobs/{id}",
        Action::About(Operation::FineTuning, ""),
    ),
    get("/health/live", Action::Live),
    get("/health/ready", Action::Ready),
];

/// Where a request leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Found<'p> {
    Route {
        action: Action,
        id: &'p str,
    },
    /// The path exists, for other methods.
    WrongMethod {
        allowed: String,
    },
    Nothing,
}

/// Finds the route of a path, taken as it is: no decoding, no normalising, so that no other part of the
/// gateway can read it differently.
pub(crate) fn find<'p>(method: &Method, path: &'p str) -> Found<'p> {
    let mut allowed: Vec<&str> = Vec::new();
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
        if !allowed.contains(&route.method) {
            allowed.push(route.method);
        }
    }
    if allowed.is_empty() {
        return Found::Nothing;
    }
    Found::WrongMethod {
        allowed: allowed.join(", "),
    }
}

fn matches<'p>(pattern: &str, path: &'p str) -> Option<&'p str> {
    let Some((before, after)) = pattern.split_once("{id}") else {
        return (pattern == path).then_some("");
    };
    let id = path.strip_prefix(before)?.strip_suffix(after)?;
    let is_one_segment = after.is_empty() || !id.contains('/');
    (!id.is_empty() && is_one_segment).then_some(id)
}

/// Whose shape an answer on this path has when the route alone does not say it. Three vendors list models
/// under `/v1/models`; `anthropic-version`, `x-api-key` or `x-goog-api-key` tells their clients apart (trap T47).
pub(crate) fn family_of(path: &str, headers: &HeaderMap) -> Family {
    let speaks_anthropic =
        || headers.contains_key("anthropic-version") || headers.contains_key("x-api-key");
    let is_models = path.starts_with("/v1/models");
    let is_verb =
        is_models && path.contains(':') && VERBS.iter().any(|(verb, _)| path.ends_with(verb));
    let speaks_gemini = || headers.contains_key("x-goog-api-key");
    if path.starts_with("/v1beta/") || is_verb || (is_models && speaks_gemini()) {
        return Family::Gemini;
    }
    if path.starts_with("/v1/messages") || (path.starts_with("/v1/models") && speaks_anthropic()) {
        Family::Anthropic
    } else {
        Family::OpenAi
    }
}

/// What Gemini's paths ask of a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verb {
    Call { dialect: Dialect, stream: bool },
    CountTokens,
}

const VERBS: &[(&str, Verb)] = &[
    (
        "generateContent",
        Verb::Call {
            dialect: Dialect::GeminiGenerate,
            stream: false,
        },
    ),
    (
        "streamGenerateContent",
        Verb::Call {
            dialect: Dialect::GeminiGenerate,
            stream: true,
        },
    ),
    (
        "embedContent",
        Verb::Call {
            dialect: Dialect::GeminiEmbed,
            stream: false,
        },
    ),
    (
        "batchEmbedContents",
        Verb::Call {
            dialect: Dialect::GeminiBatchEmbed,
            stream: false,
        },
    ),
    ("countTokens", Verb::CountTokens),
];

/// The model and the verb of `{model}:{verb}`. The verb follows the last colon, because a model's name may
/// hold some (trap T53).
pub(crate) fn model_verb(id: &str) -> Option<(&str, Verb)> {
    let (model, verb) = id.rsplit_once(':')?;
    let (_, verb) = VERBS.iter().find(|(name, _)| *name == verb)?;
    (!model.is_empty()).then_some((model, *verb))
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
            Found::WrongMethod {
                allowed: "POST".to_owned()
            }
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

    #[test]
    fn t53_the_verb_follows_the_last_colon() {
        let (model, verb) = model_verb("ollama/llama3:8b:streamGenerateContent").unwrap();
        assert_eq!(model, "ollama/llama3:8b");
        let stream = Verb::Call {
            dialect: Dialect::GeminiGenerate,
            stream: true,
        };
        assert_eq!(verb, stream);
        for nothing in ["llama3:8b", "gemini-3", ":countTokens"] {
            assert_eq!(model_verb(nothing), None, "{nothing}");
        }
    }

    #[test]
    fn a_longer_path_wins_over_an_id() {
        let action = |method, path| match find(&method, path) {
            Found::Route { action, id } => (action, id.to_owned()),
            other => panic!("{path}: {other:?}"),
        };
        assert_eq!(
            action(Method::POST, "/v1/responses/input_tokens").0,
            Action::CountTokens(Dialect::OpenAiResponses)
        );
        assert_eq!(
            action(Method::GET, "/v1/files/file-1/content"),
            (
                Action::About(Operation::Files, "content"),
                "file-1".to_owned()
            )
        );
        assert_eq!(
            action(Method::DELETE, "/v1/models/openai/ft:gpt-4o:acme::1"),
            (Action::DeleteModel, "openai/ft:gpt-4o:acme::1".to_owned())
        );
        let Found::WrongMethod { allowed } = find(&Method::PUT, "/v1/files") else {
            panic!("the path exists");
        };
        assert_eq!(allowed, "POST, GET");
    }
}
