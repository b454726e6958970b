//! `input`, from the IR to the wire: messages, and an item for every call, result and piece of reasoning, in
//! the order in which they were said.

mod parts;

use tollgate_base::{Error, Result, quote};

use super::render::NAME_LIMIT;
use crate::{
    Dialect, Loss, NameMap, Target, ids,
    ir::{
        CacheMark, Issuer, Part, Request, Role, ToolCall, ToolResult, changed, dropped,
        turns::{Placed, Turn, turns},
    },
    json::{List, Object},
    openai_responses::custom,
};

const CALL_ID_LIMIT: usize = 64;

pub(super) struct Items<'a> {
    request: &'a Request,
    target: Target<'a>,
    names: NameMap,
    losses: Vec<Loss>,
    /// Calls of custom tools, whose results have another type.
    custom_calls: Vec<&'a str>,
}

impl<'a> Items<'a> {
    pub(super) fn new(request: &'a Request, target: Target<'a>, names: NameMap) -> Self {
        Self {
            request,
            target,
            names,
            losses: Vec::new(),
            custom_calls: Vec::new(),
        }
    }

    pub(super) fn finish(self) -> (NameMap, Vec<Loss>) {
        (self.names, self.losses)
    }

    pub(super) fn render(&mut self, body: &mut Object<'_>) -> Result<()> {
        let mut turns = self.turns();
        let has_instructions = self.request.has_system_field
            && turns.first().is_some_and(|turn| turn.role == Role::System);
        if has_instructions {
            let first = turns.remove(0);
            let text = self.system_text(&first)?;
            if !text.is_empty() {
                body.put("instructions", &text);
            }
        }
        let mut list = body.list("input");
        for turn in &turns {
            match turn.role {
                Role::System | Role::Developer => self.system(&mut list, turn)?,
                Role::User => self.user(&mut list, turn)?,
                Role::Assistant => self.assistant(&mut list, turn)?,
            }
        }
        if list.is_empty() {
            let text = "The conversation must hold at least one message that says something.";
            return Err(Error::invalid_value(self.request.message_path(0), text));
        }
        Ok(())
    }

    /// In this dialect every message stays its own; another one's that follow each other are one turn.
    fn turns(&self) -> Vec<Turn<'a>> {
        let messages = self.request.messages.iter().enumerate();
        if self.is_own() || self.request.origin == Some(Dialect::OpenAiChat) {
            return messages.flat_map(|message| turns([message])).collect();
        }
        turns(messages)
    }

    fn is_own(&self) -> bool {
        self.request.origin == Some(Dialect::OpenAiResponses)
    }

    /// Whether the vendor's own words (file ids, cache marks) mean the same here.
    fn is_of_vendor(&self) -> bool {
        self.is_own() || self.request.origin == Some(Dialect::OpenAiChat)
    }

    fn system_text(&mut self, turn: &Turn<'_>) -> Result<String> {
        let mut texts = Vec::new();
        for placed in &turn.parts {
            let Part::Text { text, cache } = placed.part else {
                let path = self.request.part_path(placed.message, placed.index);
                let text = "A system message can only hold text.";
                return Err(Error::unsupported(path, text));
            };
            self.lose_cache(*cache, *placed);
            if !text.is_empty() {
                texts.push(text.as_str());
            }
        }
        Ok(texts.join("\n"))
    }

    fn system(&mut self, list: &mut List<'_>, turn: &Turn<'_>) -> Result<()> {
        let takes_developer = self.target.quirks.developer_role;
        let is_developer = turn.role == Role::Developer
            || (self.target.traits.reasoning == Some(true) && !self.is_of_vendor());
        let role = if takes_developer && is_developer {
            "developer"
        } else {
            "system"
        };
        let text = self.system_text(turn)?;
        if !text.is_empty() {
            put_message(list, role, &text);
        }
        self.lose_name(turn);
        Ok(())
    }

    fn lose_name(&mut self, turn: &Turn<'_>) {
        if turn.name.is_some() {
            let path = self.request.message_path(turn.message);
            let reason = "The provider's dialect has no names of participants.";
            self.losses.push(dropped(format!("{path}.name"), reason));
        }
    }

    /// Results first, then what else the user says.
    fn user(&mut self, list: &mut List<'_>, turn: &Turn<'a>) -> Result<()> {
        if turn.parts.is_empty() {
            let path = self.request.message_path(turn.message);
            let text = "A user message must not be empty.";
            return Err(Error::invalid_value(path, text));
        }
        self.lose_name(turn);
        let mut said = Vec::new();
        for placed in &turn.parts {
            match placed.part {
                Part::ToolResult { result, cache } => {
                    self.lose_cache(*cache, *placed);
                    self.result(list, result, *placed)?;
                }
                _ => said.push(*placed),
            }
        }
        match said.as_slice() {
            [] => {}
            [
                Placed {
                    part: Part::Text { text, cache: None },
                    ..
                },
            ] => put_message(list, "user", text),
            _ => {
                let mut message = list.object();
                message.put("role", "user");
                let mut content = message.list("content");
                for placed in said {
                    self.part(&mut content, placed.part, placed)?;
                }
            }
        }
        Ok(())
    }

    fn result(
        &mut self,
        list: &mut List<'_>,
        result: &'a ToolResult,
        placed: Placed<'a>,
    ) -> Result<()> {
        let is_custom = self.custom_calls.contains(&&*result.call_id);
        let mut item = list.object();
        item.put(
            "type",
            if is_custom {
                "custom_tool_call_output"
            } else {
                "function_call_output"
            },
        );
        item.put(
            "call_id",
            &*ids::call_id_within(&result.call_id, CALL_ID_LIMIT),
        );
        if result.is_error {
            let path = self.request.part_path(placed.message, placed.index);
            self.losses.push(changed(
                format!("{path}.is_error"),
                "The text says that it is an error.",
            ));
        }
        let texts: Option<Vec<&str>> = result
            .content
            .iter()
            .map(|part| match part {
                Part::Text { text, .. } => Some(text.as_str()),
                _ => None,
            })
            .collect();
        let start = if result.is_error { "Error: " } else { "" };
        if let Some(texts) = texts {
            item.put("output", &format!("{start}{}", texts.join("\n")));
            return Ok(());
        }
        let mut output = item.list("output");
        if result.is_error {
            put_text(&mut output, "input_text", "Error:");
        }
        for part in &result.content {
            let is_shown = matches!(
                part,
                Part::Text { .. }
                    | Part::Image { .. }
                    | Part::Document { .. }
                    | Part::Opaque { .. }
            );
            if !is_shown {
                let path = self.request.part_path(placed.message, placed.index);
                let text = "A tool result can only hold text, images and documents.";
                return Err(Error::unsupported(path, text));
            }
            self.part(&mut output, part, placed)?;
        }
        Ok(())
    }

    fn assistant(&mut self, list: &mut List<'_>, turn: &Turn<'a>) -> Result<()> {
        self.lose_name(turn);
        let mut said: Vec<&'a Part> = Vec::new();
        for placed in &turn.parts {
            match placed.part {
                Part::Text { text, cache } => {
                    self.lose_cache(*cache, *placed);
                    if !text.is_empty() {
                        said.push(placed.part);
                    }
                }
                Part::Refusal { .. } => said.push(placed.part),
                Part::ToolCall { call, cache } => {
                    self.lose_cache(*cache, *placed);
                    put_answer(list, &mut said);
                    self.call(list, call);
                }
                Part::Reasoning { text, signature } => {
                    put_answer(list, &mut said);
                    let seal = signature.as_ref().and_then(|it| it.of(Issuer::OpenAi));
                    self.reasoning(list, text, seal, *placed);
                }
                Part::RedactedReasoning { .. } => {
                    put_answer(list, &mut said);
                    self.reasoning(list, "", None, *placed);
                }
                Part::Opaque { kind, .. } => return Err(self.unknown(kind, *placed)),
                _ => {
                    let path = self.request.part_path(placed.message, placed.index);
                    let text = "An assistant message can only hold text and tool calls.";
                    return Err(Error::unsupported(path, text));
                }
            }
        }
        put_answer(list, &mut said);
        Ok(())
    }

    fn reasoning(
        &mut self,
        list: &mut List<'_>,
        text: &str,
        seal: Option<&str>,
        placed: Placed<'_>,
    ) {
        let Some(seal) = seal else {
            let path = self.request.part_path(placed.message, placed.index);
            self.losses.push(dropped(
                path,
                "Only reasoning that this provider signed can be sent to it.",
            ));
            return;
        };
        let mut item = list.object();
        item.put("type", "reasoning");
        // One is required; what counts is sealed.
        item.put("id", &ids::item_id("rs_", seal, 0));
        {
            let mut summary = item.list("summary");
            if !text.is_empty() {
                put_text(&mut summary, "summary_text", text);
            }
        }
        item.put("encrypted_content", seal);
    }

    fn call(&mut self, list: &mut List<'_>, call: &'a ToolCall) {
        let is_custom = self
            .request
            .tools
            .iter()
            .any(|tool| tool.freeform.is_some() && tool.name == call.name);
        let mut item = list.object();
        item.put(
            "type",
            if is_custom {
                "custom_tool_call"
            } else {
                "function_call"
            },
        );
        item.put("call_id", &*ids::call_id_within(&call.id, CALL_ID_LIMIT));
        item.put("name", &*self.names.sent(&call.name, NAME_LIMIT));
        if is_custom {
            self.custom_calls.push(&call.id);
            item.put("input", &custom::unwrapped(&call.arguments));
        } else if call.arguments.is_empty() {
            item.put("arguments", "{}");
        } else {
            item.put("arguments", &call.arguments);
        }
    }

    /// The vendor's own marks go back as they came; another's have no counterpart on every model.
    fn put_cache(&mut self, out: &mut Object<'_>, cache: Option<CacheMark>, placed: Placed<'_>) {
        if cache.is_some() && self.is_of_vendor() {
            out.object("prompt_cache_breakpoint")
                .put("mode", "explicit");
        } else {
            self.lose_cache(cache, placed);
        }
    }

    fn lose_cache(&mut self, cache: Option<CacheMark>, placed: Placed<'_>) {
        if cache.is_some() && !self.is_of_vendor() {
            let path = self.request.part_path(placed.message, placed.index);
            self.losses.push(dropped(
                format!("{path}.cache_control"),
                "The provider decides by itself what it caches.",
            ));
        }
    }

    fn unknown(&self, kind: &str, placed: Placed<'_>) -> Error {
        let path = self.request.part_path(placed.message, placed.index);
        let text = format!(
            "Content of type {} cannot be translated for this model.",
            quote(kind)
        );
        Error::unsupported(path, text)
    }
}

/// Writes what the assistant has said since its last call: one text where that will do.
fn put_answer(list: &mut List<'_>, said: &mut Vec<&Part>) {
    let parts = std::mem::take(said);
    if parts.is_empty() {
        return;
    }
    let texts: Option<String> = parts
        .iter()
        .map(|part| match part {
            Part::Text { text, .. } => Some(text.as_str()),
            _ => None,
        })
        .collect();
    if let Some(text) = texts {
        return put_message(list, "assistant", &text);
    }
    let mut message = list.object();
    message.put("type", "message");
    message.put("role", "assistant");
    let mut content = message.list("content");
    for part in parts {
        match part {
            Part::Text { text, .. } => put_text(&mut content, "output_text", text),
            Part::Refusal { text } => {
                let mut out = content.object();
                out.put("type", "refusal");
                out.put("refusal", text);
            }
            _ => {}
        }
    }
}

fn put_message(list: &mut List<'_>, role: &str, content: &str) {
    let mut message = list.object();
    message.put("role", role);
    message.put("content", content);
}

fn put_text(list: &mut List<'_>, kind: &str, text: &str) {
    let mut part = list.object();
    part.put("type", kind);
    part.put("text", text);
}
