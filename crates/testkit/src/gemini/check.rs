//! What the Gemini side accepts at the top of a request: fields, ranges, tools. The conversation itself is
//! `contents`. Rules from the API reference; wording as observed.

use serde_json::{Map, Value};

use super::contents::{self, parts};
use super::fields::{Checked, canonical, refuse};
use crate::ask::{Ask, Structured, Tool, ToolChoice, words_within};
use crate::family;
use crate::route::Shape;

/// What the path says beyond the body.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Called<'a> {
    pub(crate) model: &'a str,
    pub(crate) stream: bool,
    pub(crate) is_vertex: bool,
}

pub(crate) fn generate(body: &Value, called: Called<'_>) -> Checked<Ask> {
    let body = canonical(body, "GenerateContentRequest", called.is_vertex)?;
    let empty = Value::Array(Vec::new());
    let turns = body
        .get("contents")
        .unwrap_or(&empty)
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default();
    contents::check(turns, called.model)?;
    if let Some(system) = body.get("systemInstruction") {
        contents::check_content(0, system)?;
        if parts(system).any(|part| part.get("text").is_none()) {
            return refuse("system_instruction: only text parts are supported");
        }
    }
    let none = Map::new();
    let config = body["generationConfig"].as_object().unwrap_or(&none);
    check_ranges(config)?;
    let thoughts = check_thinking(config, called.model)?;
    let structured = check_structured(config)?;
    let tools = check_tools(&body)?;
    let tool_choice = check_tool_choice(&body, &tools)?;
    let tail = turns
        .iter()
        .rposition(contents::is_model)
        .map_or(0, |last| last + 1);
    let tool_results = turns[tail..]
        .iter()
        .flat_map(parts)
        .filter_map(|part| part.get("functionResponse"))
        .map(result_text)
        .collect();
    let last_user = turns.iter().rfind(|turn| {
        !contents::is_model(turn) && parts(turn).any(|part| part["text"].is_string())
    });
    Ok(Ask {
        model: called.model.to_owned(),
        stream: called.stream,
        shape: Shape::Gemini,
        include_usage: true,
        n: config
            .get("candidateCount")
            .and_then(Value::as_u64)
            .and_then(|n| u32::try_from(n).ok())
            .unwrap_or(1),
        last_user_text: last_user.map(joined_text).unwrap_or_default(),
        tool_results,
        tools,
        tool_choice,
        parallel: true,
        structured,
        stop: config
            .get("stopSequences")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .map(ToOwned::to_owned)
            .collect(),
        cap: config.get("maxOutputTokens").and_then(Value::as_u64),
        words: words_within(&body["contents"]) + words_within(&body["systemInstruction"]),
        shows_thinking: thoughts,
        ..Ask::default()
    })
}

pub(crate) fn count_tokens(body: &Value, called: Called<'_>) -> Checked<Ask> {
    if called.is_vertex {
        return generate(body, called);
    }
    let body = canonical(body, "CountTokensRequest", false)?;
    match (body.get("contents"), body.get("generateContentRequest")) {
        (Some(_), Some(_)) => refuse(
            "contents and generate_content_request are mutually exclusive, only one may be set",
        ),
        (None, Some(request)) => {
            if request["model"].as_str().is_none_or(str::is_empty) {
                return refuse(
                    "* CountTokensRequest.generate_content_request.model: unexpected model name format\n",
                );
            }
            generate(request, called)
        }
        _ => {
            let mut request = Map::new();
            request.insert("contents".to_owned(), body["contents"].clone());
            generate(&Value::Object(request), called)
        }
    }
}

/// The texts to embed, each with its wanted length.
pub(crate) fn embed(body: &Value, called: Called<'_>) -> Checked<(Ask, Vec<(String, u64)>)> {
    let body = canonical(body, "EmbedContentRequest", called.is_vertex)?;
    let input = embed_input(&body)?;
    Ok((plain(called, &body), vec![input]))
}

pub(crate) fn batch_embed(body: &Value, called: Called<'_>) -> Checked<(Ask, Vec<(String, u64)>)> {
    let body = canonical(body, "BatchEmbedContentsRequest", called.is_vertex)?;
    let requests = body["requests"].as_array();
    let requests = requests.map(Vec::as_slice).unwrap_or_default();
    if requests.is_empty() {
        return refuse("* BatchEmbedContentsRequest.requests: must not be empty\n");
    }
    if requests.len() > 100 {
        return refuse(
            "* BatchEmbedContentsRequest.requests: at most 100 requests can be in one batch\n",
        );
    }
    for (index, request) in requests.iter().enumerate() {
        let wanted = format!("models/{}", called.model);
        if request["model"] != wanted.as_str() {
            return refuse(format!(
                "* BatchEmbedContentsRequest.requests[{index}].model: must match the model of the batch: {wanted}\n"
            ));
        }
    }
    let inputs: Checked<Vec<(String, u64)>> = requests.iter().map(embed_input).collect();
    Ok((plain(called, &body), inputs?))
}

fn plain(called: Called<'_>, body: &Value) -> Ask {
    Ask {
        model: called.model.to_owned(),
        shape: Shape::Gemini,
        n: 1,
        words: words_within(body),
        ..Ask::default()
    }
}

fn embed_input(request: &Value) -> Checked<(String, u64)> {
    let Some(content) = request.get("content") else {
        return refuse("* EmbedContentRequest.content: contents is not specified\n");
    };
    contents::check_content(0, content)?;
    let config = &request["embedContentConfig"];
    let dimensions = request
        .get("outputDimensionality")
        .or_else(|| config.get("outputDimensionality"));
    match dimensions.map(Value::as_u64) {
        None => Ok((joined_text(content), super::embeddings::DIMENSIONS)),
        Some(Some(n @ 1..=3072)) => Ok((joined_text(content), n)),
        Some(_) => refuse("output_dimensionality must be between 1 and 3072"),
    }
}

fn joined_text(content: &Value) -> String {
    let texts: Vec<&str> = parts(content)
        .filter_map(|part| part["text"].as_str())
        .collect();
    texts.join("\n")
}

/// What a function said: its only text field, or the object itself.
fn result_text(response: &Value) -> String {
    let object = response["response"].as_object();
    match object.map(|fields| (fields.len(), fields.values().next())) {
        Some((1, Some(Value::String(text)))) => text.clone(),
        _ => response["response"].to_string(),
    }
}

fn check_ranges(config: &Map<String, Value>) -> Checked<()> {
    for (name, snake, low, high) in [
        ("temperature", "temperature", 0.0, 2.0),
        ("topP", "top_p", 0.0, 1.0),
        ("presencePenalty", "presence_penalty", -2.0, 2.0),
        ("frequencyPenalty", "frequency_penalty", -2.0, 2.0),
        ("candidateCount", "candidate_count", 1.0, 8.0),
        ("maxOutputTokens", "max_output_tokens", 1.0, 1_000_000_000.0),
        ("topK", "top_k", 1.0, 1_000_000.0),
        ("logprobs", "logprobs", 0.0, 20.0),
        ("seed", "seed", -2_147_483_648.0, 2_147_483_647.0),
    ] {
        if let Some(value) = config.get(name)
            && !value
                .as_f64()
                .is_some_and(|number| (low..=high).contains(&number))
        {
            return refuse(format!(
                "* GenerateContentRequest.generation_config.{snake}: {snake} must be in the range [{low}, {high}].\n"
            ));
        }
    }
    if config.contains_key("logprobs") && config.get("responseLogprobs") != Some(&Value::Bool(true))
    {
        return refuse("logprobs is only valid if response_logprobs is set to true");
    }
    let stops = config.get("stopSequences").and_then(Value::as_array);
    match stops.map(Vec::len) {
        Some(6..) => refuse(
            "* GenerateContentRequest.generation_config.stop_sequences: at most 5 stop sequences are allowed\n",
        ),
        _ => Ok(()),
    }
}

/// Says whether thoughts are to be shown.
fn check_thinking(config: &Map<String, Value>, model: &str) -> Checked<bool> {
    let Some(thinking) = config.get("thinkingConfig") else {
        return Ok(false);
    };
    let level = thinking["thinkingLevel"].as_str();
    if level.is_some() && thinking.get("thinkingBudget").is_some() {
        return refuse("You can only set only one of thinking budget and thinking level.");
    }
    if thinking
        .get("thinkingBudget")
        .is_some_and(|budget| budget.as_i64().is_none_or(|n| !(-1..=32768).contains(&n)))
    {
        return refuse(
            "The thinking budget is invalid. Please choose a value between -1 and 32768.",
        );
    }
    if let (Some(level), Some(levels)) = (level, family::thinking_levels(model)) {
        if levels.is_empty() {
            return refuse("Thinking level is not supported for this model.");
        }
        if !levels.contains(&level) {
            return refuse(format!(
                "'{}' is not a supported thinking level for this model. Allowed values are: {}.",
                level.to_lowercase(),
                levels.join(", ").to_lowercase()
            ));
        }
    }
    Ok(thinking["includeThoughts"] == true)
}

fn check_structured(config: &Map<String, Value>) -> Checked<Structured> {
    let schema = config.get("responseSchema");
    let json_schema = config.get("responseJsonSchema");
    if schema.is_some() && json_schema.is_some() {
        return refuse("response_schema and response_json_schema are mutually exclusive.");
    }
    let format = config.get("responseFormat").map(|format| &format["text"]);
    if let Some(text) = format {
        return Ok(match text.get("schema") {
            Some(schema) => Structured::Schema(schema.clone()),
            None if text["mimeType"] == "APPLICATION_JSON" => Structured::AnyObject,
            None => Structured::Off,
        });
    }
    let mime = config.get("responseMimeType").and_then(Value::as_str);
    match (mime, schema.or(json_schema)) {
        (Some("application/json" | "text/x.enum"), Some(schema)) => {
            Ok(Structured::Schema(lower_types(schema)))
        }
        (_, Some(_)) => refuse(
            "Response schema is only supported with response mime type application/json or text/x.enum.",
        ),
        (Some("application/json"), None) => Ok(Structured::AnyObject),
        (None | Some("text/plain"), None) => Ok(Structured::Off),
        (Some(other), None) => refuse(format!(
            "* GenerateContentRequest.generation_config.response_mime_type: allowed mimetypes are `text/plain`, `application/json`, `application/xml`, `application/yaml` and `text/x.enum`, got {other}.\n"
        )),
    }
}

/// An OpenAPI schema names its types in upper case.
fn lower_types(schema: &Value) -> Value {
    match schema {
        Value::Object(fields) => Value::Object(
            fields
                .iter()
                .map(|(key, value)| match (key.as_str(), value) {
                    ("type", Value::String(name)) => (key.clone(), name.to_lowercase().into()),
                    _ => (key.clone(), lower_types(value)),
                })
                .collect(),
        ),
        Value::Array(items) => items.iter().map(lower_types).collect(),
        other => other.clone(),
    }
}

fn check_tools(body: &Value) -> Checked<Vec<Tool>> {
    let mut tools: Vec<Tool> = Vec::new();
    let declared = body["tools"]
        .as_array()
        .into_iter()
        .flatten()
        .flat_map(|tool| {
            tool["functionDeclarations"]
                .as_array()
                .into_iter()
                .flatten()
        });
    for (index, function) in declared.enumerate() {
        let at = format!("GenerateContentRequest.tools[0].function_declarations[{index}]");
        let name = function["name"].as_str().unwrap_or_default();
        let fits = name.len() <= 128
            && name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
            && name
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"_.:-".contains(&byte));
        if !fits {
            return refuse(format!(
                "* {at}.name: Invalid function name. Must start with a letter or an underscore. Must be alphanumeric (a-z, A-Z, 0-9), underscores (_), dots (.), colons (:), or dashes (-), with a maximum length of 128.\n"
            ));
        }
        if tools.iter().any(|other| other.name == name) {
            return refuse(format!("Duplicate function declaration found: {name}"));
        }
        let schema = match (
            function.get("parameters"),
            function.get("parametersJsonSchema"),
        ) {
            (Some(_), Some(_)) => {
                return refuse(format!(
                    "* {at}.parameters: parameters and parameters_json_schema are mutually exclusive.\n"
                ));
            }
            (Some(schema), None) => lower_types(schema),
            (None, schema) => schema.cloned().unwrap_or_default(),
        };
        if !schema.is_null() && schema["type"] != "object" {
            return refuse(format!(
                "* {at}.parameters: only allowed for OBJECT type.\n"
            ));
        }
        tools.push(Tool {
            name: name.to_owned(),
            schema,
        });
    }
    Ok(tools)
}

fn check_tool_choice(body: &Value, tools: &[Tool]) -> Checked<ToolChoice> {
    let config = &body["toolConfig"]["functionCallingConfig"];
    let mode = config["mode"].as_str();
    let allowed: Vec<&str> = config["allowedFunctionNames"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    if !allowed.is_empty() && !matches!(mode, Some("ANY" | "VALIDATED")) {
        return refuse(
            "Allowed function names should only be set when the function calling mode is ANY or VALIDATED.",
        );
    }
    if let Some(missing) = allowed
        .iter()
        .find(|name| !tools.iter().any(|tool| tool.name == **name))
    {
        return refuse(format!(
            "Allowed function name '{missing}' is not among the function declarations."
        ));
    }
    match mode {
        Some("ANY") if tools.is_empty() => refuse(
            "Function calling mode is set to ANY, but no function declarations are provided.",
        ),
        Some("NONE") => Ok(ToolChoice::None),
        _ => Ok(allowed.first().map_or(ToolChoice::Auto, |name| {
            ToolChoice::Named((*name).to_owned())
        })),
    }
}
