//! Every answer against the vendors' own schemas, with unknown fields forbidden.

use std::collections::HashMap;

use crate::client::{ask, exchange, post, request};
use serde_json::{Value, json};
use tollgate_testkit::{BUILTIN_NAMES, Dialect, TestProvider};

const OPENAI: &str = include_str!("../../schemas/openai.json");
const ANTHROPIC_2023: &str = include_str!("../../schemas/anthropic-2023-06-01.json");
const ANTHROPIC_2026: &str = include_str!("../../schemas/anthropic-2026-10-21.json");

/// Built-ins whose answer is meant to break the vendor's shape or to break off.
const BROKEN: &[&str] = &[
    "cut-before-first",
    "cut-in-head",
    "cut-mid-text",
    "cut-mid-tool",
    "cut-at:40",
    "end-at:40",
    "reset-at:40",
    "hang-before-head",
    "hang-after-head",
    "hang-mid-stream",
    "malformed",
    "bad-utf8",
    "html",
    "empty",
    "redirect",
    "bad-framing",
    "usage-absurd",
    "after-end",
    "no-usage",
    "huge-line",
];

/// Fields beyond the vendor's schema that the testkit sends on purpose, and a field that marks their objects:
/// `reasoning_content` comes from compatible servers, `details` is documented but not in the SDK's types,
/// `annotations` of a chunk come with a web search, `store` stands in the document's example of a response.
const EXTENSIONS: &[(&str, &str)] = &[
    ("reasoning_content", "content"),
    ("details", "message"),
    ("annotations", "refusal"),
    ("store", "incomplete_details"),
];

/// One compiled validator per root of a vendored file.
pub(crate) struct Schemas(HashMap<String, jsonschema::Validator>);

impl Schemas {
    pub(crate) fn new(text: &str) -> Self {
        let mut root: Value = serde_json::from_str(text).expect("a vendored schema is JSON");
        close(&mut root["$defs"]);
        let names: Vec<String> =
            serde_json::from_value(root["x-roots"].clone()).expect("x-roots are names");
        let compiled = names.into_iter().map(|name| {
            root["$ref"] = json!(format!("#/$defs/{name}"));
            (
                name,
                jsonschema::validator_for(&root).expect("a vendored schema compiles"),
            )
        });
        Self(compiled.collect())
    }

    #[track_caller]
    pub(crate) fn check(&self, name: &str, value: &Value) {
        let errors: Vec<String> = self.0[name]
            .iter_errors(value)
            .map(|error| format!("{error} at {}", error.instance_path()))
            .collect();
        assert!(errors.is_empty(), "{name}: {errors:#?}\n{value:#}");
    }
}

/// Forbids unknown fields in every object that names its fields.
fn close(schema: &mut Value) {
    if let Some(properties) = schema.get_mut("properties").and_then(Value::as_object_mut) {
        for (extension, mark) in EXTENSIONS {
            if properties.contains_key(*mark) {
                properties
                    .entry(*extension)
                    .or_insert_with(|| json!({"type": ["string", "object", "array", "boolean"]}));
            }
        }
        schema["additionalProperties"] = json!(false);
    }
    match schema {
        Value::Object(fields) => fields.values_mut().for_each(close),
        Value::Array(items) => items.iter_mut().for_each(close),
        _ => {}
    }
}

/// Scripts whose answer in chat and messages is an error behind a 200.
fn fails(name: &str) -> bool {
    name.starts_with("error-") || name == "failed"
}

pub(crate) fn whole_scripts() -> impl Iterator<Item = &'static str> {
    BUILTIN_NAMES
        .iter()
        .copied()
        .filter(|name| !BROKEN.contains(name))
}

#[tokio::test]
async fn chat_answers_have_openai_shape() {
    let provider = TestProvider::start(Dialect::OpenAi).await.unwrap();
    let schemas = Schemas::new(OPENAI);
    for name in whole_scripts() {
        let reply = ask(&provider, name, false).await;
        let value = reply.json();
        let schema = if value.get("error").is_some() {
            "ErrorResponse"
        } else {
            "CreateChatCompletionResponse"
        };
        assert_eq!(
            reply.status >= 400 || fails(name),
            schema == "ErrorResponse",
            "{name}"
        );
        // Azure's filter adds fields that OpenAI's schema does not have.
        if name != "e400-filter" {
            schemas.check(schema, &value);
        }
    }
}

#[tokio::test]
async fn chat_streams_have_openai_shape() {
    let provider = TestProvider::start(Dialect::OpenAi).await.unwrap();
    let schemas = Schemas::new(OPENAI);
    for name in whole_scripts().filter(|name| !matches!(name.as_bytes(), [b'e', b'4' | b'5', ..])) {
        let reply = ask(&provider, name, true).await;
        assert_eq!((reply.status, reply.is_whole), (200, true), "{name}");
        let events = reply.events();
        assert!(!events.is_empty(), "{name}");
        for event in &events {
            let is_error = event.get("error").is_some();
            schemas.check(
                if is_error {
                    "ErrorResponse"
                } else {
                    "CreateChatCompletionStreamResponse"
                },
                event,
            );
        }
        let is_cut_short = fails(name) || name == "no-done";
        assert_eq!(
            reply.text().trim_end().ends_with("data: [DONE]"),
            !is_cut_short,
            "{name}"
        );
    }
}

#[tokio::test]
async fn messages_have_anthropic_shape_in_both_versions() {
    let provider = TestProvider::start(Dialect::Anthropic).await.unwrap();
    for schemas in [Schemas::new(ANTHROPIC_2023), Schemas::new(ANTHROPIC_2026)] {
        for name in whole_scripts() {
            let reply = ask(&provider, name, false).await;
            let value = reply.json();
            if value["type"] != "error" {
                schemas.check("Message", &value);
                continue;
            }
            // The SDK's union lacks three of the error types that the documentation lists.
            if !matches!(
                value["error"]["type"].as_str(),
                Some("conflict_error" | "request_too_large")
            ) {
                schemas.check("ErrorResponse", &value);
            }
        }
    }
}

#[tokio::test]
async fn message_streams_have_anthropic_shape_and_order() {
    let provider = TestProvider::start(Dialect::Anthropic).await.unwrap();
    let schemas = Schemas::new(ANTHROPIC_2026);
    for name in whole_scripts().filter(|name| !matches!(name.as_bytes(), [b'e', b'4' | b'5', ..])) {
        let reply = ask(&provider, name, true).await;
        assert_eq!((reply.status, reply.is_whole), (200, true), "{name}");
        let mut open: Option<u64> = None;
        let mut next = 0;
        for event in reply.events() {
            match event["type"].as_str().unwrap_or_default() {
                "ping" => continue,
                "error" => {
                    assert!(fails(name), "{name}");
                    continue;
                }
                "content_block_start" => {
                    assert_eq!(
                        (open, event["index"].as_u64()),
                        (None, Some(next)),
                        "{name}"
                    );
                    open = Some(next);
                    next += 1;
                }
                "content_block_delta" => assert_eq!(event["index"].as_u64(), open, "{name}"),
                "content_block_stop" => assert_eq!(event["index"].as_u64(), open.take(), "{name}"),
                _ => assert_eq!(open, None, "{name}"),
            }
            schemas.check("RawMessageStreamEvent", &event);
        }
        let text = reply.text();
        for line in text.lines().filter_map(|line| line.strip_prefix("data: ")) {
            let kind = serde_json::from_str::<Value>(line).unwrap()["type"]
                .as_str()
                .unwrap()
                .to_owned();
            assert!(text.contains(&format!("event: {kind}")), "{name}");
        }
    }
}

#[tokio::test]
async fn other_endpoints_have_openai_shape() {
    let provider = TestProvider::start(Dialect::OpenAi).await.unwrap();
    let schemas = Schemas::new(OPENAI);
    let completion = post(
        &provider,
        "/v1/completions",
        &json!({"model": "text", "prompt": "Once"}),
    )
    .await;
    schemas.check("CreateCompletionResponse", &completion.json());
    let streamed = post(
        &provider,
        "/v1/completions",
        &json!({"model": "text", "prompt": "Once", "stream": true}),
    )
    .await;
    for event in streamed.events() {
        assert_eq!(
            (&event["object"], event["choices"][0]["index"].as_u64()),
            (&json!("text_completion"), Some(0))
        );
    }
    let embedding = json!({"model": "text-embedding-3-small", "input": ["one", "two"], "encoding_format": "float"});
    schemas.check(
        "CreateEmbeddingResponse",
        &post(&provider, "/v1/embeddings", &embedding).await.json(),
    );
    let list = exchange(
        provider.addr(),
        &request("GET", "/v1/models", "", "connection: close\r\n"),
    )
    .await;
    schemas.check("ListModelsResponse", &list.json());
}

#[tokio::test]
async fn other_endpoints_have_anthropic_shape() {
    let provider = TestProvider::start(Dialect::Anthropic).await.unwrap();
    let schemas = Schemas::new(ANTHROPIC_2026);
    let count =
        json!({"model": "text", "messages": [{"role": "user", "content": "one two three"}]});
    let counted = post(&provider, "/v1/messages/count_tokens", &count)
        .await
        .json();
    schemas.check("MessageTokensCount", &counted);
    assert_eq!(counted["input_tokens"], 3);
    let list = exchange(
        provider.addr(),
        &request("GET", "/v1/models?limit=2", "", "connection: close\r\n"),
    )
    .await;
    let page = list.json();
    assert_eq!(
        (page["data"].as_array().map(Vec::len), &page["has_more"]),
        (Some(2), &json!(true))
    );
    schemas.check("ModelInfo", &page["data"][0]);
}

#[test]
fn the_table_in_the_documentation_names_every_builtin() {
    let table = include_str!("../../src/lib.rs");
    for name in BUILTIN_NAMES {
        let base = name.split(':').next().unwrap();
        let documented = if matches!(base.as_bytes(), [b'e', b'4' | b'5', ..])
            && !base.ends_with("context")
            && !base.ends_with("quota")
        {
            "e<status>".to_owned()
        } else {
            base.to_owned()
        };
        assert!(
            table.contains(&format!("`{documented}")),
            "{name} is not in the table of lib.rs"
        );
    }
}
