//! What a request asks for, read alike from all dialects: all that a script may depend on.
//!
//! Reading assumes a body that the dialect's `check` has accepted; what is absent reads as empty.

use serde_json::Value;

use crate::route::Shape;

#[derive(Debug, Clone, Default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "independent switches of a request, as both vendors have them"
)]
pub(crate) struct Ask {
    pub(crate) model: String,
    pub(crate) stream: bool,
    /// The family of shapes: chat, responses, messages or Gemini, however its stream is framed.
    pub(crate) shape: Shape,
    /// Chat only: the caller wants a usage chunk.
    pub(crate) include_usage: bool,
    /// Chat only: how many choices.
    pub(crate) n: u32,
    pub(crate) last_user_text: String,
    /// Results given since the last assistant turn, in order.
    pub(crate) tool_results: Vec<String>,
    pub(crate) tools: Vec<Tool>,
    /// Responses only: names of the declared custom tools.
    pub(crate) custom_tools: Vec<String>,
    pub(crate) tool_choice: ToolChoice,
    pub(crate) parallel: bool,
    pub(crate) structured: Structured,
    pub(crate) stop: Vec<String>,
    pub(crate) cap: Option<u64>,
    /// Words of all text in the request: the scripted tokenizer.
    pub(crate) words: u64,
    /// Anthropic only: thinking text is to be left empty.
    pub(crate) omit_thinking: bool,
    /// Responses and Gemini: thinking is to be shown.
    pub(crate) shows_thinking: bool,
    /// Responses only: reasoning items carry their sealed content.
    pub(crate) seals_thinking: bool,
}

#[derive(Debug, Clone)]
pub(crate) struct Tool {
    pub(crate) name: String,
    pub(crate) schema: Value,
}

#[derive(Debug, Clone, Default)]
pub(crate) enum ToolChoice {
    #[default]
    Auto,
    None,
    Named(String),
}

#[derive(Debug, Clone, Default)]
pub(crate) enum Structured {
    #[default]
    Off,
    AnyObject,
    Schema(Value),
}

impl Ask {
    /// The tool the script calls: the named one, else the first.
    pub(crate) fn called_tool(&self) -> Option<&Tool> {
        match &self.tool_choice {
            ToolChoice::None => None,
            ToolChoice::Auto => self.tools.first(),
            ToolChoice::Named(name) => self.tools.iter().find(|tool| tool.name == *name),
        }
    }
}

pub(crate) fn words(text: &str) -> u64 {
    text.split_whitespace().count() as u64
}

/// The text of a content field in either dialect: a string, or the `text` of its parts joined by newlines.
pub(crate) fn text_of(content: &Value) -> String {
    match content {
        Value::String(text) => text.clone(),
        Value::Array(parts) => {
            let texts: Vec<&str> = parts
                .iter()
                .filter_map(|part| part.get("text").and_then(Value::as_str))
                .collect();
            texts.join("\n")
        }
        _ => String::new(),
    }
}

/// Every word below `value` that stands in a `text` or string `content`, whatever the nesting.
pub(crate) fn words_within(value: &Value) -> u64 {
    match value {
        Value::Array(items) => items.iter().map(words_within).sum(),
        Value::Object(fields) => fields
            .iter()
            .map(|(key, field)| match (key.as_str(), field) {
                ("text" | "content" | "thinking" | "arguments", Value::String(text)) => words(text),
                (_, Value::Array(_) | Value::Object(_)) => words_within(field),
                _ => 0,
            })
            .sum(),
        _ => 0,
    }
}

/// JSON text that satisfies `schema`: what a model with structured output would write.
///
/// With `all`, every property is present; else only the required ones. Covers what the vendors' schema
/// subsets allow: types, enum, const, local `$ref`, unions by their first variant.
pub(crate) fn example_json(schema: &Value, all: bool) -> String {
    let mut out = String::new();
    write_example(schema, schema, all, 0, &mut out);
    out
}

fn write_example(schema: &Value, root: &Value, all: bool, depth: usize, out: &mut String) {
    if depth > 16 {
        out.push_str("null");
        return;
    }
    if let Some(target) = schema.get("$ref").and_then(Value::as_str) {
        let target = target
            .strip_prefix('#')
            .and_then(|pointer| root.pointer(pointer))
            .unwrap_or(&Value::Null);
        return write_example(target, root, all, depth + 1, out);
    }
    if let Some(fixed) = schema
        .get("const")
        .or_else(|| schema.get("enum").and_then(|values| values.get(0)))
    {
        out.push_str(&fixed.to_string());
        return;
    }
    for union in ["anyOf", "oneOf", "allOf"] {
        if let Some(first) = schema.get(union).and_then(|variants| variants.get(0)) {
            return write_example(first, root, all, depth + 1, out);
        }
    }
    let kind = match schema.get("type") {
        Some(Value::Array(kinds)) => kinds.first().and_then(Value::as_str),
        Some(kind) => kind.as_str(),
        None if depth == 0 || schema.get("properties").is_some() => Some("object"),
        None => None,
    };
    match kind {
        Some("object") => write_object(schema, root, all, depth, out),
        Some("array") => {
            out.push('[');
            if let Some(items) = schema.get("items") {
                write_example(items, root, all, depth + 1, out);
            }
            out.push(']');
        }
        Some("integer") => {
            let bound = |name: &str| schema.get(name).and_then(Value::as_i64);
            let number = 7
                .max(bound("minimum").unwrap_or(7))
                .min(bound("maximum").unwrap_or(i64::MAX));
            out.push_str(&number.to_string());
        }
        Some("number") => out.push_str("1.5"),
        Some("boolean") => out.push_str("true"),
        Some("null") => out.push_str("null"),
        _ => out.push_str("\"Paris\""),
    }
}

fn write_object(schema: &Value, root: &Value, all: bool, depth: usize, out: &mut String) {
    let required: Vec<&str> = schema
        .get("required")
        .and_then(Value::as_array)
        .map(|names| names.iter().filter_map(Value::as_str).collect())
        .unwrap_or_default();
    let empty = serde_json::Map::new();
    let properties = schema
        .get("properties")
        .and_then(Value::as_object)
        .unwrap_or(&empty);
    let names = required.iter().copied().chain(
        properties
            .keys()
            .map(String::as_str)
            .filter(|name| all && !required.contains(name)),
    );
    out.push('{');
    for (position, name) in names.enumerate() {
        if position > 0 {
            out.push(',');
        }
        out.push_str(&crate::json::quote(name));
        out.push(':');
        write_example(
            properties.get(name).unwrap_or(&Value::Null),
            root,
            all,
            depth + 1,
            out,
        );
    }
    out.push('}');
}
