//! A Responses request, from the IR to the wire.

use tollgate_base::{Error, Result};

use super::items::Items;
use crate::{
    Dialect, Effort, Loss, NameMap, Rendered, Target, ids,
    ir::{OutputFormat, Request, Tool, ToolChoice, changed, dropped},
    json::{Json, Object},
    openai_chat::{is_strict, nearest, without_refused},
};

/// The most characters of a tool's name.
pub(super) const NAME_LIMIT: usize = 64;
const USER_LIMIT: usize = 64;
/// The vendor takes no smaller one.
const OUTPUT_AT_LEAST: u64 = 16;

pub(crate) fn render_request(request: &Request, target: Target<'_>) -> Result<Rendered> {
    check_can_be_said(request)?;
    let mut losses = request.losses.clone();
    let mut names = NameMap::default();
    let mut out = Vec::with_capacity(1024);
    {
        let mut body = Object::new(&mut out);
        body.put("model", target.model);
        let mut writer = Writer {
            request,
            target,
            losses: &mut losses,
        };
        writer.tools(&mut body, &mut names)?;
        let mut items = Items::new(request, target, names);
        items.render(&mut body)?;
        let (used_names, more) = items.finish();
        names = used_names;
        writer.losses.extend(more);
        writer.tool_choice(&mut body, &names)?;
        writer.limits(&mut body)?;
        writer.sampling(&mut body);
        writer.reasoning(&mut body);
        writer.text(&mut body)?;
        writer.vendor_fields(&mut body);
        writer.extras(&mut body)?;
        if request.stream {
            body.put("stream", &true);
        }
    }
    let body = without_refused(out, target, &mut losses)?;
    Ok(Rendered {
        body,
        losses,
        names,
    })
}

/// Refuses what would change the answer that the caller relies on.
fn check_can_be_said(request: &Request) -> Result<()> {
    if request.candidates > 1 {
        let text = "The model gives one answer. Send the request once for each.";
        return Err(Error::unsupported("n", text));
    }
    if !request.stop.is_empty() {
        let text = "The provider's dialect has no stop sequences. Leave them out.";
        return Err(Error::unsupported(request.stop_path(), text));
    }
    if request.max_output_tokens == Some(0) {
        let text = "The model cannot be asked for no output at all. Ask for at least 1 token.";
        return Err(Error::unsupported("max_tokens", text));
    }
    Ok(())
}

/// The scalars of one request.
struct Writer<'a> {
    request: &'a Request,
    target: Target<'a>,
    losses: &'a mut Vec<Loss>,
}

impl Writer<'_> {
    fn lose(&mut self, loss: Loss) {
        self.losses.push(loss);
    }

    fn is_own(&self) -> bool {
        self.request.origin == Some(Dialect::OpenAiResponses)
    }

    fn tools(&mut self, body: &mut Object<'_>, names: &mut NameMap) -> Result<()> {
        let request = self.request;
        if request.tools.is_empty() {
            return Ok(());
        }
        if self.target.traits.tools == Some(false) {
            let text = "The model does not use tools. Use another model.";
            return Err(Error::unsupported("tools", text));
        }
        let mut list = body.list("tools");
        for (i, tool) in request.tools.iter().enumerate() {
            let earlier = &request.tools[..i];
            if earlier.iter().any(|earlier| earlier.name == tool.name) {
                let path = request.tool_path(i, "name");
                let text = "Two tools have the same name. Rename one of them.";
                return Err(Error::invalid_value(path, text));
            }
            if let Some(definition) = &tool.freeform {
                list.raw(definition.get());
                continue;
            }
            let name = names.sent(&tool.name, NAME_LIMIT);
            if *name != tool.name {
                let reason =
                    format!("The provider knows the tool as `{name}`; its calls are named back.");
                self.lose(changed(request.tool_path(i, "name"), reason));
            }
            if tool.cache.is_some() {
                let path = request.tool_path(i, "cache_control");
                let reason = "The provider decides by itself what it caches.";
                self.lose(dropped(path, reason));
            }
            self.put_function(&mut list.object(), tool, &name);
        }
        Ok(())
    }

    /// Unlike in the other dialects, a tool that says nothing of `strict` is strict here.
    fn put_function(&self, item: &mut Object<'_>, tool: &Tool, name: &str) {
        item.put("type", "function");
        item.put("name", name);
        item.put_some("description", tool.description.as_ref());
        match &tool.parameters {
            Some(schema) => item.raw("parameters", schema.get()),
            None if self.is_own() => {}
            None => item.raw("parameters", r#"{"type":"object","properties":{}}"#),
        }
        match tool.strict {
            None if self.is_own() => {}
            strict => item.put("strict", &strict.unwrap_or(false)),
        }
    }

    fn tool_choice(&mut self, body: &mut Object<'_>, names: &NameMap) -> Result<()> {
        let request = self.request;
        if request.tools.is_empty() {
            return match &request.tool_choice {
                Some(ToolChoice::Required | ToolChoice::Named(_)) => Err(Error::invalid_value(
                    "tool_choice",
                    "`tool_choice` forces a tool, and `tools` is empty.",
                )),
                _ => Ok(()),
            };
        }
        body.put_some("parallel_tool_calls", request.parallel_tool_calls);
        let Some(choice) = &request.tool_choice else {
            return Ok(());
        };
        let is_forced = matches!(choice, ToolChoice::Required | ToolChoice::Named(_));
        if is_forced && self.target.traits.forced_tool_choice == Some(false) {
            let text = "The model cannot be forced to use a tool. Use `auto`, or another model.";
            return Err(Error::unsupported("tool_choice", text));
        }
        match choice {
            ToolChoice::None => body.put("tool_choice", "none"),
            ToolChoice::Auto => body.put("tool_choice", "auto"),
            ToolChoice::Required => body.put("tool_choice", "required"),
            ToolChoice::Named(name) => {
                let Some(tool) = request.tools.iter().find(|tool| tool.name == *name) else {
                    let text = format!(
                        "`tool_choice` names {}, which is not in `tools`.",
                        tollgate_base::quote(name)
                    );
                    return Err(Error::invalid_value("tool_choice", text));
                };
                let is_custom = tool.freeform.is_some();
                let mut out = body.object("tool_choice");
                out.put("type", if is_custom { "custom" } else { "function" });
                out.put("name", &*names.clone().sent(name, NAME_LIMIT));
            }
        }
        Ok(())
    }

    fn limits(&mut self, body: &mut Object<'_>) -> Result<()> {
        let wanted = self.request.max_output_tokens;
        let path = match self.request.origin {
            Some(Dialect::OpenAiResponses) => "max_output_tokens",
            _ => "max_tokens",
        };
        if wanted.is_some_and(|wanted| wanted < OUTPUT_AT_LEAST) {
            let reason = format!("The provider takes at least {OUTPUT_AT_LEAST}.");
            self.lose(changed(path, reason));
        }
        let wanted = wanted.map(|wanted| wanted.max(OUTPUT_AT_LEAST));
        let limited = self.target.limited(wanted, path, OUTPUT_AT_LEAST)?;
        body.put_some("max_output_tokens", limited);
        Ok(())
    }

    fn sampling(&mut self, body: &mut Object<'_>) {
        let sampling = &self.request.sampling;
        let traits = self.target.traits;
        let effort = self.request.reasoning.as_ref().and_then(|it| it.effort);
        let reasons = traits.reasoning == Some(true) && effort != Some(Effort::None);
        let is_refused = traits.sampling_params == Some(false) || reasons;
        for (name, value) in [
            ("temperature", sampling.temperature),
            ("top_p", sampling.top_p),
        ] {
            match value {
                None => {}
                Some(value) if !is_refused => body.raw(name, &value.to_string()),
                Some(value) if (value - 1.0).abs() < f64::EPSILON => {}
                Some(_) => self.lose(dropped(
                    name,
                    "The model takes no sampling parameters while it reasons.",
                )),
            }
        }
        let unknown = [
            ("top_k", sampling.top_k.is_some()),
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
            let reason = "The provider's dialect has no such parameter.";
            self.lose(dropped(name, reason));
        }
    }

    fn reasoning(&mut self, body: &mut Object<'_>) {
        let effort = self.effort();
        let own = self.own_fields("reasoning.");
        let visible = self.request.reasoning.as_ref().and_then(|it| it.visible);
        // Where thinking is asked for, another vendor shows it unless told not to.
        let shows_unasked = self.request.origin == Some(Dialect::AnthropicMessages);
        let is_shown = visible.unwrap_or(shows_unasked && effort != Some(Effort::None));
        if effort.is_none() && own.is_empty() {
            return;
        }
        let mut out = body.object("reasoning");
        out.put_some("effort", effort.map(Effort::as_str));
        let has_own_summary = own.iter().any(|(name, _)| *name == "summary");
        if effort.is_some() && is_shown && !has_own_summary {
            out.put("summary", "auto");
        }
        for (name, json) in own {
            out.raw(name, json);
        }
    }

    fn effort(&mut self) -> Option<Effort> {
        let reasoning = self.request.reasoning.as_ref()?;
        let path = self.request.reasoning_path();
        let traits = self.target.traits;
        let wanted = reasoning
            .effort
            .or(reasoning.budget_tokens.map(Effort::of_budget))
            .unwrap_or(Effort::High);
        if traits.reasoning == Some(false) {
            if wanted != Effort::None {
                self.lose(dropped(path, "The model does not reason."));
            }
            return None;
        }
        let is_known = traits.reasoning.is_some() || !traits.efforts.is_empty();
        if wanted == Effort::None && !is_known && !self.is_own() {
            // Nothing is known of the model, and most models do not reason unless told to.
            return None;
        }
        let effort = nearest(wanted, &traits.efforts);
        if effort != wanted {
            let reason = format!("The model's nearest effort is {}.", effort.as_str());
            self.lose(changed(path, reason));
        }
        Some(effort)
    }

    /// The caller's own fields below this path, when it spoke this dialect.
    fn own_fields(&self, path: &str) -> Vec<(&str, &str)> {
        let extras = self.request.extras.iter().filter(|_| self.is_own());
        extras
            .filter_map(|(name, json)| Some((name.strip_prefix(path)?, json.get())))
            .collect()
    }

    fn text(&mut self, body: &mut Object<'_>) -> Result<()> {
        let verbosity = self.verbosity();
        let has_format = !matches!(self.request.output, OutputFormat::Text);
        if verbosity.is_none() && !has_format {
            return Ok(());
        }
        let mut text = body.object("text");
        if has_format {
            self.format(&mut text)?;
        }
        if let Some(json) = verbosity {
            text.raw("verbosity", &json);
        }
        Ok(())
    }

    fn verbosity(&self) -> Option<String> {
        let name = match self.request.origin {
            Some(Dialect::OpenAiResponses) => "text.verbosity",
            Some(Dialect::OpenAiChat) if self.target.quirks.vendor_fields => "verbosity",
            _ => return None,
        };
        let found = self.request.extras.iter().find(|(extra, _)| extra == name);
        found.map(|(_, json)| json.get().to_owned())
    }

    fn format(&mut self, text: &mut Object<'_>) -> Result<()> {
        let path = self.request.output_path();
        let OutputFormat::JsonSchema {
            name,
            description,
            schema,
            strict,
        } = &self.request.output
        else {
            text.object("format").put("type", "json_object");
            return Ok(());
        };
        if self.target.traits.structured_output == Some(false) {
            let text = "The model's output cannot be bound to a schema. Describe the schema in the prompt, or use another model.";
            return Err(Error::unsupported(path, text));
        }
        // Another vendor's schemas are always enforced; here that needs a stricter form. And what chat does
        // not say is not strict.
        let strict = match self.request.origin {
            Some(Dialect::OpenAiResponses) => *strict,
            Some(Dialect::OpenAiChat) => Some(strict.unwrap_or(false)),
            _ => {
                let strict = is_strict(Json::new(schema.get()));
                if !strict {
                    let reason = "The provider enforces only schemas whose objects are closed and whose properties are all required.";
                    self.lose(changed(path, reason));
                }
                Some(strict)
            }
        };
        let mut format = text.object("format");
        format.put("type", "json_schema");
        format.put("name", name.as_deref().unwrap_or("response"));
        format.put_some("description", description.as_ref());
        format.raw("schema", schema.get());
        format.put_some("strict", strict);
        Ok(())
    }

    /// Nothing is stored at the provider; in exchange the reasoning comes along, encrypted.
    fn vendor_fields(&mut self, body: &mut Object<'_>) {
        let knows = self.target.quirks.vendor_fields;
        if knows {
            body.put("store", &false);
        }
        let reasoning = self.target.traits.reasoning != Some(false);
        let logprobs = self.request.logprobs;
        let include: Vec<&str> = [
            reasoning.then_some("reasoning.encrypted_content"),
            logprobs.map(|_| "message.output_text.logprobs"),
        ]
        .into_iter()
        .flatten()
        .collect();
        if !include.is_empty() {
            body.put("include", &include);
        }
        body.put_some("top_logprobs", logprobs.filter(|top| *top > 0));
        if let Some(user) = self.request.user.as_deref().filter(|user| !user.is_empty()) {
            let field = if knows { "safety_identifier" } else { "user" };
            let is_of_vendor = self.is_own() || self.request.origin == Some(Dialect::OpenAiChat);
            if user.len() > USER_LIMIT && !is_of_vendor {
                let reason = "The id is longer than the provider takes, so its hash was sent.";
                self.lose(changed(self.request.user_path(), reason));
                body.put(field, &*ids::call_id_of_length(user, 22));
            } else {
                body.put(field, user);
            }
        }
        match self.request.service_tier.as_deref() {
            None => {}
            Some("auto") if !knows => {}
            Some(_) if !knows => self.lose(dropped(
                "service_tier",
                "The server does not know this field.",
            )),
            Some("standard_only") => body.put("service_tier", "default"),
            Some(tier) => body.put("service_tier", tier),
        }
    }

    fn extras(&mut self, body: &mut Object<'_>) -> Result<()> {
        const SHARED: [&str; 5] = [
            "metadata",
            "moderation",
            "prompt_cache_key",
            "prompt_cache_options",
            "prompt_cache_retention",
        ];
        let is_chat = self.request.origin == Some(Dialect::OpenAiChat);
        let knows = self.target.quirks.vendor_fields;
        for (name, json) in &self.request.extras {
            let is_shared = is_chat && knows && SHARED.contains(&name.as_str());
            match name.as_str() {
                _ if self.is_own() => {
                    if !name.contains('.') {
                        body.raw(name, json.get());
                    }
                }
                _ if is_shared => body.raw(name, json.get()),
                "verbosity" if is_chat && knows => {}
                "store" if json.get() == "false" => {}
                "audio" | "web_search_options" | "mcp_servers" | "container" | "inference_geo" => {
                    let text = format!("The model cannot do what `{name}` asks for. Leave it out.");
                    return Err(Error::unsupported(name, text));
                }
                "modalities" if json.get().contains("\"audio\"") => {
                    let text = "The model answers with text only. Leave `modalities` out.";
                    return Err(Error::unsupported(name, text));
                }
                "modalities" => {}
                _ => self
                    .losses
                    .push(dropped(name, "The provider's dialect has no such field.")),
            }
        }
        Ok(())
    }
}
