//! What the OpenAI side accepts, as strictly as the vendor. Here: endpoints and their fields; `ranges`, `tools`
//! and `messages` hold the rules of the parts. Field lists come from `CreateChatCompletionRequest`, `CreateCompletionRequest` and
//! `CreateEmbeddingRequest` of the OpenAPI document 2.3.0.

use serde_json::{Map, Value};

use super::errors::Refused;
use super::messages::{check_messages, role};
use super::ranges::check_ranges;
use super::tools::{check_response_format, check_tool_choice, check_tools};
use crate::ask::{Ask, Tool, text_of, words_within};
use crate::family::{self, ChatTools};

pub(crate) type Checked<T> = Result<T, Box<Refused>>;

const CHAT_FIELDS: &[&str] = &[
    "audio",
    "frequency_penalty",
    "function_call",
    "functions",
    "logit_bias",
    "logprobs",
    "max_completion_tokens",
    "max_tokens",
    "messages",
    "metadata",
    "modalities",
    "model",
    "moderation",
    "n",
    "parallel_tool_calls",
    "prediction",
    "presence_penalty",
    "prompt_cache_key",
    "prompt_cache_options",
    "prompt_cache_retention",
    "reasoning_effort",
    "response_format",
    "safety_identifier",
    "seed",
    "service_tier",
    "stop",
    "store",
    "stream",
    "stream_options",
    "temperature",
    "tool_choice",
    "tools",
    "top_logprobs",
    "top_p",
    "user",
    "verbosity",
    "web_search_options",
];
const COMPLETION_FIELDS: &[&str] = &[
    "best_of",
    "echo",
    "frequency_penalty",
    "logit_bias",
    "logprobs",
    "max_tokens",
    "model",
    "n",
    "presence_penalty",
    "prompt",
    "seed",
    "stop",
    "stream",
    "stream_options",
    "suffix",
    "temperature",
    "top_p",
    "user",
];
const EMBEDDING_FIELDS: &[&str] = &["dimensions", "encoding_format", "input", "model", "user"];
pub(crate) const EFFORTS: &[&str] = &["none", "minimal", "low", "medium", "high", "xhigh", "max"];

pub(crate) fn refuse<T>(
    param: impl Into<String>,
    code: &'static str,
    message: impl Into<String>,
) -> Checked<T> {
    Err(Box::new(Refused::bad(param, code, message)))
}

pub(crate) fn chat(body: &Value) -> Checked<Ask> {
    let fields = object(body, CHAT_FIELDS, &["messages", "model"])?;
    let messages = match fields.get("messages") {
        Some(Value::Array(messages)) if messages.is_empty() => {
            return refuse(
                "messages",
                "empty_array",
                "Invalid 'messages': empty array. Expected an array with minimum length 1, but got an empty array instead.",
            );
        }
        Some(Value::Array(messages)) => messages,
        _ => {
            return refuse(
                "messages",
                "invalid_type",
                "Invalid type for 'messages': expected an array of objects.",
            );
        }
    };
    check_ranges(fields)?;
    if let Some(effort) = fields
        .get("reasoning_effort")
        .filter(|effort| !effort.is_null())
        && !effort
            .as_str()
            .is_some_and(|effort| EFFORTS.contains(&effort))
    {
        return refuse(
            "reasoning_effort",
            "invalid_value",
            format!(
                "Invalid value: {effort}. Supported values are: 'none', 'minimal', 'low', 'medium', 'high', 'xhigh', and 'max'."
            ),
        );
    }
    let tools = check_tools(fields)?;
    check_reasoning_with_tools(fields, &tools)?;
    let tool_choice = check_tool_choice(fields, &tools)?;
    let structured = check_response_format(fields, messages)?;
    check_messages(messages)?;
    let tail = messages
        .iter()
        .rposition(|message| role(message) == "assistant")
        .map_or(0, |last| last + 1);
    let tool_results = messages[tail..]
        .iter()
        .filter(|message| role(message) == "tool")
        .map(|message| text_of(&message["content"]))
        .collect();
    let last_user = messages.iter().rfind(|message| role(message) == "user");
    Ok(Ask {
        n: u32::try_from(fields.get("n").and_then(Value::as_u64).unwrap_or(1)).unwrap_or(1),
        last_user_text: last_user
            .map(|message| text_of(&message["content"]))
            .unwrap_or_default(),
        tool_results,
        tools,
        tool_choice,
        parallel: fields
            .get("parallel_tool_calls")
            .and_then(Value::as_bool)
            .unwrap_or(true),
        structured,
        cap: number(fields, "max_completion_tokens").or_else(|| number(fields, "max_tokens")),
        words: words_within(&fields["messages"]),
        ..shared(fields)
    })
}

/// Newer models take function tools on chat only while they do not reason.
fn check_reasoning_with_tools(fields: &Map<String, Value>, tools: &[Tool]) -> Checked<()> {
    let model = fields["model"].as_str().unwrap_or_default();
    let effort = fields.get("reasoning_effort").and_then(Value::as_str);
    let is_refused = match family::chat_tools(model) {
        ChatTools::Free => false,
        ChatTools::UnlessEffort => effort.is_some_and(|effort| effort != "none"),
        ChatTools::OnlyWithoutReasoning => effort != Some("none"),
        ChatTools::Never => true,
    };
    if tools.is_empty() || !is_refused {
        return Ok(());
    }
    refuse(
        "reasoning_effort",
        "",
        format!(
            "Function tools with reasoning_effort are not supported for {model} in /v1/chat/completions. To use function tools, use /v1/responses or set reasoning_effort to 'none'."
        ),
    )
}

pub(crate) fn completion(body: &Value) -> Checked<Ask> {
    let fields = object(body, COMPLETION_FIELDS, &["model", "prompt"])?;
    check_ranges(fields)?;
    let prompt = match &fields["prompt"] {
        Value::Array(items) => {
            let texts: Vec<String> = items
                .iter()
                .map(|item| {
                    item.as_str()
                        .map_or_else(|| item.to_string(), ToOwned::to_owned)
                })
                .collect();
            texts.join(" ")
        }
        prompt => prompt.as_str().unwrap_or_default().to_owned(),
    };
    Ok(Ask {
        n: u32::try_from(number(fields, "n").unwrap_or(1)).unwrap_or(1),
        words: crate::ask::words(&prompt),
        last_user_text: prompt,
        cap: Some(number(fields, "max_tokens").unwrap_or(16)),
        ..shared(fields)
    })
}

pub(crate) fn embeddings(body: &Value) -> Checked<Ask> {
    let fields = object(body, EMBEDDING_FIELDS, &["input", "model"])?;
    let input = &fields["input"];
    let fits = match input {
        Value::String(text) => !text.is_empty(),
        Value::Array(items) => {
            (1..=2048).contains(&items.len())
                && (items
                    .iter()
                    .all(|item| item.as_str().is_some_and(|text| !text.is_empty()))
                    || items.iter().all(Value::is_u64)
                    || items.iter().all(|item| {
                        item.as_array()
                            .is_some_and(|ids| !ids.is_empty() && ids.iter().all(Value::is_u64))
                    }))
        }
        _ => false,
    };
    if !fits {
        return refuse(
            "input",
            "",
            "'$.input' is invalid. Please check the API reference: https://platform.openai.com/docs/api-reference.",
        );
    }
    if let Some(format) = fields
        .get("encoding_format")
        .filter(|format| !matches!(format.as_str(), Some("float" | "base64")))
    {
        return refuse(
            "encoding_format",
            "invalid_value",
            format!("Invalid value: {format}. Supported values are: 'float' and 'base64'."),
        );
    }
    if fields
        .get("dimensions")
        .is_some_and(|dimensions| dimensions.as_u64().is_none_or(|n| n == 0))
    {
        return refuse(
            "dimensions",
            "integer_below_min_value",
            "Invalid 'dimensions': integer below minimum value. Expected a value >= 1.",
        );
    }
    Ok(Ask {
        words: words_within(body),
        ..shared(fields)
    })
}

fn shared(fields: &Map<String, Value>) -> Ask {
    Ask {
        model: fields
            .get("model")
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned(),
        stream: fields
            .get("stream")
            .and_then(Value::as_bool)
            .unwrap_or(false),
        include_usage: fields
            .get("stream_options")
            .and_then(|options| options.get("include_usage"))
            .and_then(Value::as_bool)
            .unwrap_or(false),
        stop: match fields.get("stop") {
            Some(Value::String(stop)) => vec![stop.clone()],
            Some(Value::Array(stops)) => stops
                .iter()
                .filter_map(Value::as_str)
                .map(ToOwned::to_owned)
                .collect(),
            _ => Vec::new(),
        },
        n: 1,
        parallel: true,
        ..Ask::default()
    }
}

fn object<'a>(
    body: &'a Value,
    known: &[&str],
    required: &[&str],
) -> Checked<&'a Map<String, Value>> {
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
    if fields
        .get("model")
        .is_none_or(|model| model.as_str().is_none_or(str::is_empty))
    {
        return refuse("", "", "you must provide a model parameter");
    }
    if let Some(missing) = required.iter().find(|name| !fields.contains_key(**name)) {
        return refuse(
            *missing,
            "missing_required_parameter",
            format!("Missing required parameter: '{missing}'."),
        );
    }
    Ok(fields)
}

fn number(fields: &Map<String, Value>, name: &str) -> Option<u64> {
    fields.get(name).and_then(Value::as_u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The lists above are the vendor's, read from the vendored schema.
    #[test]
    fn known_fields_are_the_vendors() {
        let schemas: Value =
            serde_json::from_str(include_str!("../../schemas/openai.json")).unwrap();
        for (name, known) in [
            ("CreateChatCompletionRequest", CHAT_FIELDS),
            ("CreateCompletionRequest", COMPLETION_FIELDS),
            ("CreateEmbeddingRequest", EMBEDDING_FIELDS),
        ] {
            assert_eq!(
                schemas["x-request-fields"][name],
                Value::from(known.to_vec()),
                "{name}"
            );
        }
    }
}
