//! A Responses request, from the wire to the IR. What a provider would keep for the caller (stored responses,
//! conversations, background work) has been done before this is called, or cannot be done.

use tollgate_base::{Error, Result, quote};

use super::input::{message, parse_input, text_part};
use crate::{
    Dialect, Effort, RawObject, checks,
    ir::{
        Json as RawJson, OutputFormat, Reasoning, Request, Role, Tool, ToolChoice, changed,
        dropped, raw_json,
    },
    json::{Json, Shape},
    openai_chat::content::text_field,
    openai_responses::{custom, read_head},
};

pub(crate) fn parse_request(raw: &RawObject) -> Result<Request> {
    let head = read_head(raw)?;
    check_is_done_here(raw)?;
    let number = |name| raw.json(name).and_then(Json::as_f64);
    let text = |name| {
        raw.json(name)
            .and_then(Json::as_str)
            .map(std::borrow::Cow::into_owned)
    };
    let mut request = Request {
        origin: Some(Dialect::OpenAiResponses),
        model: head.model,
        max_output_tokens: head.max_output_tokens,
        candidates: 1,
        logprobs: logprobs(raw),
        stream: head.stream,
        parallel_tool_calls: raw.json("parallel_tool_calls").and_then(Json::as_bool),
        user: text("safety_identifier").or_else(|| text("user")),
        service_tier: text("service_tier"),
        ..Request::default()
    };
    request.sampling.temperature = number("temperature");
    request.sampling.top_p = number("top_p");
    if let Some(instructions) = text("instructions").filter(|text| !text.is_empty()) {
        let part = text_part(instructions);
        request.messages.push(message(Role::System, vec![part]));
        request.has_system_field = true;
    }
    let Some(input) = raw.json("input") else {
        return Err(Error::missing_field("input"));
    };
    request.messages.extend(parse_input(input)?);
    parse_tools(raw, &mut request)?;
    parse_tool_choice(raw, &mut request)?;
    request.output = parse_output(raw)?;
    request.extras = extras(raw);
    parse_reasoning(raw, &mut request)?;
    Ok(request)
}

/// Refuses what only a server can do that keeps state.
fn check_is_done_here(raw: &RawObject) -> Result<()> {
    for name in ["previous_response_id", "conversation"] {
        if raw.json(name).is_some() {
            let text = format!(
                "`{name}` names what is not stored here. Send the earlier items in `input`."
            );
            return Err(Error::unsupported(name, text));
        }
    }
    if raw.json("background").and_then(Json::as_bool) == Some(true) {
        let text = "The model cannot be run in the background. Leave `background` out.";
        return Err(Error::unsupported("background", text));
    }
    if raw.json("prompt").is_some() {
        let text = "A stored prompt belongs to the provider that keeps it, and another one answers for this model. Send the text of it in `input`.";
        return Err(Error::unsupported("prompt", text));
    }
    Ok(())
}

/// Log-probabilities are asked for by what the reply shall include, or by how many alternatives it shall name.
fn logprobs(raw: &RawObject) -> Option<u32> {
    let is_included = raw
        .json("include")
        .into_iter()
        .flat_map(Json::items)
        .any(|name| name.text() == "\"message.output_text.logprobs\"");
    let top = raw.json("top_logprobs").and_then(Json::as_u64).unwrap_or(0);
    (is_included || top > 0).then(|| u32::try_from(top).unwrap_or(u32::MAX))
}

fn parse_tools(raw: &RawObject, request: &mut Request) -> Result<()> {
    let tools = raw.json("tools").into_iter().flat_map(Json::items);
    for (i, tool) in tools.enumerate() {
        let path = format!("tools[{i}]");
        let kind = tool.field("type").and_then(Json::as_str);
        match kind.as_deref() {
            Some("function") => request.tools.push(parse_function(tool, &path)?),
            Some("custom") => {
                let tool = parse_custom(tool, &path, request)?;
                request.tools.push(tool);
            }
            Some("namespace") => parse_namespace(tool, &path, request)?,
            // The model may search, and answers without it where nobody can for it. A caller who relies on the
            // search forces it, or is strict.
            Some(kind @ ("web_search" | "web_search_preview" | "tool_search")) => {
                request.losses.push(dropped(
                    path,
                    format!("The tool {} is run by its own provider.", quote(kind)),
                ));
            }
            Some(kind) => {
                let text = format!(
                    "The tool {} is run by its own provider, and another one answers for this model. Remove it from `tools`, or switch it off in the client.",
                    quote(kind)
                );
                return Err(Error::unsupported(format!("{path}.type"), text));
            }
            None => return Err(Error::missing_field(format!("{path}.type"))),
        }
    }
    Ok(())
}

fn parse_function(tool: Json<'_>, path: &str) -> Result<Tool> {
    let Some(name) = text_field(tool, "name") else {
        return Err(Error::missing_field(format!("{path}.name")));
    };
    let parameters = tool.field("parameters").filter(|schema| !schema.is_null());
    if parameters.is_some_and(|schema| schema.shape() != Shape::Object) {
        let path = format!("{path}.parameters");
        return Err(checks::wrong_type(&path, "an object"));
    }
    Ok(Tool {
        name,
        description: text_field(tool, "description"),
        parameters: parameters.map(|schema| raw_json(schema.text())),
        strict: tool.field("strict").and_then(Json::as_bool),
        cache: None,
        freeform: None,
    })
}

/// The functions of a namespace, each with the namespace in front of its name.
fn parse_namespace(space: Json<'_>, path: &str, request: &mut Request) -> Result<()> {
    let Some(namespace) = text_field(space, "name") else {
        return Err(Error::missing_field(format!("{path}.name")));
    };
    let functions = space.field("tools").into_iter().flat_map(Json::items);
    for (i, function) in functions.enumerate() {
        let mut tool = parse_function(function, &format!("{path}.tools[{i}]"))?;
        tool.name = custom::joined(&namespace, &tool.name);
        request.tools.push(tool);
    }
    Ok(())
}

/// A custom tool is told as a function that takes one text. A grammar of that text becomes a wish.
fn parse_custom(tool: Json<'_>, path: &str, request: &mut Request) -> Result<Tool> {
    let Some(name) = text_field(tool, "name") else {
        return Err(Error::missing_field(format!("{path}.name")));
    };
    let mut description = text_field(tool, "description").unwrap_or_default();
    let format = tool.field("format");
    if let Some(grammar) = format.and_then(|format| text_field(format, "definition")) {
        let syntax = format
            .and_then(|format| text_field(format, "syntax"))
            .unwrap_or_default();
        if !description.is_empty() {
            description.push_str("\n\n");
        }
        description.push_str("The input follows this ");
        description.push_str(&syntax);
        description.push_str(" grammar:\n");
        description.push_str(&grammar);
        request.losses.push(changed(
            format!("{path}.format"),
            "No other dialect binds a tool's input to a grammar; the tool's description shows it.",
        ));
    }
    Ok(Tool {
        name,
        description: Some(description).filter(|text| !text.is_empty()),
        parameters: Some(custom::parameters()),
        strict: None,
        cache: None,
        freeform: Some(raw_json(tool.text())),
    })
}

fn parse_tool_choice(raw: &RawObject, request: &mut Request) -> Result<()> {
    let Some(choice) = raw.json("tool_choice") else {
        return Ok(());
    };
    let kind = choice.as_str().or_else(|| choice.field("type")?.as_str());
    request.tool_choice = Some(match kind.as_deref() {
        Some("none") => ToolChoice::None,
        Some("auto") => ToolChoice::Auto,
        Some("required") => ToolChoice::Required,
        Some("function" | "custom") => {
            let Some(name) = text_field(choice, "name") else {
                return Err(Error::missing_field("tool_choice.name"));
            };
            ToolChoice::Named(name)
        }
        Some("allowed_tools") => return parse_allowed(choice, request),
        _ => {
            let text = "`tool_choice` must be `none`, `auto`, `required`, or an object that names a function or a custom tool.";
            return Err(Error::unsupported("tool_choice", text));
        }
    });
    Ok(())
}

/// A subset of the tools: the others are left out of the request.
fn parse_allowed(allowed: Json<'_>, request: &mut Request) -> Result<()> {
    let names: Vec<String> = allowed
        .field("tools")
        .into_iter()
        .flat_map(Json::items)
        .filter_map(|tool| text_field(tool, "name"))
        .collect();
    let before = request.tools.len();
    request.tools.retain(|tool| names.contains(&tool.name));
    if request.tools.is_empty() {
        let text = "`tool_choice.tools` names none of the tools.";
        return Err(Error::invalid_value("tool_choice", text));
    }
    let is_required = allowed.field("mode").and_then(Json::as_str).as_deref() == Some("required");
    request.tool_choice = Some(if is_required {
        ToolChoice::Required
    } else {
        ToolChoice::Auto
    });
    if request.tools.len() < before {
        request.losses.push(changed(
            "tool_choice",
            "The tools that are not allowed were left out of the request.",
        ));
    }
    Ok(())
}

fn parse_output(raw: &RawObject) -> Result<OutputFormat> {
    let format = raw.json("text").and_then(|text| text.field("format"));
    let Some(format) = format.filter(|format| !format.is_null()) else {
        return Ok(OutputFormat::Text);
    };
    let kind = format.field("type").and_then(Json::as_str);
    match kind.as_deref() {
        Some("text") => Ok(OutputFormat::Text),
        Some("json_object") => Ok(OutputFormat::JsonObject),
        Some("json_schema") => {
            let schema = format.field("schema");
            let Some(schema) = schema.filter(|schema| schema.shape() == Shape::Object) else {
                return Err(checks::wrong_type("text.format.schema", "an object"));
            };
            Ok(OutputFormat::JsonSchema {
                name: text_field(format, "name"),
                description: text_field(format, "description"),
                schema: raw_json(schema.text()),
                strict: format.field("strict").and_then(Json::as_bool),
            })
        }
        _ => {
            let text =
                "`text.format.type` must be `text`, `json_object` or `json_schema` for this model.";
            Err(Error::unsupported("text.format.type", text))
        }
    }
}

/// The effort, and whether a summary shall be shown. What else `reasoning` says is kept by its path.
fn parse_reasoning(raw: &RawObject, request: &mut Request) -> Result<()> {
    let Some(reasoning) = raw.json("reasoning") else {
        return Ok(());
    };
    let effort = match text_field(reasoning, "effort") {
        None => None,
        Some(name) => Some(Effort::from_name(&name).ok_or_else(|| {
            let text =
                "`reasoning.effort` must be one of: none, minimal, low, medium, high, xhigh, max.";
            Error::invalid_value("reasoning.effort", text)
        })?),
    };
    let summary =
        text_field(reasoning, "summary").or_else(|| text_field(reasoning, "generate_summary"));
    if effort.is_some() {
        request.reasoning = Some(Reasoning {
            effort,
            budget_tokens: None,
            visible: summary.as_ref().map(|_| true),
        });
    }
    for (name, value) in reasoning.fields().filter(|(_, value)| !value.is_null()) {
        let is_said = match name {
            "effort" => true,
            "summary" | "generate_summary" => {
                effort.is_some() && summary.as_deref() == Some("auto")
            }
            _ => false,
        };
        if !is_said {
            let path = format!("reasoning.{name}");
            request.extras.push((path, raw_json(value.text())));
        }
    }
    Ok(())
}

/// What is left when everything that the IR can say is taken.
fn extras(raw: &RawObject) -> Vec<(String, RawJson)> {
    // `store` and its like were done before; `include` asks for what is always given or for parts of hosted
    // tools, which were refused.
    const SAID: [&str; 23] = [
        "model",
        "input",
        "instructions",
        "stream",
        "stream_options",
        "max_output_tokens",
        "temperature",
        "top_p",
        "top_logprobs",
        "tools",
        "tool_choice",
        "parallel_tool_calls",
        "reasoning",
        "text",
        "user",
        "safety_identifier",
        "service_tier",
        "store",
        "background",
        "include",
        "previous_response_id",
        "conversation",
        "prompt",
    ];
    let is_default = |name: &str, value: &str| match name {
        _ if value == "null" => true,
        "truncation" => value == "\"disabled\"",
        "metadata" => Json::new(value).fields().next().is_none(),
        _ => false,
    };
    let mut extras: Vec<(String, RawJson)> = raw
        .fields()
        .filter(|(name, value)| !SAID.contains(name) && !is_default(name, value))
        .map(|(name, value)| (name.to_owned(), raw_json(value)))
        .collect();
    let verbosity = raw.json("text").and_then(|text| text.field("verbosity"));
    if let Some(verbosity) = verbosity.filter(|value| !value.is_null()) {
        extras.push(("text.verbosity".to_owned(), raw_json(verbosity.text())));
    }
    extras
}
