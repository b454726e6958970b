//! What `POST /v1/responses` accepts at the top of a request; its input items are `items`. Field lists come from
//! `CreateResponse` and `TokenCountsBody` of the OpenAPI document 2.3.0.

use serde_json::{Map, Value};

use super::items;
use crate::ask::{Ask, Structured, Tool, ToolChoice, words, words_within};
use crate::openai::check::{Checked, EFFORTS, refuse};
use crate::openai::tools::{check_strict, is_tool_name};
use crate::route::Shape;

const FIELDS: &[&str] = &[
    "background",
    "context_management",
    "conversation",
    "include",
    "input",
    "instructions",
    "max_output_tokens",
    "max_tool_calls",
    "metadata",
    "model",
    "moderation",
    "parallel_tool_calls",
    "previous_response_id",
    "prompt",
    "prompt_cache_key",
    "prompt_cache_options",
    "prompt_cache_retention",
    "reasoning",
    "safety_identifier",
    "service_tier",
    "store",
    "stream",
    "stream_options",
    "temperature",
    "text",
    "tool_choice",
    "tools",
    "top_logprobs",
    "top_p",
    "truncation",
    "user",
];
const TOKEN_FIELDS: &[&str] = &[
    "conversation",
    "input",
    "instructions",
    "model",
    "parallel_tool_calls",
    "personality",
    "previous_response_id",
    "reasoning",
    "text",
    "tool_choice",
    "tools",
    "truncation",
];
const INCLUDABLE: &[&str] = &[
    "code_interpreter_call.outputs",
    "computer_call_output.output.image_url",
    "file_search_call.results",
    "message.input_image.image_url",
    "message.output_text.logprobs",
    "reasoning.encrypted_content",
    "web_search_call.action.sources",
    "web_search_call.results",
];

/// `earlier` holds the items of the response that this one continues, oldest first.
pub(crate) fn create(body: &Value, earlier: &[Value]) -> Checked<Ask> {
    let fields = object(body, FIELDS)?;
    check_numbers(fields)?;
    check_switches(fields)?;
    read(fields, earlier)
}

pub(crate) fn count_tokens(body: &Value, earlier: &[Value]) -> Checked<Ask> {
    read(object(body, TOKEN_FIELDS)?, earlier)
}

fn read(fields: &Map<String, Value>, earlier: &[Value]) -> Checked<Ask> {
    check_reasoning(fields)?;
    let (tools, custom_tools) = check_tools(fields)?;
    let tool_choice = check_tool_choice(fields, &tools, &custom_tools)?;
    let structured = check_text(fields)?;
    let input = fields.get("input").unwrap_or(&Value::Null);
    let conversation = items::check(input, earlier)?;
    let flag = |name: &str| fields.get(name).and_then(Value::as_bool);
    let includes = |wanted: &str| {
        fields
            .get("include")
            .and_then(Value::as_array)
            .is_some_and(|names| names.iter().any(|name| name == wanted))
    };
    let summary = &fields.get("reasoning").unwrap_or(&Value::Null)["summary"];
    Ok(Ask {
        model: text(fields, "model"),
        stream: flag("stream").unwrap_or(false),
        shape: Shape::Responses,
        include_usage: true,
        n: 1,
        last_user_text: conversation.last_user_text,
        tool_results: conversation.tool_results,
        tools,
        custom_tools,
        tool_choice,
        parallel: flag("parallel_tool_calls").unwrap_or(true),
        structured,
        cap: fields.get("max_output_tokens").and_then(Value::as_u64),
        words: match input {
            Value::String(text) => words(text),
            items => words_within(items),
        } + words(&text(fields, "instructions"))
            + earlier.iter().map(words_within).sum::<u64>(),
        shows_thinking: summary.is_string(),
        seals_thinking: includes("reasoning.encrypted_content"),
        ..Ask::default()
    })
}

fn text(fields: &Map<String, Value>, name: &str) -> String {
    fields
        .get(name)
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_owned()
}

fn object<'a>(body: &'a Value, known: &[&str]) -> Checked<&'a Map<String, Value>> {
    let Some(fields) = body.as_object() else {
        return refuse("", "", "We could not parse the JSON body of your request.");
    };
    if let Some(unknown) = fields.keys().find(|key| !known.contains(&key.as_str())) {
        return refuse(
            unknown.clone(),
            "unknown_parameter",
            format!("Unknown parameter: '{unknown}'."),
        );
    }
    for required in ["model", "input"] {
        if fields.get(required).is_none_or(Value::is_null) {
            return refuse(
                required,
                "missing_required_parameter",
                format!("Missing required parameter: '{required}'."),
            );
        }
    }
    Ok(fields)
}

fn check_numbers(fields: &Map<String, Value>) -> Checked<()> {
    for (name, low, high) in [
        ("temperature", 0.0, 2.0),
        ("top_p", 0.0, 1.0),
        ("top_logprobs", 0.0, 20.0),
    ] {
        let value = fields.get(name).filter(|value| !value.is_null());
        if let Some(value) = value
            && !value.as_f64().is_some_and(|n| (low..=high).contains(&n))
        {
            return refuse(
                name,
                "invalid_value",
                format!(
                    "Invalid '{name}': expected a number between {low} and {high}, but got {value} instead."
                ),
            );
        }
    }
    let cap = fields.get("max_output_tokens").filter(|cap| !cap.is_null());
    match cap.map(Value::as_u64) {
        None | Some(Some(16..)) => Ok(()),
        Some(Some(n)) => refuse(
            "max_output_tokens",
            "integer_below_min_value",
            format!(
                "Invalid 'max_output_tokens': integer below minimum value. Expected a value >= 16, but got {n} instead."
            ),
        ),
        Some(None) => refuse(
            "max_output_tokens",
            "invalid_type",
            "Invalid type for 'max_output_tokens': expected an integer.",
        ),
    }
}

fn check_switches(fields: &Map<String, Value>) -> Checked<()> {
    for name in ["stream", "store", "background", "parallel_tool_calls"] {
        if fields
            .get(name)
            .is_some_and(|value| !(value.is_boolean() || value.is_null()))
        {
            return refuse(
                name,
                "invalid_type",
                format!("Invalid type for '{name}': expected a boolean."),
            );
        }
    }
    let is = |name: &str, wanted: bool| fields.get(name) == Some(&Value::Bool(wanted));
    if is("background", true) && is("store", false) {
        return refuse(
            "background",
            "",
            "Background mode requires 'store' to be true.",
        );
    }
    if fields.contains_key("stream_options") && !is("stream", true) {
        return refuse(
            "stream_options",
            "",
            "The 'stream_options' parameter is only allowed when 'stream' is enabled.",
        );
    }
    let set = |name: &str| fields.get(name).is_some_and(|value| !value.is_null());
    if set("previous_response_id") && set("conversation") {
        return refuse(
            "previous_response_id",
            "mutually_exclusive_parameters",
            "Mutually exclusive parameters: 'previous_response_id' and 'conversation'. Ensure you are only providing one of: 'previous_response_id' or 'conversation'.",
        );
    }
    if set("conversation") {
        return refuse(
            "conversation",
            "not_found",
            "Conversation not found: the testkit keeps responses, not conversations.",
        );
    }
    for (index, name) in fields
        .get("include")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .enumerate()
    {
        if !name.as_str().is_some_and(|name| INCLUDABLE.contains(&name)) {
            return refuse(
                format!("include[{index}]"),
                "invalid_value",
                format!(
                    "Invalid value: {name}. Supported values are: '{}'.",
                    INCLUDABLE.join("', '")
                ),
            );
        }
    }
    let metadata = fields.get("metadata").and_then(Value::as_object);
    let fits = metadata.is_none_or(|pairs| {
        pairs.len() <= 16
            && pairs.iter().all(|(key, value)| {
                key.len() <= 64 && value.as_str().is_some_and(|text| text.len() <= 512)
            })
    });
    if fits {
        Ok(())
    } else {
        refuse(
            "metadata",
            "invalid_value",
            "Invalid 'metadata': at most 16 pairs of strings, keys of at most 64 and values of at most 512 characters.",
        )
    }
}

fn check_reasoning(fields: &Map<String, Value>) -> Checked<()> {
    let Some(reasoning) = fields.get("reasoning").and_then(Value::as_object) else {
        return Ok(());
    };
    let known = ["context", "effort", "generate_summary", "mode", "summary"];
    if let Some(unknown) = reasoning.keys().find(|key| !known.contains(&key.as_str())) {
        return refuse(
            format!("reasoning.{unknown}"),
            "unknown_parameter",
            format!("Unknown parameter: 'reasoning.{unknown}'."),
        );
    }
    for (name, values) in [
        ("effort", EFFORTS),
        ("summary", &["auto", "concise", "detailed"]),
    ] {
        let value = reasoning.get(name).filter(|value| !value.is_null());
        if let Some(value) = value
            && !value.as_str().is_some_and(|text| values.contains(&text))
        {
            return refuse(
                format!("reasoning.{name}"),
                "invalid_value",
                format!(
                    "Invalid value: {value}. Supported values are: '{}'.",
                    values.join("', '")
                ),
            );
        }
    }
    Ok(())
}

/// Function tools, and the names of the custom ones. Hosted tools are let through: no script uses them.
fn check_tools(fields: &Map<String, Value>) -> Checked<(Vec<Tool>, Vec<String>)> {
    let (mut tools, mut custom) = (Vec::new(), Vec::new());
    let declared = fields.get("tools").and_then(Value::as_array);
    for (index, tool) in declared.into_iter().flatten().enumerate() {
        let at = format!("tools[{index}]");
        let known: &[&str] = match tool["type"].as_str() {
            Some("function") => &[
                "type",
                "name",
                "description",
                "parameters",
                "strict",
                "defer_loading",
                "allowed_callers",
                "output_schema",
            ],
            Some("custom") => &[
                "type",
                "name",
                "description",
                "format",
                "defer_loading",
                "allowed_callers",
            ],
            Some(_) => continue,
            None => {
                return refuse(
                    format!("{at}.type"),
                    "missing_required_parameter",
                    format!("Missing required parameter: '{at}.type'."),
                );
            }
        };
        let mut present = tool.as_object().into_iter().flatten();
        if let Some((unknown, _)) = present.find(|(key, _)| !known.contains(&key.as_str())) {
            return refuse(
                format!("{at}.{unknown}"),
                "unknown_parameter",
                format!("Unknown parameter: '{at}.{unknown}'."),
            );
        }
        let Some(name) = tool["name"].as_str() else {
            return refuse(
                format!("{at}.name"),
                "missing_required_parameter",
                format!("Missing required parameter: '{at}.name'."),
            );
        };
        if !is_tool_name(name, 64) {
            return refuse(
                format!("{at}.name"),
                "invalid_value",
                format!(
                    "Invalid '{at}.name': string does not match pattern. Expected a string that matches the pattern '^[a-zA-Z0-9_-]+$'."
                ),
            );
        }
        if tool["type"] == "custom" {
            custom.push(name.to_owned());
            continue;
        }
        let schema = tool["parameters"].clone();
        let is_empty = schema.is_null() || schema.as_object().is_some_and(Map::is_empty);
        if !is_empty && schema["type"] != "object" {
            return refuse(
                format!("{at}.parameters"),
                "invalid_function_parameters",
                format!(
                    "Invalid schema for function '{name}': schema must be a JSON Schema of 'type: \"object\"'."
                ),
            );
        }
        if tool["strict"] == true {
            let param = format!("{at}.parameters");
            check_strict(
                &schema,
                &format!("function '{name}'"),
                &param,
                "invalid_function_parameters",
            )?;
        }
        tools.push(Tool {
            name: name.to_owned(),
            schema,
        });
    }
    Ok((tools, custom))
}

fn check_tool_choice(
    fields: &Map<String, Value>,
    tools: &[Tool],
    custom: &[String],
) -> Checked<ToolChoice> {
    let choice = fields.get("tool_choice").unwrap_or(&Value::Null);
    match choice {
        Value::Null => Ok(ToolChoice::Auto),
        Value::String(word) => match word.as_str() {
            "none" => Ok(ToolChoice::None),
            "auto" => Ok(ToolChoice::Auto),
            "required" if fields.contains_key("tools") => Ok(ToolChoice::Auto),
            "required" => refuse(
                "tool_choice",
                "",
                "Tool choice 'required' must be specified with 'tools' parameter.",
            ),
            _ => refuse(
                "tool_choice",
                "invalid_value",
                format!(
                    "Invalid value: '{word}'. Supported values are: 'none', 'auto', and 'required'."
                ),
            ),
        },
        named => match (named["type"].as_str(), named["name"].as_str()) {
            (Some("function"), Some(name)) if tools.iter().any(|tool| tool.name == name) => {
                Ok(ToolChoice::Named(name.to_owned()))
            }
            (Some("custom"), Some(name)) if custom.iter().any(|known| known == name) => {
                Ok(ToolChoice::Auto)
            }
            (Some("function" | "custom"), Some(name)) => refuse(
                "tool_choice",
                "",
                format!("Tool choice '{name}' not found in 'tools' parameter."),
            ),
            (Some("function" | "custom"), None) | (None, _) => refuse(
                "tool_choice.name",
                "missing_required_parameter",
                "Missing required parameter: 'tool_choice.name'.",
            ),
            (Some(_), _) => Ok(ToolChoice::Auto),
        },
    }
}

fn check_text(fields: &Map<String, Value>) -> Checked<Structured> {
    let Some(text) = fields.get("text").and_then(Value::as_object) else {
        return Ok(Structured::Off);
    };
    if let Some(unknown) = text
        .keys()
        .find(|key| !matches!(key.as_str(), "format" | "verbosity"))
    {
        return refuse(
            format!("text.{unknown}"),
            "unknown_parameter",
            format!("Unknown parameter: 'text.{unknown}'."),
        );
    }
    let format = text.get("format").unwrap_or(&Value::Null);
    match format["type"].as_str() {
        Some("text") => Ok(Structured::Off),
        None if format.is_null() => Ok(Structured::Off),
        Some("json_object") => Ok(Structured::AnyObject),
        Some("json_schema") => {
            let name = format["name"].as_str().unwrap_or_default();
            if !is_tool_name(name, 64) {
                return refuse(
                    "text.format.name",
                    "missing_required_parameter",
                    "Missing required parameter: 'text.format.name'.",
                );
            }
            if !format["schema"].is_object() {
                return refuse(
                    "text.format.schema",
                    "missing_required_parameter",
                    "Missing required parameter: 'text.format.schema'.",
                );
            }
            if format["strict"] == true {
                let of = format!("response_format '{name}'");
                check_strict(
                    &format["schema"],
                    &of,
                    "text.format.schema",
                    "invalid_json_schema",
                )?;
            }
            Ok(Structured::Schema(format["schema"].clone()))
        }
        other => refuse(
            "text.format.type",
            "invalid_value",
            format!(
                "Invalid value: '{}'. Supported values are: 'json_object', 'json_schema', and 'text'.",
                other.unwrap_or_default()
            ),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The lists above are the vendor's, read from the vendored schema.
    #[test]
    fn known_fields_are_the_vendors() {
        let schemas: Value =
            serde_json::from_str(include_str!("../../schemas/openai-responses.json")).unwrap();
        for (name, known) in [
            ("CreateResponse", FIELDS),
            ("TokenCountsBody", TOKEN_FIELDS),
        ] {
            assert_eq!(
                schemas["x-request-fields"][name],
                Value::from(known.to_vec()),
                "{name}"
            );
        }
    }
}
