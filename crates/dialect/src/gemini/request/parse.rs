//! A generateContent request, from the wire to the IR.

use tollgate_base::{Error, Result};

use super::{contents, schema};
use crate::{
    Dialect, Effort, RawObject, checks,
    gemini::{
        fields::{field, flag, integer, is_named, needed_text, number, shaped, text, top},
        read_head,
    },
    ir::{OutputFormat, Reasoning, Request, Tool, ToolChoice, changed, dropped, raw_json},
    json::{Json, Shape},
};

const CONFIG: &str = "generationConfig";
/// What is read of `generationConfig`.
const CONFIG_FIELDS: [&str; 17] = [
    "temperature",
    "topP",
    "topK",
    "seed",
    "frequencyPenalty",
    "presencePenalty",
    "stopSequences",
    "candidateCount",
    "maxOutputTokens",
    "responseLogprobs",
    "logprobs",
    "responseModalities",
    "responseMimeType",
    "responseSchema",
    "responseJsonSchema",
    "responseFormat",
    "thinkingConfig",
];
const CALLING: &str = "toolConfig.functionCallingConfig";

pub(crate) fn parse_request(raw: &RawObject) -> Result<Request> {
    let head = read_head(raw)?;
    let mut request = Request {
        origin: Some(Dialect::GeminiGenerate),
        max_output_tokens: head.max_output_tokens,
        candidates: head.candidates,
        service_tier: service_tier(raw),
        ..Request::default()
    };
    if top(raw, "cachedContent").is_some() {
        let text = "A cached content belongs to the provider that keeps it, and another one answers for this model. Send the content itself.";
        return Err(Error::unsupported("cachedContent", text));
    }
    if let Some(system) = top(raw, "systemInstruction") {
        contents::parse_system(system, &mut request)?;
    }
    if let Some(list) = top(raw, "contents") {
        contents::parse_contents(list, &mut request)?;
    }
    for (i, tool) in top(raw, "tools")
        .into_iter()
        .flat_map(Json::items)
        .enumerate()
    {
        parse_tool(tool, i, &mut request)?;
    }
    if let Some(config) = top(raw, "toolConfig") {
        parse_tool_config(config, &mut request)?;
    }
    if let Some(config) = top(raw, CONFIG) {
        parse_config(config, &mut request)?;
    }
    parse_extras(raw, &mut request);
    Ok(request)
}

fn service_tier(raw: &RawObject) -> Option<String> {
    let tier = top(raw, "serviceTier")?.as_str()?.to_ascii_lowercase();
    match &*tier {
        "unspecified" | "service_tier_unspecified" => None,
        "standard" => Some("default".to_owned()),
        _ => Some(tier),
    }
}

fn parse_tool(tool: Json<'_>, i: usize, request: &mut Request) -> Result<()> {
    let path = format!("tools[{i}]");
    if tool.shape() != Shape::Object {
        return Err(checks::wrong_type(&path, "an object"));
    }
    for (key, value) in tool.fields().filter(|(_, value)| !value.is_null()) {
        if !is_named(key, "functionDeclarations") {
            let text = "Tools that the provider itself runs cannot be translated for this model. Remove the tool.";
            return Err(Error::unsupported(format!("{path}.{key}"), text));
        }
        for declaration in value.items() {
            let tool = parse_declaration(declaration, request)?;
            request.tools.push(tool);
        }
    }
    Ok(())
}

fn parse_declaration(declaration: Json<'_>, request: &mut Request) -> Result<Tool> {
    let path = format!("functionDeclarations[{}]", request.tools.len());
    for name in ["behavior", "response", "responseJsonSchema"] {
        if field(declaration, name).is_some() {
            request.losses.push(dropped(
                format!("{path}.{name}"),
                "Other dialects describe what goes into a tool, not what comes out or when.",
            ));
        }
    }
    let json_schema = field(declaration, "parametersJsonSchema");
    let json_schema = shaped(
        json_schema,
        &format!("{path}.parametersJsonSchema"),
        Shape::Object,
    )?;
    let parameters = field(declaration, "parameters");
    let parameters = shaped(parameters, &format!("{path}.parameters"), Shape::Object)?;
    Ok(Tool {
        name: needed_text(declaration, "name", &path)?,
        description: text(declaration, "description"),
        parameters: json_schema
            .map(|schema| raw_json(schema.text()))
            .or_else(|| parameters.map(|schema| raw_json(&schema::to_json_schema(schema)))),
        strict: None,
        cache: None,
        freeform: None,
    })
}

fn parse_tool_config(config: Json<'_>, request: &mut Request) -> Result<()> {
    for (key, value) in config.fields().filter(|(_, value)| !value.is_null()) {
        if !is_named(key, "functionCallingConfig") {
            let path = format!("toolConfig.{key}");
            request.extras.push((path, raw_json(value.text())));
        }
    }
    let Some(calling) = field(config, "functionCallingConfig") else {
        return Ok(());
    };
    let allowed: Vec<String> = field(calling, "allowedFunctionNames")
        .into_iter()
        .flat_map(Json::items)
        .filter_map(|name| Some(name.as_str()?.into_owned()))
        .collect();
    let mode = text(calling, "mode")
        .unwrap_or_default()
        .to_ascii_uppercase();
    let choice = match &*mode {
        "" | "MODE_UNSPECIFIED" => None,
        "AUTO" => Some(ToolChoice::Auto),
        "NONE" => Some(ToolChoice::None),
        "ANY" => match allowed.as_slice() {
            [name] => Some(ToolChoice::Named(name.clone())),
            _ => Some(ToolChoice::Required),
        },
        "VALIDATED" => {
            request.losses.push(changed(
                format!("{CALLING}.mode"),
                "Only this dialect's models check their calls while they may also answer with text.",
            ));
            Some(ToolChoice::Auto)
        }
        _ => {
            let text = format!("`{CALLING}.mode` must be AUTO, ANY, NONE or VALIDATED.");
            return Err(Error::invalid_value(format!("{CALLING}.mode"), text));
        }
    };
    let is_subset = !allowed.is_empty() && !matches!(choice, Some(ToolChoice::Named(_)));
    if is_subset && choice != Some(ToolChoice::None) {
        let n_before = request.tools.len();
        request.tools.retain(|tool| allowed.contains(&tool.name));
        if request.tools.is_empty() {
            let path = format!("{CALLING}.allowedFunctionNames");
            let text = format!("`{path}` names none of the tools.");
            return Err(Error::invalid_value(path, text));
        }
        if request.tools.len() < n_before {
            request.losses.push(changed(
                format!("{CALLING}.allowedFunctionNames"),
                "The tools that are not allowed were left out of the request.",
            ));
        }
    }
    request.tool_choice = choice;
    Ok(())
}

fn parse_config(config: Json<'_>, request: &mut Request) -> Result<()> {
    let sampling = &mut request.sampling;
    sampling.temperature = number(config, "temperature", CONFIG, 0.0..=2.0)?;
    sampling.top_p = number(config, "topP", CONFIG, 0.0..=1.0)?;
    let top_k = integer(config, "topK", CONFIG, 0..=i64::MAX)?;
    sampling.top_k = top_k.and_then(|n| u64::try_from(n).ok());
    sampling.seed = integer(config, "seed", CONFIG, i64::MIN..=i64::MAX)?;
    sampling.frequency_penalty = number(config, "frequencyPenalty", CONFIG, -2.0..=2.0)?;
    sampling.presence_penalty = number(config, "presencePenalty", CONFIG, -2.0..=2.0)?;
    for (i, stop) in field(config, "stopSequences")
        .into_iter()
        .flat_map(Json::items)
        .enumerate()
    {
        let Some(text) = stop.as_str().filter(|text| !text.is_empty()) else {
            let path = format!("{CONFIG}.stopSequences[{i}]");
            return Err(checks::wrong_type(&path, "a string that is not empty"));
        };
        request.stop.push(text.into_owned());
    }
    request.logprobs = parse_logprobs(config)?;
    for modality in field(config, "responseModalities")
        .into_iter()
        .flat_map(Json::items)
    {
        if !modality
            .as_str()
            .is_some_and(|name| name.eq_ignore_ascii_case("TEXT"))
        {
            let text = "The model answers with text only. Leave `responseModalities` out.";
            return Err(Error::unsupported(
                "generationConfig.responseModalities",
                text,
            ));
        }
    }
    request.output = parse_output(config)?;
    request.reasoning = match field(config, "thinkingConfig") {
        Some(thinking) => parse_thinking(thinking)?,
        None => None,
    };
    for (key, value) in config.fields().filter(|(_, value)| !value.is_null()) {
        if !CONFIG_FIELDS.iter().any(|name| is_named(key, name)) {
            let path = format!("{CONFIG}.{key}");
            request.extras.push((path, raw_json(value.text())));
        }
    }
    Ok(())
}

fn parse_logprobs(config: Json<'_>) -> Result<Option<u32>> {
    let is_asked = flag(config, "responseLogprobs", CONFIG)?.unwrap_or(false);
    let top = integer(config, "logprobs", CONFIG, 0..=20)?;
    if top.is_some() && !is_asked {
        let text = "`logprobs` needs `responseLogprobs` to be true.";
        return Err(Error::invalid_value("generationConfig.logprobs", text));
    }
    let top = top.and_then(|n| u32::try_from(n).ok()).unwrap_or(0);
    Ok(is_asked.then_some(top))
}

fn parse_output(config: Json<'_>) -> Result<OutputFormat> {
    if let Some(format) = field(config, "responseFormat") {
        return parse_response_format(format);
    }
    let mime = text(config, "responseMimeType").unwrap_or_default();
    let path = "generationConfig.responseJsonSchema";
    let json_schema = shaped(field(config, "responseJsonSchema"), path, Shape::Object)?;
    let path = "generationConfig.responseSchema";
    let own_schema = shaped(field(config, "responseSchema"), path, Shape::Object)?;
    match &*mime {
        "" | "text/plain" => Ok(OutputFormat::Text),
        "application/json" => Ok(match (json_schema, own_schema) {
            (Some(schema), _) => bound_to(schema.text()),
            (None, Some(schema)) => bound_to(&schema::to_json_schema(schema)),
            (None, None) => OutputFormat::JsonObject,
        }),
        _ => {
            let path = "generationConfig.responseMimeType";
            let text =
                "The model answers with `text/plain` or `application/json`. Use one of them.";
            Err(Error::unsupported(path, text))
        }
    }
}

fn parse_response_format(format: Json<'_>) -> Result<OutputFormat> {
    let path = "generationConfig.responseFormat";
    for name in ["audio", "image"] {
        if field(format, name).is_some() {
            let text = "The model answers with text only.";
            return Err(Error::unsupported(format!("{path}.{name}"), text));
        }
    }
    let Some(config) = field(format, "text") else {
        return Ok(OutputFormat::Text);
    };
    let is_json = text(config, "mimeType").is_some_and(|mime| {
        mime.eq_ignore_ascii_case("APPLICATION_JSON") || mime == "application/json"
    });
    let schema = field(config, "schema");
    let schema = shaped(schema, &format!("{path}.text.schema"), Shape::Object)?;
    Ok(match schema {
        _ if !is_json => OutputFormat::Text,
        Some(schema) => bound_to(schema.text()),
        None => OutputFormat::JsonObject,
    })
}

fn bound_to(schema: &str) -> OutputFormat {
    OutputFormat::JsonSchema {
        name: Some("response".to_owned()),
        description: None,
        schema: raw_json(schema),
        strict: None,
    }
}

/// Thinking is asked for by a level or a budget; the wish to see thoughts alone asks for what the model does
/// anyway.
fn parse_thinking(thinking: Json<'_>) -> Result<Option<Reasoning>> {
    const PATH: &str = "generationConfig.thinkingConfig";
    let is_shown = flag(thinking, "includeThoughts", PATH)?.unwrap_or(false);
    let budget = integer(thinking, "thinkingBudget", PATH, -1..=i64::from(i32::MAX))?;
    let level = text(thinking, "thinkingLevel").map(|level| level.to_ascii_lowercase());
    let level = level.filter(|level| level != "thinking_level_unspecified");
    if budget.is_some() && level.is_some() {
        let text =
            "`thinkingBudget` and `thinkingLevel` exclude each other. Leave one of them out.";
        return Err(Error::invalid_value(PATH, text));
    }
    let mut reasoning = Reasoning {
        visible: Some(is_shown),
        ..Reasoning::default()
    };
    match (budget, level) {
        (Some(0), _) => reasoning.effort = Some(Effort::None),
        (Some(n), _) if n > 0 => reasoning.budget_tokens = u64::try_from(n).ok(),
        (_, Some(level)) => {
            let effort = Effort::from_name(&level)
                .filter(|effort| (Effort::Minimal..=Effort::High).contains(effort));
            let unknown = || {
                let path = format!("{PATH}.thinkingLevel");
                let text = format!("`{path}` must be MINIMAL, LOW, MEDIUM or HIGH.");
                Error::invalid_value(path, text)
            };
            reasoning.effort = Some(effort.ok_or_else(unknown)?);
        }
        _ if !is_shown => return Ok(None),
        _ => {}
    }
    Ok(Some(reasoning))
}

/// What is left when everything that the IR can say is taken.
fn parse_extras(raw: &RawObject, request: &mut Request) {
    // The model stands in the path; a copy of it in the body says nothing.
    const SAID: [&str; 8] = [
        "model",
        "contents",
        "systemInstruction",
        "tools",
        "toolConfig",
        "generationConfig",
        "cachedContent",
        "serviceTier",
    ];
    for (key, value) in raw.fields().filter(|(_, value)| *value != "null") {
        if !SAID.iter().any(|name| is_named(key, name)) {
            request.extras.push((key.to_owned(), raw_json(value)));
        }
    }
}
