//! What the Anthropic side accepts at the top of a request: version, fields, ranges, tools. The conversation
//! itself is `messages`. Field lists come from the official SDKs 2.11.0 (2026-10-21) and 0.125.0 (2023-06-01).

use serde_json::{Map, Value};

use super::errors::Refused;
use super::messages;
use crate::ask::{Ask, Structured, Tool, ToolChoice, words_within};
use crate::openai::tools::is_tool_name;

pub(super) type Checked<T> = Result<T, Box<Refused>>;

pub(super) fn refuse<T>(message: impl Into<String>) -> Checked<T> {
    Err(Box::new(Refused::bad(message)))
}

/// The API versions: 2026-10-21 took the sampling parameters away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Version {
    V2023,
    V2026,
}

const FIELDS: &[&str] = &[
    "cache_control",
    "container",
    "context_management",
    "diagnostics",
    "inference_geo",
    "max_tokens",
    "mcp_servers",
    "messages",
    "metadata",
    "model",
    "output_config",
    "service_tier",
    "speed",
    "stop_sequences",
    "stream",
    "system",
    "thinking",
    "tool_choice",
    "tools",
];
const SAMPLING: &[&str] = &["temperature", "top_k", "top_p"];
const COUNT_FIELDS: &[&str] = &[
    "cache_control",
    "context_management",
    "mcp_servers",
    "messages",
    "model",
    "output_config",
    "speed",
    "system",
    "thinking",
    "tool_choice",
    "tools",
];
const TOOL_FIELDS: &[&str] = &[
    "allowed_callers",
    "cache_control",
    "defer_loading",
    "description",
    "eager_input_streaming",
    "input_examples",
    "input_schema",
    "name",
    "strict",
    "type",
];

pub(crate) fn version(header: Option<&str>) -> Checked<Version> {
    match header {
        Some("2023-06-01") => Ok(Version::V2023),
        Some("2026-10-21") => Ok(Version::V2026),
        Some(other) => refuse(format!(
            "anthropic-version: \"{other}\" is not a valid version"
        )),
        None => refuse("anthropic-version: header is required"),
    }
}

pub(crate) fn create(body: &Value, version: Version) -> Checked<Ask> {
    let sampling: &[&str] = if version == Version::V2023 {
        SAMPLING
    } else {
        &[]
    };
    let fields = object(body, &[FIELDS, sampling].concat())?;
    required(fields, "max_tokens")?;
    match fields["max_tokens"].as_u64() {
        Some(_) => {}
        None => {
            return refuse(
                "max_tokens: Input should be a valid integer, greater than or equal to 0",
            );
        }
    }
    for (name, high) in [("temperature", 1.0), ("top_p", 1.0)] {
        if let Some(value) = fields.get(name)
            && !value
                .as_f64()
                .is_some_and(|number| (0.0..=high).contains(&number))
        {
            return refuse(format!("{name}: range: 0..1"));
        }
    }
    if fields
        .get("top_k")
        .is_some_and(|value| value.as_u64().is_none())
    {
        return refuse("top_k: Input should be greater than or equal to 0");
    }
    if fields
        .get("stream")
        .is_some_and(|value| !value.is_boolean())
    {
        return refuse("stream: Input should be a valid boolean");
    }
    check_stops(fields)?;
    if let Some(metadata) = fields.get("metadata").and_then(Value::as_object)
        && let Some(unknown) = metadata.keys().find(|key| *key != "user_id")
    {
        return refuse(format!(
            "metadata.{unknown}: Extra inputs are not permitted"
        ));
    }
    if fields
        .get("service_tier")
        .is_some_and(|tier| !matches!(tier.as_str(), Some("auto" | "standard_only")))
    {
        return refuse("service_tier: Input should be 'auto' or 'standard_only'");
    }
    read(fields, version)
}

pub(crate) fn count_tokens(body: &Value, version: Version) -> Checked<Ask> {
    read(object(body, COUNT_FIELDS)?, version)
}

fn read(fields: &Map<String, Value>, version: Version) -> Checked<Ask> {
    check_system(fields)?;
    let thinking = check_thinking(fields)?;
    let structured = check_output_config(fields)?;
    let tools = check_tools(fields)?;
    let (tool_choice, parallel) = check_tool_choice(fields, &tools)?;
    let conversation = messages::check(&fields["messages"], version, thinking)?;
    Ok(Ask {
        model: fields["model"].as_str().unwrap_or_default().to_owned(),
        stream: fields
            .get("stream")
            .and_then(Value::as_bool)
            .unwrap_or(false),
        shape: crate::route::Shape::Messages,
        include_usage: true,
        n: 1,
        last_user_text: conversation.last_user_text,
        tool_results: conversation.tool_results,
        tools,
        tool_choice,
        parallel,
        structured,
        stop: fields
            .get("stop_sequences")
            .and_then(Value::as_array)
            .map(|stops| {
                stops
                    .iter()
                    .filter_map(Value::as_str)
                    .map(ToOwned::to_owned)
                    .collect()
            })
            .unwrap_or_default(),
        cap: fields.get("max_tokens").and_then(Value::as_u64),
        words: words_within(&fields["messages"])
            + fields.get("system").map_or(0, |system| match system {
                Value::String(text) => crate::ask::words(text),
                blocks => words_within(blocks),
            }),
        omit_thinking: fields
            .get("thinking")
            .is_some_and(|thinking| thinking["display"] == "omitted"),
        ..Ask::default()
    })
}

fn object<'a>(body: &'a Value, known: &[&str]) -> Checked<&'a Map<String, Value>> {
    let Some(fields) = body.as_object() else {
        return refuse("The request body is not valid JSON");
    };
    if let Some(unknown) = fields.keys().find(|key| !known.contains(&key.as_str())) {
        return refuse(format!("{unknown}: Extra inputs are not permitted"));
    }
    required(fields, "model")?;
    if fields["model"].as_str().is_none_or(str::is_empty) {
        return refuse("model: String should have at least 1 character");
    }
    required(fields, "messages")?;
    Ok(fields)
}

fn required(fields: &Map<String, Value>, name: &str) -> Checked<()> {
    if fields.contains_key(name) {
        Ok(())
    } else {
        refuse(format!("{name}: Field required"))
    }
}

fn check_stops(fields: &Map<String, Value>) -> Checked<()> {
    let Some(stops) = fields.get("stop_sequences") else {
        return Ok(());
    };
    let Some(stops) = stops.as_array() else {
        return refuse("stop_sequences: Input should be a valid list");
    };
    for stop in stops {
        match stop.as_str() {
            Some(text) if text.trim().is_empty() => {
                return refuse("stop_sequences: each stop sequence must contain non-whitespace");
            }
            Some(_) => {}
            None => return refuse("stop_sequences: Input should be a valid string"),
        }
    }
    Ok(())
}

fn check_system(fields: &Map<String, Value>) -> Checked<()> {
    match fields.get("system") {
        None | Some(Value::String(_)) => Ok(()),
        Some(Value::Array(blocks)) => {
            for (index, block) in blocks.iter().enumerate() {
                if block["type"] != "text" {
                    return refuse(format!("system.{index}.type: Input should be 'text'"));
                }
                messages::check_text(block, "system")?;
            }
            Ok(())
        }
        Some(_) => refuse("system: Input should be a valid string or list"),
    }
}

/// Says whether manual thinking (`enabled`) is on.
fn check_thinking(fields: &Map<String, Value>) -> Checked<bool> {
    let Some(thinking) = fields.get("thinking") else {
        return Ok(false);
    };
    match thinking["type"].as_str() {
        Some("adaptive" | "disabled" | "between_tools") => Ok(false),
        Some("enabled") => {
            let Some(budget) = thinking["budget_tokens"].as_u64() else {
                return refuse("thinking.enabled.budget_tokens: Field required");
            };
            if budget < 1024 {
                return refuse(
                    "thinking.enabled.budget_tokens: Input should be greater than or equal to 1024",
                );
            }
            if fields
                .get("max_tokens")
                .and_then(Value::as_u64)
                .is_some_and(|max| max <= budget)
            {
                return refuse("`max_tokens` must be greater than `thinking.budget_tokens`.");
            }
            if matches!(
                fields
                    .get("tool_choice")
                    .and_then(|choice| choice["type"].as_str()),
                Some("any" | "tool")
            ) {
                return refuse("Thinking may not be enabled when tool_choice forces tool use.");
            }
            if fields
                .get("temperature")
                .and_then(Value::as_f64)
                .is_some_and(|value| value < 1.0)
            {
                return refuse("`temperature` may only be set to 1 when thinking is enabled.");
            }
            Ok(true)
        }
        _ => refuse(
            "thinking: Input tag does not match any of the expected tags: 'adaptive', 'between_tools', 'disabled', 'enabled'",
        ),
    }
}

fn check_output_config(fields: &Map<String, Value>) -> Checked<Structured> {
    let Some(config) = fields.get("output_config").and_then(Value::as_object) else {
        return Ok(Structured::Off);
    };
    if let Some(unknown) = config
        .keys()
        .find(|key| !matches!(key.as_str(), "effort" | "format"))
    {
        return refuse(format!(
            "output_config.{unknown}: Extra inputs are not permitted"
        ));
    }
    if let Some(effort) = config.get("effort").filter(|effort| !effort.is_null())
        && !matches!(
            effort.as_str(),
            Some("low" | "medium" | "high" | "xhigh" | "max")
        )
    {
        return refuse(
            "output_config.effort: Input should be 'low', 'medium', 'high', 'xhigh' or 'max'",
        );
    }
    match config.get("format") {
        None | Some(Value::Null) => Ok(Structured::Off),
        Some(format) if format["type"] == "json_schema" && format["schema"].is_object() => {
            check_closed(&format["schema"])?;
            Ok(Structured::Schema(format["schema"].clone()))
        }
        Some(_) => refuse("output_config.format: Input should be a 'json_schema' with a schema"),
    }
}

/// Structured output: every object must be closed.
fn check_closed(schema: &Value) -> Checked<()> {
    let is_object = schema.get("type").and_then(Value::as_str) == Some("object");
    if is_object && schema.get("additionalProperties") != Some(&Value::Bool(false)) {
        return refuse(
            "output_config.format.schema: For 'object' type, 'additionalProperties' must be explicitly set to false",
        );
    }
    match schema {
        Value::Object(fields) => fields.values().try_for_each(check_closed),
        Value::Array(items) => items.iter().try_for_each(check_closed),
        _ => Ok(()),
    }
}

fn check_tools(fields: &Map<String, Value>) -> Checked<Vec<Tool>> {
    let mut tools: Vec<Tool> = Vec::new();
    let Some(declared) = fields.get("tools") else {
        return Ok(tools);
    };
    let Some(declared) = declared.as_array() else {
        return refuse("tools: Input should be a valid list");
    };
    for (index, tool) in declared.iter().enumerate() {
        if !matches!(tool["type"].as_str(), None | Some("custom")) {
            continue;
        }
        let known = tool.as_object().into_iter().flatten();
        if let Some((unknown, _)) = known
            .into_iter()
            .find(|(key, _)| !TOOL_FIELDS.contains(&key.as_str()))
        {
            return refuse(format!(
                "tools.{index}.custom.{unknown}: Extra inputs are not permitted"
            ));
        }
        let name = tool["name"].as_str().unwrap_or_default();
        if !is_tool_name(name, 128) {
            return refuse(format!(
                "tools.{index}.custom.name: String should match pattern '^[a-zA-Z0-9_-]{{1,128}}$'"
            ));
        }
        if tool["input_schema"]["type"] != "object" {
            return refuse(format!(
                "tools.{index}.custom.input_schema.type: Input should be 'object'"
            ));
        }
        if tools.iter().any(|other| other.name == name) {
            return refuse("tools: Tool names must be unique.");
        }
        tools.push(Tool {
            name: name.to_owned(),
            schema: tool["input_schema"].clone(),
        });
    }
    Ok(tools)
}

fn check_tool_choice(fields: &Map<String, Value>, tools: &[Tool]) -> Checked<(ToolChoice, bool)> {
    let Some(choice) = fields.get("tool_choice") else {
        return Ok((ToolChoice::Auto, true));
    };
    let kind = choice["type"].as_str().unwrap_or_default();
    if matches!(kind, "any" | "tool" | "auto") && !fields.contains_key("tools") {
        return refuse("tool_choice: tool_choice may only be specified while providing tools.");
    }
    let known: &[&str] = match kind {
        "none" => &["type"],
        "auto" | "any" => &["type", "disable_parallel_tool_use"],
        "tool" => &["type", "name", "disable_parallel_tool_use"],
        _ => {
            return refuse(
                "tool_choice: Input tag does not match any of the expected tags: 'auto', 'any', 'tool', 'none'",
            );
        }
    };
    let present = choice.as_object().into_iter().flatten();
    if let Some((unknown, _)) = present
        .into_iter()
        .find(|(key, _)| !known.contains(&key.as_str()))
    {
        return refuse(format!(
            "tool_choice.{kind}.{unknown}: Extra inputs are not permitted"
        ));
    }
    let parallel = choice["disable_parallel_tool_use"] != Value::Bool(true);
    match kind {
        "none" => Ok((ToolChoice::None, parallel)),
        "tool" => match choice["name"].as_str() {
            Some(name) if tools.iter().any(|tool| tool.name == name) => {
                Ok((ToolChoice::Named(name.to_owned()), parallel))
            }
            _ => refuse("tool_choice.tool.name: Tool not found in provided tools"),
        },
        _ => Ok((ToolChoice::Auto, parallel)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Beta fields that the general SDK types leave out (digest of the API reference).
    const BETA: &[&str] = &["context_management", "mcp_servers"];

    /// The lists above hold every field of either SDK, and no other field but the beta ones.
    #[test]
    fn known_fields_are_the_vendors() {
        let schema_fields = |text| -> Vec<String> {
            let schemas: Value = serde_json::from_str(text).unwrap();
            serde_json::from_value(schemas["x-request-fields"]["MessageCreateParams"].clone())
                .unwrap()
        };
        let newest = schema_fields(include_str!("../../schemas/anthropic-2026-10-21.json"));
        let oldest = schema_fields(include_str!("../../schemas/anthropic-2023-06-01.json"));
        let ours = |extra: &[&'static str]| -> Vec<&str> {
            FIELDS
                .iter()
                .chain(extra)
                .copied()
                .filter(|field| !BETA.contains(field))
                .collect()
        };
        assert_eq!(newest, ours(&[]));
        let both = ours(SAMPLING);
        assert!(
            oldest.iter().all(|field| both.contains(&field.as_str())),
            "{oldest:?}"
        );
    }
}
