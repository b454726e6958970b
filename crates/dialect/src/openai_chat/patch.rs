//! The same-dialect path of the OpenAI family: the model, the usage of streams, and what the target's quirks
//! and traits demand. A request that needs nothing else costs one splice; `messages` are rewritten only when
//! a quirk asks for it, and then only in the values concerned.

use std::borrow::Cow;

use tollgate_base::Result;

use super::messages;
use crate::{
    Loss, LossKind, MaxTokensField, RawObject, Rendered, Target, ToolChoiceSupport,
    json::{Json, Shape},
};

/// Fields that only the vendor's own service knows.
pub(super) const VENDOR_FIELDS: [&str; 9] = [
    "store",
    "metadata",
    "service_tier",
    "prompt_cache_key",
    "prompt_cache_options",
    "prompt_cache_retention",
    "verbosity",
    "safety_identifier",
    "moderation",
];

const OLD_LIMIT: &str = "max_tokens";
const NEW_LIMIT: &str = "max_completion_tokens";
/// What a completion gives at most when nobody asks (digest section 4).
const COMPLETION_DEFAULT: u64 = 16;
/// The fewest output tokens that Responses take.
const RESPONSES_FEWEST: u64 = 16;

/// The changes under way: field and new JSON text, `None` to remove it.
struct Patch<'a> {
    raw: &'a RawObject,
    target: Target<'a>,
    changes: Vec<(&'a str, Option<Cow<'a, str>>)>,
    losses: Vec<Loss>,
}

/// Patches a chat request.
pub(crate) fn patch_request(raw: &RawObject, target: Target<'_>) -> Result<Rendered> {
    let mut patch = Patch::new(raw, target);
    patch.model();
    patch.stream_usage();
    patch.max_tokens();
    let default = match target.quirks.max_tokens_field {
        MaxTokensField::MaxCompletionTokens => NEW_LIMIT,
        MaxTokensField::MaxTokens => OLD_LIMIT,
    };
    patch.limit(&[NEW_LIMIT, OLD_LIMIT], default, None, 1)?;
    patch.sampling();
    patch.seed();
    patch.vendor_fields();
    patch.tools();
    patch.messages();
    patch.refused_fields();
    Ok(patch.render())
}

/// Patches a legacy completion, whose `max_tokens` never got another name.
pub(crate) fn patch_completion(raw: &RawObject, target: Target<'_>) -> Result<Rendered> {
    let mut patch = Patch::new(raw, target);
    patch.model();
    patch.stream_usage();
    patch.limit(&[OLD_LIMIT], OLD_LIMIT, Some(COMPLETION_DEFAULT), 0)?;
    patch.sampling();
    patch.seed();
    patch.refused_fields();
    Ok(patch.render())
}

/// Patches a request for embeddings.
pub(crate) fn patch_embeddings(raw: &RawObject, target: Target<'_>) -> Rendered {
    let mut patch = Patch::new(raw, target);
    patch.model();
    patch.vectors();
    patch.refused_fields();
    patch.render()
}

/// Patches a request of which only the model is ours, and what is already known to change.
pub(crate) fn patch_model(
    raw: &RawObject,
    target: Target<'_>,
    changes: Vec<(&'static str, String)>,
) -> Rendered {
    let mut patch = Patch::new(raw, target);
    patch.model();
    for (name, value) in changes {
        patch.set(name, value);
    }
    patch.refused_fields();
    patch.render()
}

/// Patches a Responses request, but for its `input`.
pub(crate) fn patch_scalars_of_responses(raw: &RawObject, target: Target<'_>) -> Result<Rendered> {
    let mut patch = Patch::new(raw, target);
    patch.model();
    let field = "max_output_tokens";
    patch.limit(&[field], field, None, RESPONSES_FEWEST)?;
    patch.sampling();
    patch.vendor_fields();
    patch.refused_fields();
    Ok(patch.render())
}

impl<'a> Patch<'a> {
    fn new(raw: &'a RawObject, target: Target<'a>) -> Self {
        Self {
            raw,
            target,
            changes: Vec::new(),
            losses: Vec::new(),
        }
    }

    fn render(self) -> Rendered {
        let changes: Vec<(&str, Option<&str>)> = self
            .changes
            .iter()
            .map(|(name, value)| (*name, value.as_deref()))
            .collect();
        let body = if changes.is_empty() {
            self.raw.bytes().clone()
        } else {
            self.raw.with(&changes)
        };
        Rendered {
            body,
            losses: self.losses,
            ..Rendered::default()
        }
    }

    fn set(&mut self, name: &'a str, value: impl Into<Cow<'a, str>>) {
        self.changes.retain(|(changed, _)| *changed != name);
        self.changes.push((name, Some(value.into())));
    }

    fn remove(&mut self, name: &'a str) {
        self.changes.retain(|(changed, _)| *changed != name);
        if self.raw.get(name).is_some() {
            self.changes.push((name, None));
        }
    }

    fn lose(&mut self, field: &str, kind: LossKind, reason: &str) {
        self.losses.push(Loss {
            field: field.to_owned(),
            kind,
            reason: reason.to_owned(),
        });
    }

    /// The length of the vectors, and their form: a client that asked for base64 reads numbers as well.
    fn vectors(&mut self) {
        let quirks = self.target.quirks;
        if let Some(dimensions) = self.raw.json("dimensions")
            && quirks.dimensions_field != "dimensions"
        {
            self.remove("dimensions");
            self.set(&quirks.dimensions_field, dimensions.text());
        }
        let is_base64 = self
            .raw
            .json("encoding_format")
            .is_some_and(|format| format.text() == "\"base64\"");
        if is_base64 && !quirks.base64_vectors {
            self.remove("encoding_format");
            let reason = "The server gives vectors as numbers only.";
            self.lose("encoding_format", LossKind::Changed, reason);
        }
    }

    fn model(&mut self) {
        let name = quoted(self.target.model);
        if self.raw.get("model") != Some(&*name) {
            self.set("model", name);
        }
    }

    /// Streams report their usage, whether the caller asked or not: it is what the call is charged by.
    fn stream_usage(&mut self) {
        let is_stream = self.raw.json("stream").and_then(Json::as_bool) == Some(true);
        if !is_stream {
            return;
        }
        if !self.target.quirks.stream_usage {
            self.remove("stream_options");
            return;
        }
        let Some(options) = self.raw.json("stream_options") else {
            return self.set("stream_options", r#"{"include_usage":true}"#);
        };
        if options.field("include_usage").and_then(Json::as_bool) == Some(true) {
            return;
        }
        let mut text = String::from(r#"{"include_usage":true"#);
        for (name, value) in options
            .fields()
            .filter(|(name, _)| *name != "include_usage")
        {
            text.push_str(",\"");
            text.push_str(name);
            text.push_str("\":");
            text.push_str(value.text());
        }
        text.push('}');
        self.set("stream_options", text);
    }

    /// `max_tokens` on models that reason, `max_completion_tokens` on servers that know only the old name.
    /// The vendor's own other models take both, so nothing is touched for them (traps T2).
    fn max_tokens(&mut self) {
        let (wrong, right) = match self.target.quirks.max_tokens_field {
            MaxTokensField::MaxTokens => (NEW_LIMIT, OLD_LIMIT),
            MaxTokensField::MaxCompletionTokens if self.target.traits.reasoning == Some(true) => {
                (OLD_LIMIT, NEW_LIMIT)
            }
            MaxTokensField::MaxCompletionTokens => return,
        };
        if let Some(limit) = self.raw.json(wrong) {
            if self.raw.json(right).is_none() {
                self.set(right, limit.text());
            }
            self.remove(wrong);
        }
    }

    /// Keeps the answer within what it may cost. `unsaid` is what the provider gives when nobody asks, where
    /// that is documented; otherwise the limit is said.
    fn limit(
        &mut self,
        names: &[&'a str],
        default: &'a str,
        unsaid: Option<u64>,
        fewest: u64,
    ) -> Result<()> {
        if self.target.max_output.is_none() {
            return Ok(());
        }
        let mut is_said = false;
        for name in names {
            let Some(asked) = self.current(name).map(Json::as_u64) else {
                continue;
            };
            is_said = true;
            let limited = self.target.limited(asked, name, fewest)?;
            if let Some(limit) = limited.filter(|_| limited != asked) {
                self.set(name, limit.to_string());
            }
        }
        if !is_said && let Some(limit) = self.target.limited(unsaid, default, fewest)? {
            self.set(default, limit.to_string());
        }
        Ok(())
    }

    /// A field as it stands after the changes so far.
    fn current(&self, name: &str) -> Option<Json<'_>> {
        let changed = self.changes.iter().find(|(changed, _)| *changed == name);
        match changed {
            Some((_, value)) => value.as_deref().map(Json::new),
            None => self.raw.json(name),
        }
    }

    fn sampling(&mut self) {
        const NEUTRAL: [(&str, f64); 4] = [
            ("temperature", 1.0),
            ("top_p", 1.0),
            ("frequency_penalty", 0.0),
            ("presence_penalty", 0.0),
        ];
        let traits = self.target.traits;
        let in_responses = || self.raw.json("reasoning").and_then(|it| it.field("effort"));
        let effort = self.raw.json("reasoning_effort").or_else(in_responses);
        let effort = effort.and_then(Json::as_str);
        let reasons = traits.reasoning == Some(true) && effort.as_deref() != Some("none");
        let is_refused = traits.sampling_params == Some(false) || reasons;
        if is_refused {
            for (name, neutral) in NEUTRAL {
                let value = self.raw.json(name).and_then(Json::as_f64);
                if value.is_some_and(|value| (value - neutral).abs() > f64::EPSILON) {
                    self.remove(name);
                    self.lose(
                        name,
                        LossKind::Dropped,
                        "The model takes no sampling parameters while it reasons.",
                    );
                }
            }
            return;
        }
        let highest = self.target.quirks.max_temperature_milli;
        let limit = f64::from(highest) / 1000.0;
        if self
            .raw
            .json("temperature")
            .and_then(Json::as_f64)
            .is_some_and(|value| value > limit)
        {
            self.set("temperature", milli(highest));
            self.lose(
                "temperature",
                LossKind::Changed,
                &format!("The server takes at most {}.", milli(highest)),
            );
        }
    }

    fn seed(&mut self) {
        let field: &'a str = &self.target.quirks.seed_field;
        if field == "seed" {
            return;
        }
        let Some(seed) = self.raw.json("seed") else {
            return;
        };
        self.remove("seed");
        if field.is_empty() {
            self.lose("seed", LossKind::Dropped, "The server takes no seed.");
        } else {
            self.set(field, seed.text());
        }
    }

    fn vendor_fields(&mut self) {
        if self.target.quirks.vendor_fields {
            return;
        }
        for name in VENDOR_FIELDS {
            let Some(value) = self.raw.json(name) else {
                self.remove(name);
                continue;
            };
            self.remove(name);
            // Not storing is what a server does that knows no store.
            if !(name == "store" && value.as_bool() == Some(false)) {
                self.lose(
                    name,
                    LossKind::Dropped,
                    "The server does not know this field.",
                );
            }
        }
    }

    fn tools(&mut self) {
        let quirks = self.target.quirks;
        let has_empty_tools = self
            .raw
            .json("tools")
            .is_some_and(|tools| tools.items().next().is_none());
        if has_empty_tools && !quirks.empty_tools {
            self.remove("tools");
            self.remove("tool_choice");
            return;
        }
        let Some(choice) = self.raw.json("tool_choice") else {
            return;
        };
        let word = choice.as_str();
        match quirks.tool_choice {
            ToolChoiceSupport::AnyForRequired if word.as_deref() == Some("required") => {
                self.set("tool_choice", "\"any\"");
            }
            // The other way round: the word of Mistral's clients.
            ToolChoiceSupport::All if word.as_deref() == Some("any") => {
                self.set("tool_choice", "\"required\"");
            }
            ToolChoiceSupport::All | ToolChoiceSupport::AnyForRequired => {}
            ToolChoiceSupport::Unsupported => {
                self.remove("tool_choice");
                match word.as_deref() {
                    Some("none") => self.remove("tools"),
                    Some("auto") => {}
                    _ => self.lose(
                        "tool_choice",
                        LossKind::Dropped,
                        "The server cannot be told which tool to use.",
                    ),
                }
            }
        }
    }

    fn messages(&mut self) {
        let Some(messages) = self.raw.json("messages") else {
            return;
        };
        let (marks, quirks) = (self.raw.marks(), self.target.quirks);
        if let Some(text) = messages::rewrite(messages, marks, quirks, &mut self.losses) {
            self.set("messages", text);
        }
    }

    fn refused_fields(&mut self) {
        let quirks = self.target.quirks;
        for name in &quirks.refused_fields {
            let was_set = self
                .changes
                .iter()
                .any(|(changed, value)| changed == name && value.is_some());
            let Some(value) = self
                .raw
                .json(name)
                .map(Json::shape)
                .or(was_set.then_some(Shape::Null))
            else {
                continue;
            };
            self.remove(name);
            if value != Shape::Null {
                self.lose(name, LossKind::Dropped, "The server refuses this field.");
            }
        }
    }
}

pub(crate) fn quoted(text: &str) -> String {
    serde_json::to_string(text).unwrap_or_default()
}

/// Thousandths as a decimal number: 1500 is `1.5`.
pub(crate) fn milli(n: u32) -> String {
    let text = format!("{}.{:03}", n / 1000, n % 1000);
    let text = text.trim_end_matches('0');
    text.trim_end_matches('.').to_owned()
}
