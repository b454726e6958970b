//! Responses, beyond what the fixtures show: the vendor's own schema, the way of a seal through a caller that
//! keeps nothing at the provider, custom tools, and the traps of this dialect by name.

#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test's own helpers may fail it, and `json!` writes what is expected"
)]

mod identity;
mod seals;
mod stored;
#[expect(dead_code, reason = "each test file uses some of it")]
#[path = "../support/mod.rs"]
mod support;
mod traps;

use std::collections::HashMap;

use bytes::Bytes;
use proptest::prelude::*;
use serde_json::{Value, json};
use support::{encoded, events, fixtures, frames, options};
use tollgate_base::Error;
use tollgate_dialect::{
    Dialect, Effort, EncodeOptions, ItemOrder, ModelTraits, Quirks, RawObject, Rendered, Target,
    cancelled_response, chat_needs_responses, decoder, deleted_response, expanded_request,
    input_items, input_items_page,
    ir::{Event, Response},
    output_items, parse_request, parse_response, patch_request, read_head, read_reply,
    render_request, render_response, render_stream_error,
};

const SCHEMA: &str = include_str!("../schemas/openai_responses.json");
/// What a coding agent asks, as its reply repeats it.
const ASKED: &str = r#"{"model":"m","instructions":"Be brief.","input":"Hi","stream":true,"store":false,"temperature":0.5,"max_output_tokens":100,"metadata":{"a":"b"},"parallel_tool_calls":false,"reasoning":{"effort":"low","summary":"auto"},"include":["reasoning.encrypted_content"],"text":{"verbosity":"low","format":{"type":"json_schema","name":"x","schema":{"type":"object"},"strict":false}},"tool_choice":{"type":"function","name":"get_weather"},"tools":[{"type":"function","name":"get_weather"},{"type":"custom","name":"apply_patch","description":"d"}],"truncation":"auto","user":"u","prompt_cache_key":"k"}"#;

fn raw(text: &str) -> RawObject {
    let body = Bytes::copy_from_slice(text.as_bytes());
    RawObject::parse(body).unwrap_or_else(|error| panic!("{error}: {text}"))
}

fn body(rendered: &Rendered) -> Value {
    serde_json::from_slice(&rendered.body).unwrap()
}

fn rendered(from: Dialect, text: &str, to: Dialect) -> Rendered {
    let (traits, quirks) = (ModelTraits::default(), Quirks::default());
    let request = parse_request(from, &raw(text)).unwrap();
    render_request(to, &request, target(&traits, &quirks)).unwrap()
}

fn target<'a>(traits: &'a ModelTraits, quirks: &'a Quirks) -> Target<'a> {
    Target {
        model: "m",
        traits,
        quirks,
        max_output: None,
    }
}

fn asked() -> EncodeOptions {
    EncodeOptions {
        request: Some(raw(ASKED)),
        ..options()
    }
}

/// The data of each event, with its name checked.
fn told(out: &[u8]) -> Vec<Value> {
    let (all, rest) = frames(&[out]);
    assert!(rest.is_empty());
    all.iter()
        .filter_map(|frame| {
            let value: Value = serde_json::from_slice(frame.data.as_ref()?).unwrap();
            let name = frame.event.as_deref().unwrap();
            assert_eq!(value["type"].as_str().unwrap().as_bytes(), name);
            Some(value)
        })
        .collect()
}

/// A validator for each root, by its name and by the type of event that it is.
struct Schemas(HashMap<String, jsonschema::Validator>);

impl Schemas {
    fn new() -> Self {
        let mut root: Value = serde_json::from_str(SCHEMA).unwrap();
        close(&mut root["$defs"]);
        let names: Vec<String> = serde_json::from_value(root["x-roots"].clone()).unwrap();
        let mut all = HashMap::new();
        for name in names {
            root["$ref"] = json!(format!("#/$defs/{name}"));
            let kind = root["$defs"][&name]["properties"]["type"]["enum"][0].clone();
            let key = kind.as_str().map_or(name, str::to_owned);
            all.insert(key, jsonschema::validator_for(&root).unwrap());
        }
        Self(all)
    }

    #[track_caller]
    fn check(&self, name: &str, value: &Value) {
        let schema = &self.0.get(name).unwrap_or_else(|| panic!("no {name}"));
        let errors: Vec<String> = schema
            .iter_errors(value)
            .map(|error| format!("{error} at {}", error.instance_path()))
            .collect();
        assert!(errors.is_empty(), "{name}: {errors:#?}\n{value:#}");
    }
}

/// Forbids unknown fields in every object that names its fields. `store` is in the vendor's examples of a
/// response and not in its schema.
fn close(schema: &mut Value) {
    if let Some(properties) = schema.get_mut("properties").and_then(Value::as_object_mut) {
        if properties.contains_key("incomplete_details") {
            properties.insert("store".to_owned(), json!({"type": "boolean"}));
        }
        schema["additionalProperties"] = json!(false);
    }
    match schema {
        Value::Object(fields) => fields.values_mut().for_each(close),
        Value::Array(items) => items.iter_mut().for_each(close),
        _ => {}
    }
}

#[test]
fn whole_replies_have_the_vendors_shape() {
    let schemas = Schemas::new();
    let mut n = 0;
    for fixture in fixtures("response") {
        let Ok(response) = parse_response(fixture.dialect, fixture.content.trim_ascii()) else {
            continue;
        };
        for options in [options(), asked()] {
            let whole = render_response(Dialect::OpenAiResponses, &response, &options);
            schemas.check("Response", &serde_json::from_slice(&whole).unwrap());
            n += 1;
        }
    }
    assert!(n > 20, "{n}");
}

#[test]
fn every_event_of_a_stream_has_the_vendors_shape_and_its_number() {
    let schemas = Schemas::new();
    let mut kinds = std::collections::BTreeSet::new();
    for fixture in fixtures("stream") {
        let (all, _) = frames(&[&fixture.content]);
        let events = events(&mut *decoder(fixture.dialect), &all);
        for options in [options(), asked()] {
            let out = encoded(Dialect::OpenAiResponses, options, &events);
            for (n, event) in told(&out).iter().enumerate() {
                let kind = event["type"].as_str().unwrap();
                schemas.check(kind, event);
                if kind != "error" {
                    assert_eq!(event["sequence_number"], n, "{}", fixture.name);
                }
                kinds.insert(kind.to_owned());
            }
        }
    }
    // Everything that this dialect's encoder can say was said, and judged.
    assert_eq!(kinds.len(), 22, "{kinds:?}");
}

#[test]
fn t33_the_last_event_holds_the_whole_response() {
    for fixture in fixtures("stream") {
        let (all, _) = frames(&[&fixture.content]);
        let events = events(&mut *decoder(fixture.dialect), &all);
        let Ok(reply) = Response::from_events(events.clone()) else {
            continue;
        };
        let out = encoded(Dialect::OpenAiResponses, asked(), &events);
        let all = told(&out);
        let whole = render_response(Dialect::OpenAiResponses, &reply, &asked());
        let whole: Value = serde_json::from_slice(&whole).unwrap();
        assert_eq!(all.last().unwrap()["response"], whole, "{}", fixture.name);
        assert!(whole["usage"]["total_tokens"].is_u64(), "{}", fixture.name);
        let done: Vec<&Value> = all
            .iter()
            .filter(|event| event["type"] == "response.output_item.done")
            .map(|event| &event["item"])
            .collect();
        let output = whole["output"].as_array().unwrap();
        assert_eq!(done.len(), output.len(), "{}", fixture.name);
        assert!(output.iter().all(|item| done.contains(&item)));
    }
}

#[test]
fn a_reply_repeats_what_the_caller_asked() {
    let whole = render_response(Dialect::OpenAiResponses, &Response::default(), &asked());
    let whole: Value = serde_json::from_slice(&whole).unwrap();
    let request: Value = serde_json::from_str(ASKED).unwrap();
    for name in [
        "instructions",
        "store",
        "temperature",
        "max_output_tokens",
        "metadata",
        "parallel_tool_calls",
        "reasoning",
        "text",
        "tool_choice",
        "truncation",
        "user",
    ] {
        assert_eq!(whole[name], request[name], "{name}");
    }
    assert_eq!(
        whole["tools"][0],
        json!({"type":"function","name":"get_weather","parameters":null,"strict":false})
    );
}
