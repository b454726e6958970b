//! The rules of a chat conversation: roles and their fields, content parts by role, every call answered by a
//! tool message before the next turn.

use serde_json::Value;

use super::check::{Checked, refuse};

const ASSISTANT_FIELDS: &[&str] = &[
    "role",
    "content",
    "name",
    "refusal",
    "audio",
    "tool_calls",
    "function_call",
    "annotations",
    "reasoning_content",
];

pub(super) fn role(message: &Value) -> &str {
    message["role"].as_str().unwrap_or_default()
}

pub(super) fn check_messages(messages: &[Value]) -> Checked<()> {
    let mut open: Vec<&str> = Vec::new();
    for (index, message) in messages.iter().enumerate() {
        check_message(index, message)?;
        if role(message) == "tool" {
            let id = message["tool_call_id"].as_str().unwrap_or_default();
            let Some(position) = open.iter().position(|waiting| *waiting == id) else {
                return refuse(
                    format!("messages.[{index}].role"),
                    "",
                    "Invalid parameter: messages with role 'tool' must be a response to a preceeding message with 'tool_calls'.",
                );
            };
            open.remove(position);
            continue;
        }
        all_answered(&open, index)?;
        open = message["tool_calls"]
            .as_array()
            .map(|calls| {
                calls
                    .iter()
                    .filter_map(|call| call["id"].as_str())
                    .collect()
            })
            .unwrap_or_default();
    }
    all_answered(&open, messages.len())
}

fn all_answered(open: &[&str], index: usize) -> Checked<()> {
    if open.is_empty() {
        return Ok(());
    }
    refuse(
        format!("messages.[{index}].role"),
        "",
        format!(
            "An assistant message with 'tool_calls' must be followed by tool messages responding to each 'tool_call_id'. The following tool_call_ids did not have response messages: {}",
            open.join(", ")
        ),
    )
}

fn check_message(index: usize, message: &Value) -> Checked<()> {
    let at = |field: &str| format!("messages[{index}].{field}");
    let Some((fields, parts)) = allowed(role(message)) else {
        let role = role(message);
        return refuse(
            at("role"),
            "invalid_value",
            format!(
                "Invalid value: '{role}'. Supported values are: 'system', 'assistant', 'user', 'function', 'tool', and 'developer'."
            ),
        );
    };
    let mut present = message.as_object().into_iter().flatten();
    if let Some((unknown, _)) = present.find(|(key, _)| !fields.contains(&key.as_str())) {
        return refuse(
            at(unknown),
            "unknown_parameter",
            format!("Unknown parameter: '{}'.", at(unknown)),
        );
    }
    check_content(&at("content"), message, parts)?;
    for (call, item) in message["tool_calls"]
        .as_array()
        .into_iter()
        .flatten()
        .enumerate()
    {
        check_call(&at(&format!("tool_calls[{call}]")), item)?;
    }
    if role(message) == "tool" && !message["tool_call_id"].is_string() {
        let param = at("tool_call_id");
        return refuse(
            param.clone(),
            "missing_required_parameter",
            format!("Missing required parameter: '{param}'."),
        );
    }
    Ok(())
}

/// Fields and content parts by role. `reasoning_content` and `annotations` come back from callers who replay
/// an answer as they got it.
fn allowed(role: &str) -> Option<(&'static [&'static str], &'static [&'static str])> {
    match role {
        "system" | "developer" => Some((&["role", "content", "name"], &["text"])),
        "user" => Some((
            &["role", "content", "name"],
            &["text", "image_url", "input_audio", "file"],
        )),
        "assistant" => Some((ASSISTANT_FIELDS, &["text", "refusal"])),
        "tool" => Some((&["role", "content", "tool_call_id"], &["text"])),
        "function" => Some((&["role", "content", "name"], &[])),
        _ => None,
    }
}

fn check_content(at: &str, message: &Value, parts: &[&str]) -> Checked<()> {
    let speaks_otherwise = ["tool_calls", "function_call", "refusal", "audio"]
        .iter()
        .any(|field| !message[field].is_null());
    match &message["content"] {
        Value::String(_) => Ok(()),
        Value::Null if role(message) == "assistant" && speaks_otherwise => Ok(()),
        Value::Array(items) => {
            for (part, item) in items.iter().enumerate() {
                let kind = item["type"].as_str().unwrap_or_default();
                if !parts.contains(&kind) || !item[kind].is_string() && !item[kind].is_object() {
                    let supported = parts.join("', '");
                    return refuse(
                        format!("{at}[{part}].type"),
                        "invalid_value",
                        format!("Invalid value: '{kind}'. Supported values are: '{supported}'."),
                    );
                }
            }
            Ok(())
        }
        other => refuse(
            at,
            "invalid_type",
            format!(
                "Invalid type for '{at}': expected one of a string or array of objects, but got {other} instead."
            ),
        ),
    }
}

fn check_call(at: &str, call: &Value) -> Checked<()> {
    let custom = call["type"] == "custom" && call["custom"]["name"].is_string();
    let function = call["type"] == "function" && call["function"]["name"].is_string();
    if !call["id"].is_string() || !(custom || function) {
        return refuse(
            at,
            "missing_required_parameter",
            format!("Missing required parameter: '{at}.id'."),
        );
    }
    if function && !call["function"]["arguments"].is_string() {
        return refuse(
            format!("{at}.function.arguments"),
            "invalid_type",
            format!("Invalid type for '{at}.function.arguments': expected a string."),
        );
    }
    Ok(())
}
