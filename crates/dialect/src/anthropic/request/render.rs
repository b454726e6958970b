//! A Messages request, from the IR to the wire.

use tollgate_base::{Error, Result};

use super::{
    conversation::{Conversation, NAME_LIMIT, put_cache},
    schema,
    thinking::{self, Thinking},
};
use crate::{
    Dialect, Loss, NameMap, Rendered, Target, ids,
    ir::{OutputFormat, Request, Tool, ToolChoice, changed, dropped},
    json::Object,
};

const USER_LIMIT: usize = 512;
const JSON_HINT: &str = "Reply with a JSON object only.";

pub(crate) fn render_request(request: &Request, target: Target<'_>) -> Result<Rendered> {
    check_can_be_said(request)?;
    let mut losses = request.losses.clone();
    let mut names = NameMap::default();
    let mut out = Vec::with_capacity(1024);
    {
        let mut body = Object::new(&mut out);
        match &target.quirks.body_version {
            Some(version) => body.put("anthropic_version", version),
            None => body.put("model", target.model),
        }
        let plan = thinking::plan(request, target, &mut losses)?;
        body.put("max_tokens", &plan.max_tokens);
        let hint = matches!(request.output, OutputFormat::JsonObject).then_some(JSON_HINT);
        if hint.is_some() {
            losses.push(changed(
                request.output_path(),
                "The provider has no JSON mode; the system prompt asks for JSON.",
            ));
        }
        put_tools(&mut body, request, &mut names, &mut losses)?;
        let mut conversation = Conversation::new(request, target, names);
        conversation.render(&mut body, hint)?;
        let (used_names, more) = conversation.finish();
        names = used_names;
        losses.extend(more);
        put_tool_choice(&mut body, request, target, &names)?;
        put_thinking(&mut body, request, &plan);
        put_output_config(&mut body, request, target, &plan, &mut losses)?;
        put_sampling(&mut body, request, target, &plan, &mut losses);
        put_rest(&mut body, request, target, &mut losses)?;
    }
    Ok(Rendered {
        body: out.into(),
        losses,
        names,
    })
}

/// Refuses what would change the answer that the caller relies on.
fn check_can_be_said(request: &Request) -> Result<()> {
    if request.candidates > 1 {
        return Err(Error::unsupported(
            "n",
            "The model gives one answer. Send the request once for each.",
        ));
    }
    if request.logprobs.is_some() {
        return Err(Error::unsupported(
            "logprobs",
            "The model gives no log-probabilities. Leave them out.",
        ));
    }
    if request.stop.iter().any(|text| text.trim().is_empty()) {
        let path = request.stop_path();
        return Err(Error::unsupported(
            path,
            "The model takes no stop sequence of white space. Remove it.",
        ));
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
    let mut list = body.list("tools");
    for (i, tool) in request.tools.iter().enumerate() {
        if request.tools[..i]
            .iter()
            .any(|earlier| earlier.name == tool.name)
        {
            let path = request.tool_path(i, "name");
            return Err(Error::invalid_value(
                path,
                "Two tools have the same name. Rename one of them.",
            ));
        }
        let name = names.sent(&tool.name, NAME_LIMIT);
        if *name != tool.name {
            let reason =
                format!("The provider knows the tool as `{name}`; its calls are named back.");
            losses.push(changed(request.tool_path(i, "name"), reason));
        }
        let mut item = list.object();
        item.put("name", &*name);
        item.put_some("description", tool.description.as_ref());
        if tool.freeform.is_some() {
            losses.push(request.freeform_loss(i));
        }
        put_input_schema(&mut item, request, i, tool, losses);
        if tool.strict == Some(true) {
            item.put("strict", &true);
        }
        put_cache(&mut item, tool.cache);
    }
    Ok(())
}

fn put_input_schema(
    item: &mut Object<'_>,
    request: &Request,
    i: usize,
    tool: &Tool,
    losses: &mut Vec<Loss>,
) {
    let Some(parameters) = &tool.parameters else {
        return item.raw("input_schema", r#"{"type":"object","properties":{}}"#);
    };
    let typed = schema::of_object(parameters.get());
    let text = typed.as_deref().unwrap_or(parameters.get());
    if tool.strict != Some(true) || request.origin == Some(Dialect::AnthropicMessages) {
        return item.raw("input_schema", text);
    }
    let (text, changes) = schema::enforced(text);
    if changes.moved_limits {
        let reason =
            "The provider does not enforce limits in schemas; they were moved into descriptions.";
        losses.push(changed(request.tool_path(i, "parameters"), reason));
    }
    item.raw("input_schema", &text);
}

fn put_tool_choice(
    body: &mut Object<'_>,
    request: &Request,
    target: Target<'_>,
    names: &NameMap,
) -> Result<()> {
    if request.tools.is_empty() {
        return match &request.tool_choice {
            Some(ToolChoice::Required | ToolChoice::Named(_)) => Err(Error::invalid_value(
                "tool_choice",
                "`tool_choice` forces a tool, and `tools` is empty.",
            )),
            _ => Ok(()),
        };
    }
    let is_single = request.parallel_tool_calls == Some(false);
    let choice = match &request.tool_choice {
        None if is_single => &ToolChoice::Auto,
        None => return Ok(()),
        Some(choice) => choice,
    };
    let is_forced = matches!(choice, ToolChoice::Required | ToolChoice::Named(_));
    if is_forced && target.traits.forced_tool_choice == Some(false) {
        let text = "The model cannot be forced to use a tool. Use `auto`, or another model.";
        return Err(Error::unsupported("tool_choice", text));
    }
    let mut out = body.object("tool_choice");
    match choice {
        ToolChoice::None => out.put("type", "none"),
        ToolChoice::Auto => out.put("type", "auto"),
        ToolChoice::Required => out.put("type", "any"),
        ToolChoice::Named(name) => {
            if !request.tools.iter().any(|tool| tool.name == *name) {
                let text = format!(
                    "`tool_choice` names {}, which is not in `tools`.",
                    tollgate_base::quote(name)
                );
                return Err(Error::invalid_value("tool_choice", text));
            }
            out.put("type", "tool");
            out.put("name", &*names.clone().sent(name, NAME_LIMIT));
        }
    }
    // `false` is what the vendor does anyway, so that it is not said.
    if is_single && *choice != ToolChoice::None {
        out.put("disable_parallel_tool_use", &true);
    }
    Ok(())
}

fn put_thinking(body: &mut Object<'_>, request: &Request, plan: &thinking::Plan) {
    if plan.thinking == Thinking::Unsaid {
        return;
    }
    let is_hidden = request
        .reasoning
        .as_ref()
        .and_then(|reasoning| reasoning.visible)
        == Some(false);
    let display = if is_hidden { "omitted" } else { "summarized" };
    let mut thinking = body.object("thinking");
    match plan.thinking {
        Thinking::Unsaid | Thinking::Disabled => thinking.put("type", "disabled"),
        Thinking::Adaptive => {
            thinking.put("type", "adaptive");
            thinking.put("display", display);
        }
        Thinking::Budget(tokens) => {
            thinking.put("type", "enabled");
            thinking.put("budget_tokens", &tokens);
        }
    }
}

fn put_output_config(
    body: &mut Object<'_>,
    request: &Request,
    target: Target<'_>,
    plan: &thinking::Plan,
    losses: &mut Vec<Loss>,
) -> Result<()> {
    let schema = match &request.output {
        OutputFormat::JsonSchema {
            schema,
            description,
            ..
        } => Some((schema, description)),
        OutputFormat::Text | OutputFormat::JsonObject => None,
    };
    if schema.is_none() && plan.effort.is_none() {
        return Ok(());
    }
    let mut config = body.object("output_config");
    config.put_some("effort", plan.effort.map(crate::Effort::as_str));
    let Some((schema, description)) = schema else {
        return Ok(());
    };
    let path = request.output_path();
    if target.traits.structured_output == Some(false) {
        let text = "The model's output cannot be bound to a schema. Describe the schema in the prompt, or use another model.";
        return Err(Error::unsupported(path, text));
    }
    let (text, changes) = schema::enforced(schema.get());
    if changes.moved_limits {
        losses.push(changed(
            path,
            "The provider does not enforce limits in schemas; they were moved into descriptions.",
        ));
    }
    if changes.closed_objects {
        losses.push(changed(
            path,
            "The provider needs every object closed; further properties were ruled out.",
        ));
    }
    if description.is_some() {
        losses.push(dropped(
            format!("{path}.json_schema.description"),
            "The provider's format has no description.",
        ));
    }
    let mut format = config.object("format");
    format.put("type", "json_schema");
    format.raw("schema", &text);
    Ok(())
}

fn put_sampling(
    body: &mut Object<'_>,
    request: &Request,
    target: Target<'_>,
    plan: &thinking::Plan,
    losses: &mut Vec<Loss>,
) {
    let sampling = &request.sampling;
    let thinks = matches!(plan.thinking, Thinking::Adaptive | Thinking::Budget(_));
    let refusal = if target.traits.sampling_params == Some(false) {
        Some("The model takes no sampling parameters.")
    } else if thinks {
        Some("The model takes no sampling parameters while it thinks.")
    } else {
        None
    };
    let is_neutral = |value: f64| (value - 1.0).abs() < f64::EPSILON;
    let mut has_temperature = false;
    match (sampling.temperature, refusal) {
        (None, _) => {}
        (Some(value), Some(_)) if is_neutral(value) => {}
        (Some(_), Some(reason)) => losses.push(dropped("temperature", reason)),
        (Some(value), None) => {
            has_temperature = true;
            if value > 1.0 {
                losses.push(changed("temperature", "The provider takes at most 1."));
            }
            put_number(body, "temperature", value.min(1.0));
        }
    }
    match (sampling.top_p, refusal) {
        (None, _) => {}
        (Some(value), _) if is_neutral(value) => {}
        (Some(_), Some(reason)) => losses.push(dropped("top_p", reason)),
        (Some(_), None) if has_temperature => {
            losses.push(dropped(
                "top_p",
                "The provider takes `temperature` or `top_p`, not both.",
            ));
        }
        (Some(value), None) => put_number(body, "top_p", value),
    }
    match (sampling.top_k, refusal) {
        (None, _) => {}
        (Some(_), Some(reason)) => losses.push(dropped("top_k", reason)),
        (Some(value), None) => body.put("top_k", &value),
    }
    let unknown = [
        ("min_p", sampling.min_p.is_some_and(|value| value > 0.0)),
        ("seed", sampling.seed.is_some()),
        (
            "repetition_penalty",
            sampling.penalty_of_repetition().is_some(),
        ),
        ("logit_bias", !sampling.logit_bias.is_empty()),
        (
            "frequency_penalty",
            sampling.frequency_penalty.is_some_and(|value| value != 0.0),
        ),
        (
            "presence_penalty",
            sampling.presence_penalty.is_some_and(|value| value != 0.0),
        ),
    ];
    for (name, _) in unknown.into_iter().filter(|(_, is_set)| *is_set) {
        losses.push(dropped(
            name,
            "The provider's dialect has no such parameter.",
        ));
    }
}

/// A number as a person would write it: `1`, not `1.0`.
fn put_number(body: &mut Object<'_>, name: &str, value: f64) {
    body.raw(name, &value.to_string());
}

fn put_rest(
    body: &mut Object<'_>,
    request: &Request,
    target: Target<'_>,
    losses: &mut Vec<Loss>,
) -> Result<()> {
    if !request.stop.is_empty() {
        body.put("stop_sequences", &request.stop);
    }
    if let Some(user) = request.user.as_deref().filter(|user| !user.is_empty()) {
        let mut metadata = body.object("metadata");
        if user.len() > USER_LIMIT {
            losses.push(changed(
                request.user_path(),
                "The id is longer than the provider takes, so its hash was sent.",
            ));
            metadata.put("user_id", &*ids::call_id_of_length(user, 22));
        } else {
            metadata.put("user_id", user);
        }
    }
    match request.service_tier.as_deref() {
        None => {}
        Some("auto") => body.put("service_tier", "auto"),
        Some("default" | "standard_only") => body.put("service_tier", "standard_only"),
        Some(_) => losses.push(dropped("service_tier", "The provider has no such tier.")),
    }
    if request.stream && target.quirks.body_version.is_none() {
        body.put("stream", &true);
    }
    for (name, json) in &request.extras {
        if request.origin == Some(Dialect::AnthropicMessages) && !name.contains('.') {
            body.raw(name, json.get());
            continue;
        }
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
