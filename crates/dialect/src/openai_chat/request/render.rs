//! A chat request, from the IR to the wire, with the habits of the server it is for.

use tollgate_base::{Error, Result};

use super::conversation::{Conversation, NAME_LIMIT};
use crate::{
    Dialect, Effort, Loss, MaxTokensField, NameMap, RawObject, Rendered, Target, ToolChoiceSupport,
    ids,
    ir::{OutputFormat, Request, ToolChoice, changed, dropped},
    json::{Json, Object, Shape},
    openai_chat::patch::milli,
};

const STOPS_LIMIT: usize = 4;
const USER_LIMIT: usize = 64;

pub(crate) fn render_request(request: &Request, target: Target<'_>) -> Result<Rendered> {
    if request.max_output_tokens == Some(0) {
        let text = "The model cannot be asked for no output at all. Ask for at least 1 token.";
        return Err(Error::unsupported("max_tokens", text));
    }
    if request.stop.len() > STOPS_LIMIT && request.origin != Some(Dialect::OpenAiChat) {
        let text = format!("The provider takes at most {STOPS_LIMIT} stop sequences. Send fewer.");
        return Err(Error::unsupported(request.stop_path(), text));
    }
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
        let mut conversation = Conversation::new(request, target, names);
        conversation.render(&mut body)?;
        let (used_names, more) = conversation.finish();
        names = used_names;
        writer.losses.extend(more);
        writer.tool_choice(&mut body, &names)?;
        writer.limits(&mut body)?;
        writer.sampling(&mut body);
        writer.reasoning(&mut body);
        writer.output(&mut body)?;
        writer.vendor_fields(&mut body);
        writer.stream(&mut body);
        writer.extras(&mut body)?;
    }
    let body = without_refused(out, target, &mut losses)?;
    Ok(Rendered {
        body,
        losses,
        names,
    })
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

    /// Whether the tools are sent at all: a server that cannot be told "none" gets none.
    fn sends_tools(&self) -> bool {
        let cannot_say_none = self.target.quirks.tool_choice == ToolChoiceSupport::Unsupported;
        let says_none = self.request.tool_choice == Some(ToolChoice::None);
        let is_withheld = says_none && cannot_say_none;
        !self.request.tools.is_empty() && !is_withheld
    }

    fn tools(&mut self, body: &mut Object<'_>, names: &mut NameMap) -> Result<()> {
        if !self.sends_tools() {
            return Ok(());
        }
        if self.target.traits.tools == Some(false) {
            return Err(Error::unsupported(
                "tools",
                "The model does not use tools. Use another model.",
            ));
        }
        let mut list = body.list("tools");
        for (i, tool) in self.request.tools.iter().enumerate() {
            if self.request.tools[..i]
                .iter()
                .any(|earlier| earlier.name == tool.name)
            {
                let path = self.request.tool_path(i, "name");
                return Err(Error::invalid_value(
                    path,
                    "Two tools have the same name. Rename one of them.",
                ));
            }
            let name = names.sent(&tool.name, NAME_LIMIT);
            if *name != tool.name {
                let reason =
                    format!("The provider knows the tool as `{name}`; its calls are named back.");
                self.losses
                    .push(changed(self.request.tool_path(i, "name"), reason));
            }
            if tool.cache.is_some() {
                let path = self.request.tool_path(i, "cache_control");
                self.losses.push(dropped(
                    path,
                    "The provider decides by itself what it caches.",
                ));
            }
            let mut item = list.object();
            item.put("type", "function");
            let mut function = item.object("function");
            function.put("name", &*name);
            function.put_some("description", tool.description.as_ref());
            match &tool.parameters {
                Some(schema) => function.raw("parameters", schema.get()),
                // Small servers need one, the vendor does not mind.
                None if !self.target.quirks.vendor_fields => {
                    function.raw("parameters", r#"{"type":"object","properties":{}}"#);
                }
                None => {}
            }
            function.put_some("strict", tool.strict);
        }
        Ok(())
    }

    fn tool_choice(&mut self, body: &mut Object<'_>, names: &NameMap) -> Result<()> {
        let request = self.request;
        if !self.sends_tools() {
            if request.tools.is_empty()
                && let Some(ToolChoice::Required | ToolChoice::Named(_)) = request.tool_choice
            {
                return Err(Error::invalid_value(
                    "tool_choice",
                    "`tool_choice` forces a tool, and `tools` is empty.",
                ));
            }
            return Ok(());
        }
        if let Some(parallel) = request.parallel_tool_calls {
            body.put("parallel_tool_calls", &parallel);
        }
        let Some(choice) = &request.tool_choice else {
            return Ok(());
        };
        let is_forced = matches!(choice, ToolChoice::Required | ToolChoice::Named(_));
        if is_forced && self.target.traits.forced_tool_choice == Some(false) {
            let text = "The model cannot be forced to use a tool. Use `auto`, or another model.";
            return Err(Error::unsupported("tool_choice", text));
        }
        let support = self.target.quirks.tool_choice;
        if support == ToolChoiceSupport::Unsupported {
            if is_forced {
                self.lose(dropped(
                    "tool_choice",
                    "The server cannot be told which tool to use.",
                ));
            }
            return Ok(());
        }
        match choice {
            ToolChoice::None => body.put("tool_choice", "none"),
            ToolChoice::Auto => body.put("tool_choice", "auto"),
            ToolChoice::Required if support == ToolChoiceSupport::AnyForRequired => {
                body.put("tool_choice", "any");
            }
            ToolChoice::Required => body.put("tool_choice", "required"),
            ToolChoice::Named(name) => {
                if !request.tools.iter().any(|tool| tool.name == *name) {
                    let text = format!(
                        "`tool_choice` names {}, which is not in `tools`.",
                        tollgate_base::quote(name)
                    );
                    return Err(Error::invalid_value("tool_choice", text));
                }
                let mut out = body.object("tool_choice");
                out.put("type", "function");
                out.object("function")
                    .put("name", &*names.clone().sent(name, NAME_LIMIT));
            }
        }
        Ok(())
    }

    fn limits(&mut self, body: &mut Object<'_>) -> Result<()> {
        let field = match self.target.quirks.max_tokens_field {
            MaxTokensField::MaxCompletionTokens => "max_completion_tokens",
            MaxTokensField::MaxTokens => "max_tokens",
        };
        let limit = self
            .target
            .limited(self.request.max_output_tokens, "max_tokens", 1)?;
        body.put_some(field, limit);
        if !self.request.stop.is_empty() {
            body.put("stop", &self.request.stop);
        }
        if self.request.candidates > 1 {
            body.put("n", &self.request.candidates);
        }
        if let Some(top) = self.request.logprobs {
            body.put("logprobs", &true);
            body.put_some("top_logprobs", (top > 0).then_some(top));
        }
        Ok(())
    }

    fn sampling(&mut self, body: &mut Object<'_>) {
        let sampling = &self.request.sampling;
        let traits = self.target.traits;
        let effort = self
            .request
            .reasoning
            .as_ref()
            .and_then(|reasoning| reasoning.effort);
        let reasons = traits.reasoning == Some(true) && effort != Some(Effort::None);
        let is_refused = traits.sampling_params == Some(false) || reasons;
        let fields = [
            ("temperature", sampling.temperature, 1.0),
            ("top_p", sampling.top_p, 1.0),
            ("frequency_penalty", sampling.frequency_penalty, 0.0),
            ("presence_penalty", sampling.presence_penalty, 0.0),
        ];
        let highest = self.target.quirks.max_temperature_milli;
        for (name, value, neutral) in fields {
            let Some(value) = value else { continue };
            if is_refused {
                if (value - neutral).abs() > f64::EPSILON {
                    self.lose(dropped(
                        name,
                        "The model takes no sampling parameters while it reasons.",
                    ));
                }
            } else if name == "temperature" && value > f64::from(highest) / 1000.0 {
                self.lose(changed(
                    name,
                    format!("The server takes at most {}.", milli(highest)),
                ));
                body.raw(name, &milli(highest));
            } else {
                body.raw(name, &value.to_string());
            }
        }
        put_logit_bias(body, &sampling.logit_bias);
        // The vendor's own service does not know these; most other servers do.
        let knows_more =
            !self.target.quirks.vendor_fields || self.request.origin == Some(Dialect::OpenAiChat);
        for (name, text) in [
            ("top_k", sampling.top_k.map(|k| k.to_string())),
            ("min_p", sampling.min_p.map(|p| p.to_string())),
            (
                "repetition_penalty",
                sampling.repetition_penalty.map(|p| p.to_string()),
            ),
        ] {
            match text {
                Some(text) if knows_more => body.raw(name, &text),
                Some(_) => self.lose(dropped(
                    name,
                    "The provider's dialect has no such parameter.",
                )),
                None => {}
            }
        }
        let seed_field = &*self.target.quirks.seed_field;
        match sampling.seed {
            Some(_) if seed_field.is_empty() => {
                self.lose(dropped("seed", "The server takes no seed."));
            }
            seed => body.put_some(seed_field, seed),
        }
    }

    fn reasoning(&mut self, body: &mut Object<'_>) {
        let Some(reasoning) = &self.request.reasoning else {
            return;
        };
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
            return;
        }
        if wanted == Effort::None && traits.reasoning.is_none() && traits.efforts.is_empty() {
            // Nothing is known of the model, and most models do not reason unless told to.
            return;
        }
        let effort = nearest(wanted, &traits.efforts);
        if effort != wanted {
            self.lose(changed(
                path,
                format!("The model's nearest effort is {}.", effort.as_str()),
            ));
        }
        body.put("reasoning_effort", effort.as_str());
    }

    fn output(&mut self, body: &mut Object<'_>) -> Result<()> {
        let path = self.request.output_path();
        let OutputFormat::JsonSchema {
            name,
            description,
            schema,
            strict,
        } = &self.request.output
        else {
            if matches!(self.request.output, OutputFormat::JsonObject) {
                body.object("response_format").put("type", "json_object");
            }
            return Ok(());
        };
        if self.target.traits.structured_output == Some(false) {
            let text = "The model's output cannot be bound to a schema. Describe the schema in the prompt, or use another model.";
            return Err(Error::unsupported(path, text));
        }
        // Another dialect's schemas are always enforced; here that needs a stricter form.
        let is_foreign = self.request.origin != Some(Dialect::OpenAiChat);
        let strict = if is_foreign {
            Some(is_strict(Json::new(schema.get())))
        } else {
            *strict
        };
        if is_foreign && strict == Some(false) {
            let reason = "The provider enforces only schemas whose objects are closed and whose properties are all required.";
            self.lose(changed(path, reason));
        }
        let mut format = body.object("response_format");
        format.put("type", "json_schema");
        let mut inner = format.object("json_schema");
        inner.put("name", name.as_deref().unwrap_or("response"));
        inner.put_some("description", description.as_ref());
        inner.raw("schema", schema.get());
        inner.put_some("strict", strict);
        Ok(())
    }

    fn vendor_fields(&mut self, body: &mut Object<'_>) {
        let knows = self.target.quirks.vendor_fields;
        if let Some(user) = self.request.user.as_deref().filter(|user| !user.is_empty()) {
            let field = if knows { "safety_identifier" } else { "user" };
            if user.len() > USER_LIMIT && self.request.origin != Some(Dialect::OpenAiChat) {
                let path = self.request.user_path();
                self.lose(changed(
                    path,
                    "The id is longer than the provider takes, so its hash was sent.",
                ));
                body.put(field, &*ids::call_id_of_length(user, 22));
            } else {
                body.put(field, user);
            }
        }
        let is_foreign = self.request.origin != Some(Dialect::OpenAiChat);
        match self.request.service_tier.as_deref() {
            None => {}
            Some("auto") if !knows => {}
            Some(_) if !knows => self.lose(dropped(
                "service_tier",
                "The server does not know this field.",
            )),
            Some("standard_only") if is_foreign => body.put("service_tier", "default"),
            Some(tier) => body.put("service_tier", tier),
        }
    }

    fn stream(&mut self, body: &mut Object<'_>) {
        if !self.request.stream {
            return;
        }
        body.put("stream", &true);
        if self.target.quirks.stream_usage {
            body.object("stream_options").put("include_usage", &true);
        }
    }

    fn extras(&mut self, body: &mut Object<'_>) -> Result<()> {
        for (name, json) in &self.request.extras {
            if self.request.origin == Some(Dialect::OpenAiChat) {
                body.raw(name, json.get());
                continue;
            }
            if self.request.origin == Some(Dialect::OpenAiResponses)
                && let Some(own) = shared_with_responses(name)
                && self.target.quirks.vendor_fields
            {
                body.raw(own, json.get());
                continue;
            }
            if matches!(name.as_str(), "mcp_servers" | "container" | "inference_geo") {
                let text = format!("The model cannot do what `{name}` asks for. Leave it out.");
                return Err(Error::unsupported(name, text));
            }
            self.losses
                .push(dropped(name, "The provider's dialect has no such field."));
        }
        Ok(())
    }
}

/// Writes what is added to the logits of tokens, where something is.
pub(crate) fn put_logit_bias(body: &mut Object<'_>, biases: &[(u32, f64)]) {
    if biases.is_empty() {
        return;
    }
    let mut out = body.object("logit_bias");
    for (token, bias) in biases {
        out.raw(&token.to_string(), &bias.to_string());
    }
}

/// The name that a field of the vendor's other dialect has here.
fn shared_with_responses(name: &str) -> Option<&'static str> {
    const SAME: [&str; 5] = [
        "metadata",
        "moderation",
        "prompt_cache_key",
        "prompt_cache_options",
        "prompt_cache_retention",
    ];
    if name == "text.verbosity" {
        return Some("verbosity");
    }
    SAME.into_iter().find(|same| *same == name)
}

/// The highest effort that is not above the wanted one, or else the lowest there is.
pub(crate) fn nearest(wanted: Effort, efforts: &[Effort]) -> Effort {
    let below = efforts
        .iter()
        .copied()
        .filter(|effort| *effort <= wanted)
        .max();
    below
        .or_else(|| efforts.iter().copied().min())
        .unwrap_or(wanted)
}

/// Whether the vendor would enforce this schema (digest section 18): every object closed, all of its
/// properties required.
pub(crate) fn is_strict(schema: Json<'_>) -> bool {
    match schema.shape() {
        Shape::Array => schema.items().all(is_strict),
        Shape::Object => {
            let has_open_object = schema.field("type").map(Json::text) == Some("\"object\"")
                && schema.field("additionalProperties").and_then(Json::as_bool) != Some(false);
            let required: Vec<&str> = schema
                .field("required")
                .into_iter()
                .flat_map(Json::items)
                .map(Json::text)
                .collect();
            let properties = schema
                .field("properties")
                .filter(|value| value.shape() == Shape::Object);
            let all_required = properties
                .into_iter()
                .flat_map(Json::fields)
                .all(|(name, _)| {
                    required
                        .iter()
                        .any(|quoted| quoted.trim_matches('"') == name)
                });
            let is_allowed = ["allOf", "not", "if", "patternProperties"]
                .iter()
                .all(|key| schema.field(key).is_none());
            !has_open_object
                && all_required
                && is_allowed
                && schema.fields().all(|(_, value)| is_strict(value))
        }
        Shape::Null | Shape::Bool | Shape::Number | Shape::String => true,
    }
}

/// Takes out the fields that the server refuses by name.
pub(crate) fn without_refused(
    out: Vec<u8>,
    target: Target<'_>,
    losses: &mut Vec<Loss>,
) -> Result<bytes::Bytes> {
    if target.quirks.refused_fields.is_empty() {
        return Ok(out.into());
    }
    let body = RawObject::parse(out.into())?;
    let mut removals = Vec::new();
    for name in &target.quirks.refused_fields {
        if body.get(name).is_some() {
            losses.push(dropped(name, "The server refuses this field."));
            removals.push((name.as_str(), None));
        }
    }
    Ok(body.with(&removals))
}
