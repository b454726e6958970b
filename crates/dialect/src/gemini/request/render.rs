//! A generateContent request, from the IR to the wire. The model stands in the path.

use tollgate_base::{Error, Result};

use super::{
    conversation::{Conversation, NAME_LIMIT},
    schema,
    thinking::{self, Amount},
};
use crate::{
    Loss, NameMap, Rendered, Target,
    ir::{OutputFormat, Request, ToolChoice, changed, dropped},
    json::Object,
};

const STOPS_LIMIT: usize = 5;
/// The vendor's whole numbers have 32 bits.
const LARGEST: u64 = i32::MAX as u64;

pub(crate) fn render_request(request: &Request, target: Target<'_>) -> Result<Rendered> {
    check_can_be_said(request)?;
    let mut losses = request.losses.clone();
    let mut names = NameMap::default();
    let mut out = Vec::with_capacity(1024);
    {
        let mut body = Object::new(&mut out);
        put_tools(&mut body, request, &mut names, &mut losses)?;
        put_tool_config(&mut body, request, target, &names)?;
        let mut conversation = Conversation::new(request, target, names);
        conversation.render(&mut body)?;
        let (used_names, more) = conversation.finish();
        names = used_names;
        losses.extend(more);
        put_config(&mut body, request, target, &mut losses)?;
        put_rest(&mut body, request, &mut losses)?;
    }
    Ok(Rendered {
        body: out.into(),
        losses,
        names,
    })
}

/// Refuses what would change the answer that the caller relies on.
fn check_can_be_said(request: &Request) -> Result<()> {
    if request.max_output_tokens == Some(0) {
        let text = "The model cannot be asked for no tokens. Ask for at least one.";
        return Err(Error::unsupported("max_tokens", text));
    }
    if request.stop.len() > STOPS_LIMIT {
        let path = request.stop_path();
        let text = format!("The model takes at most {STOPS_LIMIT} stop sequences. Remove some.");
        return Err(Error::unsupported(path, text));
    }
    Ok(())
}

fn put_tools(
    body: &mut Object<'_>,
    request: &Request,
    names: &mut NameMap,
    losses: &mut Vec<Loss>,
) -> Result<()> {
    if request.tools.is_empty() {
        return Ok(());
    }
    let mut tools = body.list("tools");
    let mut tool = tools.object();
    let mut list = tool.list("functionDeclarations");
    for (i, tool) in request.tools.iter().enumerate() {
        let earlier = &request.tools[..i];
        if earlier.iter().any(|earlier| earlier.name == tool.name) {
            let path = request.tool_path(i, "name");
            let text = "Two tools have the same name. Rename one of them.";
            return Err(Error::invalid_value(path, text));
        }
        let name = names.sent(&tool.name, NAME_LIMIT);
        if *name != tool.name {
            let reason =
                format!("The provider knows the tool as `{name}`; its calls are named back.");
            losses.push(changed(request.tool_path(i, "name"), reason));
        }
        if tool.strict == Some(true) {
            losses.push(dropped(
                request.tool_path(i, "strict"),
                "The provider does not hold a single tool to its schema.",
            ));
        }
        if tool.cache.is_some() {
            losses.push(dropped(
                format!("tools[{i}].cache_control"),
                "The provider decides by itself what it caches.",
            ));
        }
        let mut item = list.object();
        item.put("name", &*name);
        item.put_some("description", tool.description.as_ref());
        let Some(parameters) = &tool.parameters else {
            continue;
        };
        let path = request.tool_path(i, "parameters");
        let text = schema::for_gemini(parameters.get(), &path, losses);
        if !schema::is_empty_object(&text) {
            item.raw("parametersJsonSchema", &text);
        }
    }
    Ok(())
}

fn put_tool_config(
    body: &mut Object<'_>,
    request: &Request,
    target: Target<'_>,
    names: &NameMap,
) -> Result<()> {
    let Some(choice) = &request.tool_choice else {
        return Ok(());
    };
    let is_forced = matches!(choice, ToolChoice::Required | ToolChoice::Named(_));
    if request.tools.is_empty() {
        if is_forced {
            let text = "`tool_choice` forces a tool, and `tools` is empty.";
            return Err(Error::invalid_value("tool_choice", text));
        }
        return Ok(());
    }
    if is_forced && target.traits.forced_tool_choice == Some(false) {
        let text = "The model cannot be forced to use a tool. Use `auto`, or another model.";
        return Err(Error::unsupported("tool_choice", text));
    }
    let mut config = body.object("toolConfig");
    let mut calling = config.object("functionCallingConfig");
    let mode = match choice {
        ToolChoice::None => "NONE",
        ToolChoice::Auto => "AUTO",
        ToolChoice::Required | ToolChoice::Named(_) => "ANY",
    };
    calling.put("mode", mode);
    if let ToolChoice::Named(name) = choice {
        if !request.tools.iter().any(|tool| tool.name == *name) {
            let text = format!(
                "`tool_choice` names {}, which is not in `tools`.",
                tollgate_base::quote(name)
            );
            return Err(Error::invalid_value("tool_choice", text));
        }
        let name = names.clone().sent(name, NAME_LIMIT).into_owned();
        calling.put("allowedFunctionNames", &[name]);
    }
    Ok(())
}

fn put_config(
    body: &mut Object<'_>,
    request: &Request,
    target: Target<'_>,
    losses: &mut Vec<Loss>,
) -> Result<()> {
    let mut out = Vec::new();
    {
        let mut config = Object::new(&mut out);
        put_max_tokens(&mut config, request, target, losses)?;
        if request.candidates > 1 {
            config.put("candidateCount", &request.candidates);
        }
        put_sampling(&mut config, request, target, losses)?;
        if !request.stop.is_empty() {
            config.put("stopSequences", &request.stop);
        }
        if let Some(top) = request.logprobs {
            config.put("responseLogprobs", &true);
            config.put_some("logprobs", (top > 0).then_some(top));
        }
        put_output(&mut config, request, target, losses)?;
        if let Some(plan) = thinking::plan(request, target, losses) {
            let mut thinking = config.object("thinkingConfig");
            match plan.amount {
                Amount::Unsaid => {}
                Amount::Level(level) => thinking.put("thinkingLevel", level),
                Amount::Budget(budget) => thinking.put("thinkingBudget", &budget),
            }
            thinking.put("includeThoughts", &plan.is_shown);
        }
    }
    let text = String::from_utf8(out).unwrap_or_default();
    if text != "{}" {
        body.raw("generationConfig", &text);
    }
    Ok(())
}

fn put_max_tokens(
    config: &mut Object<'_>,
    request: &Request,
    target: Target<'_>,
    losses: &mut Vec<Loss>,
) -> Result<()> {
    let limited = target.limited(request.max_output_tokens, "max_tokens", 1)?;
    let Some(mut tokens) = limited else {
        return Ok(());
    };
    let ceiling = target.traits.max_output_tokens.unwrap_or(LARGEST);
    if tokens > ceiling {
        tokens = ceiling;
        let reason = format!("The model gives at most {ceiling} tokens.");
        losses.push(changed("max_tokens", reason));
    }
    config.put("maxOutputTokens", &tokens);
    Ok(())
}

fn put_sampling(
    config: &mut Object<'_>,
    request: &Request,
    target: Target<'_>,
    losses: &mut Vec<Loss>,
) -> Result<()> {
    let sampling = &request.sampling;
    let is_refused = target.traits.sampling_params == Some(false);
    let is_neutral = |value: f64| (value - 1.0).abs() < f64::EPSILON;
    let tuned = [
        ("temperature", "temperature", sampling.temperature),
        ("top_p", "topP", sampling.top_p),
    ];
    for (field, name, value) in tuned {
        match value {
            None => {}
            Some(value) if is_refused && is_neutral(value) => {}
            Some(_) if is_refused => {
                losses.push(dropped(field, "The model takes no sampling parameters."));
            }
            // As a person would write it: `1`, not `1.0`.
            Some(value) => config.raw(name, &value.to_string()),
        }
    }
    match sampling.top_k {
        None => {}
        Some(_) if is_refused => {
            losses.push(dropped("top_k", "The model takes no sampling parameters."));
        }
        Some(value) => {
            if value > LARGEST {
                let reason = format!("The provider takes at most {LARGEST}.");
                losses.push(changed("top_k", reason));
            }
            config.put("topK", &value.min(LARGEST));
        }
    }
    let unknown = [
        ("min_p", sampling.min_p.is_some_and(|value| value > 0.0)),
        (
            "repetition_penalty",
            sampling.penalty_of_repetition().is_some(),
        ),
        ("logit_bias", !sampling.logit_bias.is_empty()),
    ];
    for (name, _) in unknown.into_iter().filter(|(_, is_set)| *is_set) {
        let reason = "The provider's dialect has no such parameter.";
        losses.push(dropped(name, reason));
    }
    if let Some(seed) = sampling.seed {
        let Ok(seed) = i32::try_from(seed) else {
            let text = "The model takes a seed of 32 bits. Use a smaller one.";
            return Err(Error::unsupported("seed", text));
        };
        config.put("seed", &seed);
    }
    let penalties = [
        ("frequencyPenalty", sampling.frequency_penalty),
        ("presencePenalty", sampling.presence_penalty),
    ];
    for (name, value) in penalties {
        if let Some(value) = value.filter(|value| *value != 0.0) {
            config.raw(name, &value.to_string());
        }
    }
    Ok(())
}

fn put_output(
    config: &mut Object<'_>,
    request: &Request,
    target: Target<'_>,
    losses: &mut Vec<Loss>,
) -> Result<()> {
    let path = request.output_path();
    match &request.output {
        OutputFormat::Text => {}
        OutputFormat::JsonObject => config.put("responseMimeType", "application/json"),
        OutputFormat::JsonSchema {
            schema,
            description,
            ..
        } => {
            if target.traits.structured_output == Some(false) {
                let text = "The model's output cannot be bound to a schema. Describe the schema in the prompt, or use another model.";
                return Err(Error::unsupported(path, text));
            }
            if description.is_some() {
                losses.push(dropped(
                    format!("{path}.json_schema.description"),
                    "The provider's format has no description.",
                ));
            }
            config.put("responseMimeType", "application/json");
            let text = schema::for_gemini(schema.get(), path, losses);
            config.raw("responseJsonSchema", &text);
        }
    }
    Ok(())
}

fn put_rest(body: &mut Object<'_>, request: &Request, losses: &mut Vec<Loss>) -> Result<()> {
    if request.parallel_tool_calls == Some(false) && !request.tools.is_empty() {
        losses.push(dropped(
            "parallel_tool_calls",
            "The provider has no switch for it; several tools may be called at once.",
        ));
    }
    if request.user.as_deref().is_some_and(|user| !user.is_empty()) {
        losses.push(dropped(
            request.user_path(),
            "The provider takes no id of a user.",
        ));
    }
    match request.service_tier.as_deref() {
        None | Some("auto") => {}
        Some("default" | "standard_only") => body.put("serviceTier", "standard"),
        Some(tier @ ("flex" | "priority")) => body.put("serviceTier", tier),
        Some(_) => losses.push(dropped("service_tier", "The provider has no such tier.")),
    }
    for (name, json) in &request.extras {
        match name.as_str() {
            "audio" | "web_search_options" => {
                let text = format!("The model cannot do what `{name}` asks for. Leave it out.");
                return Err(Error::unsupported(name, text));
            }
            "modalities" if json.get().contains("\"audio\"") => {
                return Err(Error::unsupported(
                    name,
                    "The model answers with text only. Leave `modalities` out.",
                ));
            }
            "modalities" => {}
            "store" if json.get() == "false" => {}
            _ => losses.push(dropped(name, "The provider's dialect has no such field.")),
        }
    }
    Ok(())
}
