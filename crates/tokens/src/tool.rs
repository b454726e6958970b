//! Counts the description of one tool.

use serde_json::Value;

use crate::Counter;
use crate::conversation::{Tool, sum};

/// Around the properties of a function, around each of them, and before each value of an enum.
const PROPERTIES: u64 = 3;
const PROPERTY: u64 = 3;
const ENUM_VALUE: u64 = 3;
/// A list of values takes the place of what else would be said of the property.
const ENUM: u64 = 3;
/// Around a tool whose form nobody publishes.
const TOOL: u64 = 8;

/// The rule `num_tokens_for_tools` of OpenAI's cookbook. It is silent on what is nested in a property; that counts as its JSON.
pub(crate) fn as_openai_writes(tool: &Tool<'_>, counter: Counter, per_function: u64) -> u64 {
    let description = tool.description.unwrap_or_default();
    let line = format!("{}:{}", tool.name, without_stop(description));
    let head = per_function.saturating_add(counter.count(&line));
    let Some(parameters) = tool.parameters else {
        return head;
    };
    let Ok(schema) = serde_json::from_str::<Value>(parameters) else {
        return head.saturating_add(counter.count(parameters));
    };
    let Some(properties) = schema.get("properties").and_then(Value::as_object) else {
        return head;
    };
    if properties.is_empty() {
        return head;
    }
    let each = properties
        .iter()
        .map(|(name, of)| property(name, of, counter));
    head.saturating_add(PROPERTIES).saturating_add(sum(each))
}

/// The tool as its JSON texts.
pub(crate) fn as_json(tool: &Tool<'_>, counter: Counter) -> u64 {
    sum(tool.texts().map(|text| counter.count(text))).saturating_add(TOOL)
}

fn property(name: &str, schema: &Value, counter: Counter) -> u64 {
    let text = |field: &str| {
        schema
            .get(field)
            .and_then(Value::as_str)
            .unwrap_or_default()
    };
    let line = format!(
        "{name}:{}:{}",
        text("type"),
        without_stop(text("description"))
    );
    let head = PROPERTY.saturating_add(counter.count(&line));
    let nested = ["properties", "items", "anyOf", "oneOf", "allOf", "$ref"]
        .into_iter()
        .filter_map(|field| schema.get(field))
        .map(|value| counter.count(&value.to_string()));
    let head = head.saturating_add(sum(nested));
    let Some(values) = schema.get("enum").and_then(Value::as_array) else {
        return head;
    };
    let values = values.iter().map(|value| {
        let count = match value {
            Value::String(text) => counter.count(text),
            other => counter.count(&other.to_string()),
        };
        count.saturating_add(ENUM_VALUE)
    });
    head.saturating_add(sum(values)).saturating_sub(ENUM)
}

fn without_stop(text: &str) -> &str {
    text.strip_suffix('.').unwrap_or(text)
}
