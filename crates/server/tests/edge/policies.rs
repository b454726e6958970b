//! Every policy on every route: what one route forgot would be a hole in all of them.
//!
//! The cells are made from the table of routes. A route that this file cannot ask fails the test.

use std::sync::Arc;

use tollgate_catalog::Operation;
use tollgate_dialect::Dialect;
use tollgate_policy::key::{KeyScopes, Network, Pattern};
use tollgate_server::{Action, ROUTES, Route};

use crate::support::{Answer, Service};

/// A policy, how it is broken, and what says so.
struct Policy {
    name: &'static str,
    /// Lines of the configuration.
    settings: &'static str,
    scopes: fn(&mut KeyScopes),
    refusal: (u16, &'static str),
    /// It is asked of calls of a model alone.
    of_models: bool,
}

const POLICIES: [Policy; 9] = [
    Policy {
        name: "source addresses",
        settings: "",
        scopes: |scopes| scopes.sources = vec![Network::parse("10.0.0.0/8").unwrap()],
        refusal: (403, "source_not_allowed"),
        of_models: false,
    },
    Policy {
        name: "operations",
        settings: "",
        scopes: |scopes| scopes.operations = vec![Pattern::parse("nothing").unwrap()],
        refusal: (403, "route_not_allowed"),
        of_models: false,
    },
    Policy {
        name: "models",
        settings: "",
        scopes: |scopes| scopes.models = vec![Pattern::parse("other/*").unwrap()],
        refusal: (403, "model_not_allowed"),
        of_models: true,
    },
    Policy {
        name: "requests per minute",
        settings: "[limits.l]\nscope = \"gateway\"\nmeasure = \"requests-per-minute\"\nmost = 0\n",
        scopes: |_| {},
        refusal: (429, "rate_limit_exceeded"),
        of_models: false,
    },
    Policy {
        name: "concurrency",
        settings: "[limits.l]\nscope = \"key:key_tested\"\nmeasure = \"concurrent-requests\"\nmost = 0\n",
        scopes: |_| {},
        refusal: (429, "concurrency_limit_exceeded"),
        of_models: false,
    },
    Policy {
        name: "tokens of one request",
        settings: "[limits.l]\nscope = \"key:key_tested\"\nmeasure = \"tokens-per-request\"\nmost = 1\n",
        scopes: |_| {},
        refusal: (400, "request_exceeds_limit"),
        of_models: true,
    },
    Policy {
        name: "tokens per minute",
        settings: "[limits.l]\nscope = \"gateway\"\nmeasure = \"tokens-per-minute\"\nmost = 1\n",
        scopes: |_| {},
        refusal: (400, "request_exceeds_limit"),
        of_models: true,
    },
    Policy {
        name: "budget",
        settings: "[budgets.b]\nscope = \"gateway\"\nlimit = 0\n",
        scopes: |_| {},
        refusal: (429, "insufficient_quota"),
        of_models: true,
    },
    Policy {
        name: "provider's limit",
        settings: "[limits.l]\nscope = \"provider:full\"\nmeasure = \"requests-per-minute\"\nmost = 0\n",
        scopes: |_| {},
        refusal: (429, "rate_limit_exceeded"),
        of_models: true,
    },
];

/// A request for each action, streamed or not: its path's id, its body and media type. `None`: no key is needed.
fn example(action: Action, stream: bool) -> Option<(&'static str, String)> {
    let chat = |model: &str| {
        format!(
            r#"{{"model":"{model}","stream":{stream},"max_tokens":50,"messages":[{{"role":"user","content":"hello there, general"}}]}}"#
        )
    };
    let gemini = r#"{"contents":[{"parts":[{"text":"hello there, general"}]}]}"#.to_owned();
    Some(match action {
        Action::Live | Action::Ready => return None,
        Action::Call(dialect) | Action::CountTokens(dialect) => (
            "",
            match dialect {
                Dialect::OpenAiChat | Dialect::AnthropicMessages => chat("full/text"),
                Dialect::OpenAiCompletions => format!(
                    r#"{{"model":"full/text","stream":{stream},"prompt":"hello there, general"}}"#
                ),
                Dialect::OpenAiResponses => format!(
                    r#"{{"model":"full/text","stream":{stream},"input":"hello there, general"}}"#
                ),
                Dialect::OpenAiEmbeddings => {
                    r#"{"model":"full/text-embedding-3-small","input":"hello there, general"}"#
                        .to_owned()
                }
                Dialect::GeminiGenerate | Dialect::GeminiEmbed | Dialect::GeminiBatchEmbed => {
                    gemini
                }
            },
        ),
        Action::ModelVerb if stream => ("full%2Ftext:streamGenerateContent", gemini),
        Action::ModelVerb => ("full%2Ftext:generateContent", gemini),
        Action::Pass(operation) => (
            "",
            match operation {
                Operation::Speech => {
                    r#"{"model":"full/tts-1","input":"hello","voice":"alloy"}"#.to_owned()
                }
                Operation::Rerank => {
                    r#"{"model":"oai/rerank","query":"q","documents":["a"]}"#.to_owned()
                }
                Operation::Moderation => {
                    r#"{"model":"full/omni-moderation-latest","input":"hello"}"#.to_owned()
                }
                _ => r#"{"model":"full/gpt-image-1","prompt":"a gate","input":"x"}"#.to_owned(),
            },
        ),
        Action::Stored(_)
        | Action::Conversation(_)
        | Action::About(..)
        | Action::Make(_)
        | Action::DeleteModel
        | Action::ListModels
        | Action::ShowModel => ("x", "{}".to_owned()),
    })
}

async fn ask(service: &Service, key: &str, route: &Route, stream: bool) -> Option<Answer> {
    let (id, body) = example(route.action, stream)?;
    let path = route.path.replace("{id}", id);
    let body = if route.method == "POST" {
        body
    } else {
        String::new()
    };
    let request = format!(
        "{} {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        route.method,
        body.len()
    );
    Some(service.raw(&request).await)
}

/// The refusal's code, wherever its dialect puts it: all of them keep our words in the message, two have a code.
fn is_refused(answer: &Answer, (status, code): (u16, &str)) -> bool {
    let told = answer.json();
    let has_code = told["error"]["code"]
        .as_str()
        .is_none_or(|told| told == code);
    answer.status == status && has_code
}

fn is_call(action: Action) -> bool {
    matches!(
        action,
        Action::Call(_) | Action::ModelVerb | Action::Pass(_)
    )
}

#[tokio::test]
async fn a4_every_policy_holds_on_every_route_streamed_or_not() {
    let mut cells = 0;
    for policy in &POLICIES {
        let settings = format!(
            "{}[prices.\"full/*\"]\ninput = 1\noutput = 2\n[prices.\"oai/*\"]\nsearch = 2\n",
            policy.settings
        );
        let service = Service::start_with(&settings).await;
        let key = service.add_key("key_tested", |key| {
            (policy.scopes)(Arc::make_mut(&mut key.scopes));
        });
        for route in ROUTES {
            let counts_only = matches!(route.action, Action::CountTokens(_));
            let has_model = is_call(route.action) || (counts_only && policy.name == "models");
            if policy.of_models && !has_model {
                continue;
            }
            // The limited provider ranks nothing.
            if policy.name == "provider's limit"
                && matches!(route.action, Action::Pass(Operation::Rerank))
            {
                continue;
            }
            for stream in [false, true] {
                let Some(answer) = ask(&service, key.expose(), route, stream).await else {
                    continue;
                };
                assert!(
                    is_refused(&answer, policy.refusal),
                    "{}: {} {} {stream}: {answer:?}",
                    policy.name,
                    route.method,
                    route.path
                );
                cells += 1;
            }
        }
        assert!(service.openai.records().is_empty(), "{}", policy.name);
        assert!(service.attempts().is_empty(), "{}", policy.name);
    }
    // A route or a policy more changes the number; so does one that is not asked any longer.
    assert_eq!(cells, 546);
}

#[tokio::test]
async fn a4_no_route_is_open_without_a_key_but_the_two_of_health() {
    let service = Service::start().await;
    for route in ROUTES {
        let open = matches!(route.action, Action::Live | Action::Ready);
        let path = route.path.replace("{id}", "x:generateContent");
        let request = format!(
            "{} {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n",
            route.method
        );
        let answer = service.raw(&request).await;
        assert_eq!(
            answer.status == 401,
            !open,
            "{} {}: {answer:?}",
            route.method,
            route.path
        );
    }
}
