//! The rules of input items: their fields, content parts by role, every output behind its call, every call with
//! its output, sealed reasoning unbroken.

use serde_json::Value;

use crate::openai::check::{Checked, refuse};
use crate::turn::{Signature, check_signature};

/// What the script may depend on.
#[derive(Debug, Default)]
pub(super) struct Conversation {
    pub(super) last_user_text: String,
    /// Outputs given since the last assistant item, in order.
    pub(super) tool_results: Vec<String>,
}

/// Checks the input as it continues `earlier` items.
pub(super) fn check(input: &Value, earlier: &[Value]) -> Checked<Conversation> {
    let items = match input {
        Value::String(text) => {
            return Ok(Conversation {
                last_user_text: text.clone(),
                ..Conversation::default()
            });
        }
        Value::Array(items) if !items.is_empty() => items,
        Value::Array(_) => {
            return refuse(
                "input",
                "empty_array",
                "Invalid 'input': empty array. Expected an array with minimum length 1, but got an empty array instead.",
            );
        }
        _ => {
            return refuse(
                "input",
                "invalid_type",
                "Invalid type for 'input': expected one of a string or array of input items.",
            );
        }
    };
    for (index, item) in items.iter().enumerate() {
        check_item(index, item)?;
    }
    check_calls(items, earlier)?;
    Ok(read(items))
}

/// An item without a type is a message.
pub(super) fn kind(item: &Value) -> &str {
    match item["type"].as_str() {
        Some(kind) => kind,
        None => "message",
    }
}

fn fields(kind: &str) -> Option<&'static [&'static str]> {
    Some(match kind {
        "message" => &["type", "role", "content", "id", "status", "phase"],
        "function_call" => &[
            "type",
            "call_id",
            "name",
            "arguments",
            "id",
            "status",
            "namespace",
            "caller",
        ],
        "function_call_output" => &[
            "type", "call_id", "output", "id", "status", "name", "caller",
        ],
        "custom_tool_call" => &[
            "type",
            "call_id",
            "name",
            "input",
            "id",
            "status",
            "namespace",
            "caller",
        ],
        "custom_tool_call_output" => &["type", "call_id", "output", "id", "status", "caller"],
        "reasoning" => &[
            "type",
            "id",
            "summary",
            "content",
            "encrypted_content",
            "status",
        ],
        "item_reference" => &["type", "id"],
        _ => return None,
    })
}

fn check_item(index: usize, item: &Value) -> Checked<()> {
    let at = |field: &str| format!("input[{index}].{field}");
    let kind = kind(item);
    let Some(known) = fields(kind) else {
        return refuse(
            at("type"),
            "invalid_value",
            format!(
                "Invalid value: '{kind}'. Supported values are: 'message', 'function_call', 'function_call_output', 'custom_tool_call', 'custom_tool_call_output', 'reasoning', and 'item_reference'."
            ),
        );
    };
    let Some(present) = item.as_object() else {
        return refuse(
            format!("input[{index}]"),
            "invalid_type",
            format!("Invalid type for 'input[{index}]': expected an object."),
        );
    };
    if let Some(unknown) = present.keys().find(|key| !known.contains(&key.as_str())) {
        return refuse(
            at(unknown),
            "unknown_parameter",
            format!("Unknown parameter: '{}'.", at(unknown)),
        );
    }
    let required: &[&str] = match kind {
        "function_call" => &["call_id", "name", "arguments"],
        "custom_tool_call" => &["call_id", "name", "input"],
        "function_call_output" | "custom_tool_call_output" => &["call_id"],
        "reasoning" | "item_reference" => &["id"],
        _ => &["role"],
    };
    for field in required {
        if !item[field].is_string() {
            return refuse(
                at(field),
                "missing_required_parameter",
                format!("Missing required parameter: '{}'.", at(field)),
            );
        }
    }
    if item["call_id"].as_str().is_some_and(|id| id.len() > 64) {
        return refuse(
            at("call_id"),
            "string_above_max_length",
            format!(
                "Invalid '{}': string too long. Expected a string with maximum length 64, but got a string with length {} instead.",
                at("call_id"),
                item["call_id"].as_str().unwrap_or_default().len()
            ),
        );
    }
    match kind {
        "message" => check_message(index, item),
        "reasoning" => check_reasoning(index, item),
        "function_call_output" | "custom_tool_call_output" => check_parts(
            &at("output"),
            &item["output"],
            &["input_text", "input_image", "input_file"],
        ),
        _ => Ok(()),
    }
}

fn check_message(index: usize, item: &Value) -> Checked<()> {
    let at = format!("input[{index}]");
    let parts: &[&str] = match item["role"].as_str() {
        Some("assistant") => &["output_text", "refusal"],
        Some("user" | "system" | "developer") => {
            &["input_text", "input_image", "input_file", "input_audio"]
        }
        other => {
            return refuse(
                format!("{at}.role"),
                "invalid_value",
                format!(
                    "Invalid value: '{}'. Supported values are: 'assistant', 'system', 'developer', and 'user'.",
                    other.unwrap_or_default()
                ),
            );
        }
    };
    check_parts(&format!("{at}.content"), &item["content"], parts)
}

fn check_parts(at: &str, content: &Value, parts: &[&str]) -> Checked<()> {
    let items = match content {
        Value::String(_) => return Ok(()),
        Value::Array(items) => items,
        _ => {
            return refuse(
                at,
                "invalid_type",
                format!("Invalid type for '{at}': expected one of a string or array of objects."),
            );
        }
    };
    for (part, item) in items.iter().enumerate() {
        let kind = item["type"].as_str().unwrap_or_default();
        if !parts.contains(&kind) {
            return refuse(
                format!("{at}[{part}].type"),
                "invalid_value",
                format!(
                    "Invalid value: '{kind}'. Supported values are: '{}'.",
                    parts.join("', '")
                ),
            );
        }
        let fits = match kind {
            "input_text" | "output_text" => item["text"].is_string(),
            "refusal" => item["refusal"].is_string(),
            "input_image" => item["image_url"].is_string() || item["file_id"].is_string(),
            "input_audio" => item["input_audio"]["data"].is_string(),
            _ => ["file_data", "file_id", "file_url"]
                .iter()
                .any(|field| item[field].is_string()),
        };
        if !fits {
            return refuse(
                format!("{at}[{part}]"),
                "invalid_type",
                format!(
                    "Invalid type for '{at}[{part}]': the {kind} part lacks its datum or has it in another type."
                ),
            );
        }
    }
    Ok(())
}

fn check_reasoning(index: usize, item: &Value) -> Checked<()> {
    if !item["summary"].is_array() {
        return refuse(
            format!("input[{index}].summary"),
            "missing_required_parameter",
            format!("Missing required parameter: 'input[{index}].summary'."),
        );
    }
    // A summary may be shown or not, so only the scheme of the seal can be checked.
    match item["encrypted_content"].as_str() {
        Some(sealed) if check_signature("", sealed) == Signature::Foreign => refuse(
            "input",
            "invalid_encrypted_content",
            format!(
                "The encrypted content for item {} could not be verified. Reason: Encrypted content could not be decrypted or parsed.",
                item["id"].as_str().unwrap_or_default()
            ),
        ),
        _ => Ok(()),
    }
}

fn check_calls(items: &[Value], earlier: &[Value]) -> Checked<()> {
    let mut calls: Vec<&str> = Vec::new();
    let mut answered: Vec<&str> = Vec::new();
    for item in earlier.iter().chain(items) {
        let id = item["call_id"].as_str().unwrap_or_default();
        match kind(item) {
            "function_call" | "custom_tool_call" => calls.push(id),
            "function_call_output" | "custom_tool_call_output" => {
                if !calls.contains(&id) {
                    let what = if kind(item) == "function_call_output" {
                        "function call"
                    } else {
                        "custom tool call"
                    };
                    return refuse(
                        "input",
                        "",
                        format!("No tool call found for {what} output with call_id {id}."),
                    );
                }
                answered.push(id);
            }
            _ => {}
        }
    }
    match calls.iter().find(|id| !answered.contains(id)) {
        Some(id) => refuse(
            "input",
            "",
            format!("No tool output found for function call {id}."),
        ),
        None => Ok(()),
    }
}

fn read(items: &[Value]) -> Conversation {
    let by_model = |item: &&Value| {
        matches!(
            kind(item),
            "function_call" | "custom_tool_call" | "reasoning"
        ) || item["role"] == "assistant"
    };
    let tail = items
        .iter()
        .rposition(|item| by_model(&item))
        .map_or(0, |last| last + 1);
    let last_user = items.iter().rfind(|item| item["role"] == "user");
    Conversation {
        last_user_text: last_user
            .map(|item| crate::ask::text_of(&item["content"]))
            .unwrap_or_default(),
        tool_results: items[tail..]
            .iter()
            .filter(|item| kind(item).ends_with("_output"))
            .map(|item| crate::ask::text_of(&item["output"]))
            .collect(),
    }
}
