//! Tools, tool choice and structured output of a chat request.

use serde_json::{Map, Value};

use super::check::{Checked, refuse};
use crate::ask::{Structured, Tool, ToolChoice, text_of};

pub(crate) fn is_tool_name(name: &str, limit: usize) -> bool {
    (1..=limit).contains(&name.len())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'))
}

pub(super) fn check_tools(fields: &Map<String, Value>) -> Checked<Vec<Tool>> {
    let tools = match fields.get("tools") {
        None | Some(Value::Null) => return Ok(Vec::new()),
        Some(Value::Array(tools)) if tools.is_empty() => {
            return refuse(
                "tools",
                "empty_array",
                "Invalid 'tools': empty array. Expected an array with minimum length 1, but got an empty array instead.",
            );
        }
        Some(Value::Array(tools)) => tools,
        Some(_) => {
            return refuse(
                "tools",
                "invalid_type",
                "Invalid type for 'tools': expected an array of objects.",
            );
        }
    };
    let mut out = Vec::new();
    for (index, tool) in tools.iter().enumerate() {
        match tool["type"].as_str() {
            Some("function") => out.push(check_function(
                &format!("tools[{index}].function"),
                &tool["function"],
            )?),
            Some("custom") => {}
            other => {
                let kind = other.unwrap_or_default();
                return refuse(
                    format!("tools[{index}].type"),
                    "invalid_value",
                    format!(
                        "Invalid value: '{kind}'. Supported values are: 'function' and 'custom'."
                    ),
                );
            }
        }
    }
    Ok(out)
}

fn check_function(at: &str, function: &Value) -> Checked<Tool> {
    let Some(fields) = function.as_object() else {
        return refuse(
            at,
            "missing_required_parameter",
            format!("Missing required parameter: '{at}'."),
        );
    };
    let known = ["name", "description", "parameters", "strict"];
    if let Some(unknown) = fields.keys().find(|key| !known.contains(&key.as_str())) {
        return refuse(
            format!("{at}.{unknown}"),
            "unknown_parameter",
            format!("Unknown parameter: '{at}.{unknown}'."),
        );
    }
    let name = function["name"].as_str().unwrap_or_default();
    if !is_tool_name(name, 64) {
        return refuse(
            format!("{at}.name"),
            "invalid_value",
            format!(
                "Invalid '{at}.name': string does not match pattern. Expected a string that matches the pattern '^[a-zA-Z0-9_-]+$'."
            ),
        );
    }
    let schema = function["parameters"].clone();
    let is_empty = schema.is_null() || schema.as_object().is_some_and(serde_json::Map::is_empty);
    if !is_empty && schema["type"] != "object" {
        return refuse(
            format!("{at}.parameters"),
            "invalid_function_parameters",
            format!(
                "Invalid schema for function '{name}': schema must be a JSON Schema of 'type: \"object\"'."
            ),
        );
    }
    if function["strict"] == true {
        check_strict(
            &schema,
            &format!("function '{name}'"),
            &format!("{at}.parameters"),
            "invalid_function_parameters",
        )?;
    }
    Ok(Tool {
        name: name.to_owned(),
        schema,
    })
}

pub(super) fn check_tool_choice(
    fields: &Map<String, Value>,
    tools: &[Tool],
) -> Checked<ToolChoice> {
    let choice = fields.get("tool_choice").unwrap_or(&Value::Null);
    if choice.is_null() {
        return Ok(ToolChoice::Auto);
    }
    if !fields.contains_key("tools") && choice != "none" {
        return refuse(
            "tool_choice",
            "",
            "'tool_choice' is only allowed when 'tools' are specified.",
        );
    }
    match choice {
        Value::String(word) => match word.as_str() {
            "none" => Ok(ToolChoice::None),
            "auto" | "required" => Ok(ToolChoice::Auto),
            _ => refuse(
                "tool_choice",
                "invalid_value",
                format!(
                    "Invalid value: '{word}'. Supported values are: 'none', 'auto', and 'required'."
                ),
            ),
        },
        named => match named["function"]["name"].as_str() {
            Some(name) if tools.iter().any(|tool| tool.name == name) => {
                Ok(ToolChoice::Named(name.to_owned()))
            }
            Some(name) => refuse(
                "tool_choice",
                "",
                format!("Tool choice '{name}' not found in 'tools' parameter."),
            ),
            None if matches!(named["type"].as_str(), Some("allowed_tools" | "custom")) => {
                Ok(ToolChoice::Auto)
            }
            None => refuse(
                "tool_choice.function.name",
                "missing_required_parameter",
                "Missing required parameter: 'tool_choice.function.name'.",
            ),
        },
    }
}

pub(super) fn check_response_format(
    fields: &Map<String, Value>,
    messages: &[Value],
) -> Checked<Structured> {
    let format = fields.get("response_format").unwrap_or(&Value::Null);
    match format["type"].as_str() {
        None if format.is_null() => Ok(Structured::Off),
        Some("text") => Ok(Structured::Off),
        Some("json_object") => {
            let says_json = messages
                .iter()
                .any(|message| text_of(&message["content"]).to_lowercase().contains("json"));
            if !says_json {
                return refuse(
                    "messages",
                    "",
                    "'messages' must contain the word 'json' in some form, to use 'response_format' of type 'json_object'.",
                );
            }
            Ok(Structured::AnyObject)
        }
        Some("json_schema") => {
            let spec = &format["json_schema"];
            let name = spec["name"].as_str().unwrap_or_default();
            if !is_tool_name(name, 64) {
                return refuse(
                    "response_format.json_schema.name",
                    "missing_required_parameter",
                    "Missing required parameter: 'response_format.json_schema.name'.",
                );
            }
            if spec["strict"] == Value::Bool(true) {
                check_strict(
                    &spec["schema"],
                    &format!("response_format '{name}'"),
                    "response_format",
                    "",
                )?;
            }
            Ok(Structured::Schema(spec["schema"].clone()))
        }
        other => refuse(
            "response_format.type",
            "invalid_value",
            format!(
                "Invalid value: '{}'. Supported values are: 'json_object', 'json_schema', and 'text'.",
                other.unwrap_or_default()
            ),
        ),
    }
}

/// Strict schemas: every object closed, every property required.
pub(crate) fn check_strict(
    schema: &Value,
    of: &str,
    param: &str,
    code: &'static str,
) -> Checked<()> {
    if let Some(properties) = schema.get("properties").and_then(Value::as_object) {
        if schema.get("additionalProperties") != Some(&Value::Bool(false)) {
            return refuse(
                param,
                code,
                format!(
                    "Invalid schema for {of}: In context=(), 'additionalProperties' is required to be supplied and to be false."
                ),
            );
        }
        let required = schema.get("required").and_then(Value::as_array);
        if let Some(optional) = properties
            .keys()
            .find(|name| !required.is_some_and(|names| names.iter().any(|n| n == name.as_str())))
        {
            return refuse(
                param,
                code,
                format!(
                    "Invalid schema for {of}: In context=(), 'required' is required to be supplied and to be an array including every key in properties. Missing '{optional}'."
                ),
            );
        }
    }
    match schema {
        Value::Object(fields) => fields
            .values()
            .try_for_each(|inner| check_strict(inner, of, param, code)),
        Value::Array(items) => items
            .iter()
            .try_for_each(|inner| check_strict(inner, of, param, code)),
        _ => Ok(()),
    }
}
