//! A chat request, from the wire to the IR.

use tollgate_base::{Error, Result};

use super::content::{self, text_field};
use crate::{
    Dialect, Effort, RawObject, checks,
    ir::{OutputFormat, Reasoning, Request, Tool, ToolChoice, changed, raw_json},
    json::{Json, Shape},
    openai_chat::read_head,
};

pub(crate) fn parse_request(raw: &RawObject) -> Result<Request> {
    let head = read_head(raw)?;
    let mut request = Request {
        origin: Some(Dialect::OpenAiChat),
        ..parse_scalars(raw)
    };
    request.max_output_tokens = head.max_output_tokens;
    if let Some(messages) = raw.json("messages") {
        request.messages = content::parse_messages(messages)?;
    }
    parse_tools(raw, &mut request)?;
    parse_tool_choice(raw, &mut request)?;
    request.output = parse_output(raw)?;
    request.reasoning = parse_reasoning(raw)?;
    if raw.json("logprobs").and_then(Json::as_bool) == Some(true) {
        let top = raw.json("top_logprobs").and_then(Json::as_u64).unwrap_or(0);
        request.logprobs = Some(u32::try_from(top).unwrap_or(20));
    }
    request.extras = extras(raw);
    Ok(request)
}

/// The scalars that chat and legacy completions share. The head has checked their types.
pub(crate) fn parse_scalars(raw: &RawObject) -> Request {
    let number = |name| raw.json(name).and_then(Json::as_f64);
    let text = |name| {
        raw.json(name)
            .and_then(Json::as_str)
            .map(std::borrow::Cow::into_owned)
    };
    let mut request = Request {
        model: text("model").unwrap_or_default(),
        parallel_tool_calls: raw.json("parallel_tool_calls").and_then(Json::as_bool),
        max_output_tokens: raw.json("max_tokens").and_then(Json::as_u64),
        candidates: raw
            .json("n")
            .and_then(Json::as_u64)
            .and_then(|n| u32::try_from(n).ok())
            .unwrap_or(1),
        user: text("safety_identifier").or_else(|| text("user")),
        service_tier: text("service_tier"),
        stream: raw.json("stream").and_then(Json::as_bool).unwrap_or(false),
        ..Request::default()
    };
    request.sampling.temperature = number("temperature");
    request.sampling.top_p = number("top_p");
    request.sampling.top_k = raw.json("top_k").and_then(Json::as_u64);
    request.sampling.min_p = number("min_p");
    request.sampling.seed = raw.json("seed").and_then(|seed| seed.text().parse().ok());
    request.sampling.frequency_penalty = number("frequency_penalty");
    request.sampling.presence_penalty = number("presence_penalty");
    request.sampling.repetition_penalty = number("repetition_penalty");
    request.sampling.logit_bias = logit_bias(raw).unwrap_or_default();
    if let Some(stop) = raw.json("stop") {
        let texts = stop
            .items()
            .chain((stop.shape() == Shape::String).then_some(stop));
        request.stop = texts
            .filter_map(|text| text.as_str().map(std::borrow::Cow::into_owned))
            .collect();
    }
    request
}

/// The bias of each token; `None` where a key is no token's number.
fn logit_bias(raw: &RawObject) -> Option<Vec<(u32, f64)>> {
    let biases = raw.json("logit_bias").into_iter().flat_map(Json::fields);
    biases
        .map(|(token, bias)| Some((token.parse().ok()?, bias.as_f64()?)))
        .collect()
}

/// Whether a field of the sampling, for which some servers take other values than the IR has, was not understood.
/// It is told to a server of the same dialect as it is, and lost on the way to others.
pub(crate) fn is_not_understood(raw: &RawObject, name: &str) -> bool {
    match name {
        "logit_bias" => logit_bias(raw).is_none(),
        "top_k" => raw.json(name).and_then(Json::as_u64).is_none(),
        "min_p" | "repetition_penalty" => raw.json(name).and_then(Json::as_f64).is_none(),
        _ => false,
    }
}

fn parse_tools(raw: &RawObject, request: &mut Request) -> Result<()> {
    for (i, tool) in raw
        .json("tools")
        .into_iter()
        .flat_map(Json::items)
        .enumerate()
    {
        let kind = tool.field("type").and_then(Json::as_str);
        let Some(function) = tool
            .field("function")
            .filter(|_| kind.is_none() || kind.as_deref() == Some("function"))
        else {
            let text = "Only function tools can be translated for this model. Remove the tool.";
            return Err(Error::unsupported(format!("tools[{i}].type"), text));
        };
        request
            .tools
            .push(parse_function(function, &format!("tools[{i}].function"))?);
    }
    // The deprecated form.
    for (i, function) in raw
        .json("functions")
        .into_iter()
        .flat_map(Json::items)
        .enumerate()
    {
        request
            .tools
            .push(parse_function(function, &format!("functions[{i}]"))?);
    }
    Ok(())
}

fn parse_function(function: Json<'_>, path: &str) -> Result<Tool> {
    let Some(name) = text_field(function, "name") else {
        return Err(Error::missing_field(format!("{path}.name")));
    };
    let parameters = function
        .field("parameters")
        .filter(|schema| !schema.is_null());
    if parameters.is_some_and(|schema| schema.shape() != Shape::Object) {
        return Err(checks::wrong_type(
            &format!("{path}.parameters"),
            "an object",
        ));
    }
    Ok(Tool {
        name,
        description: text_field(function, "description"),
        parameters: parameters.map(|schema| raw_json(schema.text())),
        strict: function.field("strict").and_then(Json::as_bool),
        cache: None,
        freeform: None,
    })
}

fn parse_tool_choice(raw: &RawObject, request: &mut Request) -> Result<()> {
    let Some(choice) = raw
        .json("tool_choice")
        .or_else(|| raw.json("function_call"))
    else {
        return Ok(());
    };
    let wrong = || {
        Error::invalid_value(
            "tool_choice",
            "`tool_choice` must be `none`, `auto`, `required`, or an object that names a function.",
        )
    };
    if let Some(word) = choice.as_str() {
        request.tool_choice = Some(match &*word {
            "none" => ToolChoice::None,
            "auto" => ToolChoice::Auto,
            "required" | "any" => ToolChoice::Required,
            _ => return Err(wrong()),
        });
        return Ok(());
    }
    if let Some(allowed) = choice.field("allowed_tools") {
        return parse_allowed(allowed, request);
    }
    // The deprecated form is the function object itself.
    let function = choice.field("function").unwrap_or(choice);
    let name = text_field(function, "name")
        .filter(|_| choice.field("custom").is_none())
        .ok_or_else(wrong)?;
    request.tool_choice = Some(ToolChoice::Named(name));
    Ok(())
}

/// A subset of the tools: the others are left out of the request.
fn parse_allowed(allowed: Json<'_>, request: &mut Request) -> Result<()> {
    let names: Vec<String> = allowed
        .field("tools")
        .into_iter()
        .flat_map(Json::items)
        .filter_map(|tool| text_field(tool.field("function").unwrap_or(tool), "name"))
        .collect();
    request.tools.retain(|tool| names.contains(&tool.name));
    if request.tools.is_empty() {
        let text = "`tool_choice.allowed_tools` names none of the tools.";
        return Err(Error::invalid_value("tool_choice", text));
    }
    let is_required = allowed.field("mode").and_then(Json::as_str).as_deref() == Some("required");
    request.tool_choice = Some(if is_required {
        ToolChoice::Required
    } else {
        ToolChoice::Auto
    });
    request.losses.push(changed(
        "tool_choice",
        "The tools that are not allowed were left out of the request.",
    ));
    Ok(())
}

fn parse_output(raw: &RawObject) -> Result<OutputFormat> {
    let Some(format) = raw.json("response_format") else {
        return Ok(OutputFormat::Text);
    };
    let kind = format
        .field("type")
        .and_then(Json::as_str)
        .unwrap_or_default();
    match &*kind {
        "text" => Ok(OutputFormat::Text),
        "json_object" => Ok(OutputFormat::JsonObject),
        "json_schema" => {
            let path = "response_format.json_schema";
            let wrapper = format
                .field("json_schema")
                .ok_or_else(|| Error::missing_field(path))?;
            let schema = wrapper
                .field("schema")
                .filter(|schema| schema.shape() == Shape::Object);
            let schema =
                schema.ok_or_else(|| checks::wrong_type(&format!("{path}.schema"), "an object"))?;
            Ok(OutputFormat::JsonSchema {
                name: text_field(wrapper, "name"),
                description: text_field(wrapper, "description"),
                schema: raw_json(schema.text()),
                strict: wrapper.field("strict").and_then(Json::as_bool),
            })
        }
        _ => {
            let text = "`response_format.type` must be `text`, `json_object` or `json_schema` for this model.";
            Err(Error::unsupported("response_format.type", text))
        }
    }
}

fn parse_reasoning(raw: &RawObject) -> Result<Option<Reasoning>> {
    let Some(name) = raw.json("reasoning_effort").and_then(Json::as_str) else {
        return Ok(None);
    };
    let Some(effort) = Effort::from_name(&name) else {
        let text =
            "`reasoning_effort` must be one of: none, minimal, low, medium, high, xhigh, max.";
        return Err(Error::invalid_value("reasoning_effort", text));
    };
    Ok(Some(Reasoning {
        effort: Some(effort),
        budget_tokens: None,
        visible: None,
    }))
}

/// What is left when everything that the IR can say is taken.
fn extras(raw: &RawObject) -> Vec<(String, crate::ir::Json)> {
    const SAID: [&str; 29] = [
        "model",
        "messages",
        "stream",
        "stream_options",
        "max_tokens",
        "max_completion_tokens",
        "temperature",
        "top_p",
        "top_k",
        "min_p",
        "seed",
        "frequency_penalty",
        "presence_penalty",
        "repetition_penalty",
        "logit_bias",
        "stop",
        "n",
        "logprobs",
        "top_logprobs",
        "response_format",
        "tools",
        "tool_choice",
        "parallel_tool_calls",
        "functions",
        "function_call",
        "reasoning_effort",
        "user",
        "safety_identifier",
        "service_tier",
    ];
    let is_said = |name: &str| SAID.contains(&name) && !is_not_understood(raw, name);
    raw.fields()
        .filter(|(name, value)| *value != "null" && !is_said(name))
        .map(|(name, value)| (name.to_owned(), raw_json(value)))
        .collect()
}
