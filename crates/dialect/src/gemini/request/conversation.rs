//! `systemInstruction` and `contents`: contents of the user and the model in turn, the results of functions
//! right after their calls in the same number and order, nothing empty, and seals on the parts they belong to
//! (digest 6.2, mapping section 2).

use std::collections::HashMap;

use tollgate_base::{Error, Result};

use super::media::{Media, put_inline};
use crate::{
    Dialect, Loss, NameMap, Target, ThinkingStyle, anthropic,
    ir::{
        CacheMark, Document, DocumentSource, Image, ImageSource, Issuer, Message, Part, Request,
        Role, ToolCall, ToolResult, changed, dropped,
        turns::{Placed, Turn, check_answers, turns},
    },
    json::{List, Object},
};

/// The most characters of a function's name.
pub(super) const NAME_LIMIT: usize = 128;
/// The vendor's documented word for a call whose seal is not known, because another model made it.
pub(super) const DUMMY_SEAL: &str = "skip_thought_signature_validator";

/// Writes one request's conversation.
pub(super) struct Conversation<'a> {
    request: &'a Request,
    target: Target<'a>,
    media: Media<'a>,
    names: NameMap,
    /// The name of each call, by its id, latest first.
    calls: HashMap<&'a str, &'a str>,
    /// The vendor's own seal, for the part that follows.
    seal: Option<&'a str>,
}

/// A content under way: its role and the JSON of its parts without brackets.
struct Content {
    role: Role,
    parts: Vec<u8>,
}

impl<'a> Conversation<'a> {
    pub(super) fn new(request: &'a Request, target: Target<'a>, names: NameMap) -> Self {
        let media = Media {
            request,
            target,
            losses: Vec::new(),
        };
        Self {
            request,
            target,
            media,
            names,
            calls: HashMap::new(),
            seal: None,
        }
    }

    pub(super) fn finish(self) -> (NameMap, Vec<Loss>) {
        (self.names, self.media.losses)
    }

    pub(super) fn render(&mut self, body: &mut Object<'_>) -> Result<()> {
        let is_system = |message: &Message| matches!(message.role, Role::System | Role::Developer);
        let messages = &self.request.messages;
        self.system(body)?;
        let spoken = messages.iter().enumerate();
        let turns = turns(spoken.filter(|(_, message)| !is_system(message)));
        check_answers(self.request, &turns)?;
        self.check_end(&turns)?;
        // What the current turn is made of begins after the user's last words.
        let current = turns.iter().rposition(|turn| {
            turn.role == Role::User
                && turn
                    .parts
                    .iter()
                    .any(|placed| !matches!(placed.part, Part::ToolResult { .. }))
        });
        let mut contents: Vec<Content> = Vec::new();
        for (i, turn) in turns.iter().enumerate() {
            let is_current = current.is_none_or(|current| i > current);
            let parts = self.turn(turn, is_current)?;
            if parts.is_empty() {
                continue;
            }
            match contents.last_mut() {
                // A turn between them had nothing left in it.
                Some(last) if last.role == turn.role => {
                    last.parts.push(b',');
                    last.parts.extend_from_slice(&parts);
                }
                _ => contents.push(Content {
                    role: turn.role,
                    parts,
                }),
            }
        }
        if !contents.iter().any(|content| content.role == Role::User) {
            let path = self.request.messages_path();
            let text = format!("`{path}` must hold at least one user message.");
            return Err(Error::invalid_value(path, text));
        }
        let mut list = body.list("contents");
        for content in contents {
            let mut out = list.object();
            let role = match content.role {
                Role::Assistant => "model",
                _ => "user",
            };
            out.put("role", role);
            let parts = String::from_utf8(content.parts).unwrap_or_default();
            out.raw("parts", &format!("[{parts}]"));
        }
        Ok(())
    }

    /// Every system message, in order: the vendor has one place for them.
    fn system(&mut self, body: &mut Object<'_>) -> Result<()> {
        let mut texts = Vec::new();
        let mut is_leading = true;
        for (i, message) in self.request.messages.iter().enumerate() {
            if !matches!(message.role, Role::System | Role::Developer) {
                is_leading = false;
                continue;
            }
            if !is_leading {
                self.lose(changed(
                    self.request.message_path(i),
                    "The model takes system messages only at the start, so it was moved there.",
                ));
            }
            for (j, part) in message.parts.iter().enumerate() {
                let path = self.request.part_path(i, j);
                let Part::Text { text, cache } = part else {
                    let text = "A system message can only hold text.";
                    return Err(Error::unsupported(path, text));
                };
                self.lose_cache(*cache, &path);
                if !text.trim().is_empty() {
                    texts.push(text);
                }
            }
        }
        if texts.is_empty() {
            return Ok(());
        }
        let mut system = body.object("systemInstruction");
        let mut parts = system.list("parts");
        for text in texts {
            parts.object().put("text", text);
        }
        Ok(())
    }

    fn check_end(&self, turns: &[Turn<'_>]) -> Result<()> {
        match turns.last() {
            Some(turn)
                if turn.role == Role::Assistant
                    && self.target.traits.assistant_prefill == Some(false) =>
            {
                let text = "This model does not support assistant message prefill. The conversation must end with a user message.";
                let path = self.request.message_path(turn.message);
                Err(Error::unsupported(path, text))
            }
            _ => Ok(()),
        }
    }

    /// The parts of a turn, without brackets.
    fn turn(&mut self, turn: &Turn<'a>, is_current: bool) -> Result<Vec<u8>> {
        if turn.name.is_some() {
            let path = format!("{}.name", self.request.message_path(turn.message));
            self.lose(dropped(
                path,
                "Messages have no names in the provider's dialect.",
            ));
        }
        let mut out = Vec::new();
        {
            let mut parts = List::new(&mut out);
            let mut needs_dummy = is_current && self.checks_seals();
            for placed in &turn.parts {
                self.part(&mut parts, *placed, &mut needs_dummy)?;
            }
            self.close(&mut parts);
            if parts.is_empty() && turn.role == Role::User {
                let path = self.request.message_path(turn.message);
                let text = "A user message must not be empty.";
                return Err(Error::invalid_value(path, text));
            }
        }
        Ok(out
            .get(1..out.len().saturating_sub(1))
            .unwrap_or_default()
            .to_vec())
    }

    /// Models that are told a level, and unknown ones, refuse a call whose seal is missing (traps T19).
    fn checks_seals(&self) -> bool {
        matches!(
            self.target.traits.thinking,
            ThinkingStyle::Level | ThinkingStyle::Unknown | ThinkingStyle::Adaptive
        )
    }

    /// A seal whose part is not there stands on an empty text, as the vendor itself sends it.
    fn close(&mut self, parts: &mut List<'_>) {
        if let Some(seal) = self.seal.take() {
            let mut part = parts.object();
            part.put("text", "");
            part.put("thoughtSignature", seal);
        }
    }

    fn part(
        &mut self,
        parts: &mut List<'_>,
        placed: Placed<'a>,
        needs_dummy: &mut bool,
    ) -> Result<()> {
        let path = self.request.part_path(placed.message, placed.index);
        match placed.part {
            Part::Text { text, cache } => {
                self.lose_cache(*cache, &path);
                self.text(parts, text);
            }
            Part::Refusal { text } => self.text(parts, text),
            Part::Image { image, cache } => {
                self.lose_cache(*cache, &path);
                self.media.image(&mut parts.object(), image, &path)?;
            }
            Part::Document { document, cache } => {
                self.lose_cache(*cache, &path);
                self.media.document(&mut parts.object(), document, &path)?;
            }
            Part::Audio { data, format } => {
                self.media.audio(&mut parts.object(), data, format, &path)?;
            }
            Part::ToolCall { call, cache } => {
                self.lose_cache(*cache, &path);
                let dummy = needs_dummy.then_some(DUMMY_SEAL);
                *needs_dummy = false;
                self.call(parts, call, dummy, &path);
            }
            Part::ToolResult { result, cache } => {
                self.lose_cache(*cache, &path);
                self.result(parts, result, &path)?;
            }
            Part::Reasoning { text, signature } => {
                self.close(parts);
                let seal = signature.as_ref().and_then(|seal| seal.of(Issuer::Gemini));
                if seal.is_none() {
                    self.lose_reasoning(path);
                } else if !text.is_empty() {
                    let mut part = parts.object();
                    part.put("text", text);
                    part.put("thought", &true);
                }
                self.seal = seal;
            }
            Part::RedactedReasoning { .. } => self.lose_reasoning(path),
            Part::Opaque { json, .. } if self.request.origin == Some(Dialect::GeminiGenerate) => {
                parts.raw(json.get());
            }
            Part::Opaque { kind, .. } => {
                let text = format!(
                    "Content of type {} cannot be translated for this model.",
                    tollgate_base::quote(kind)
                );
                return Err(Error::unsupported(path, text));
            }
        }
        Ok(())
    }

    /// Writes a text, unless it is blank and has no seal: the vendor refuses parts without data (traps T15).
    fn text(&mut self, parts: &mut List<'_>, text: &str) {
        let seal = self.seal.take();
        if text.trim().is_empty() && seal.is_none() {
            return;
        }
        let mut part = parts.object();
        part.put("text", text);
        part.put_some("thoughtSignature", seal);
    }

    fn call(
        &mut self,
        parts: &mut List<'_>,
        call: &'a ToolCall,
        dummy: Option<&'static str>,
        path: &str,
    ) {
        self.calls.insert(&call.id, &call.name);
        let mut part = parts.object();
        let mut out = part.object("functionCall");
        if !call.id.is_empty() {
            out.put("id", &call.id);
        }
        out.put("name", &*self.names.sent(&call.name, NAME_LIMIT));
        if let Some(args) = anthropic::arguments_object(&call.arguments) {
            out.raw("args", args);
        } else {
            out.object("args").put("_raw", &call.arguments);
            let reason = "The arguments are no JSON object, so they were wrapped as `_raw`.";
            self.media.losses.push(changed(path, reason));
        }
        drop(out);
        part.put_some("thoughtSignature", self.seal.take().or(dummy));
    }

    fn result(&mut self, parts: &mut List<'_>, result: &'a ToolResult, path: &str) -> Result<()> {
        let name = self
            .calls
            .get(&*result.call_id)
            .copied()
            .unwrap_or_default();
        let mut texts: Vec<&str> = Vec::new();
        let mut shown = Vec::new();
        for part in &result.content {
            match part {
                Part::Text { text, .. }
                | Part::Document {
                    document:
                        Document {
                            source: DocumentSource::Text(text),
                            ..
                        },
                    ..
                } => texts.push(text),
                _ => shown.push(part),
            }
        }
        let text = texts.join("\n");
        let mut part = parts.object();
        let mut out = part.object("functionResponse");
        if !result.call_id.is_empty() {
            out.put("id", &result.call_id);
        }
        out.put("name", &*self.names.sent(name, NAME_LIMIT));
        match anthropic::arguments_object(&text).filter(|_| !text.is_empty()) {
            _ if result.is_error => out.object("response").put("error", &text),
            Some(object) => out.raw("response", object),
            None => out.object("response").put("result", &text),
        }
        if shown.is_empty() {
            return Ok(());
        }
        let mut list = out.list("parts");
        for part in shown {
            self.shown(&mut list.object(), part, path)?;
        }
        Ok(())
    }

    /// An image or a file of a result: only its data can stand there.
    fn shown(&mut self, out: &mut Object<'_>, part: &Part, path: &str) -> Result<()> {
        match part {
            Part::Image {
                image:
                    image @ Image {
                        source: ImageSource::Base64 { .. },
                        ..
                    },
                ..
            } => self.media.image(out, image, path),
            Part::Document {
                document:
                    Document {
                        source: DocumentSource::Base64 { media_type, data },
                        ..
                    },
                ..
            } => {
                put_inline(out, media_type, data);
                Ok(())
            }
            _ => {
                let text = "A tool result can only hold text, and images and documents as base64.";
                Err(Error::unsupported(path, text))
            }
        }
    }

    fn lose_reasoning(&mut self, path: String) {
        self.lose(dropped(
            path,
            "Only reasoning that this provider signed can be sent to it.",
        ));
    }

    fn lose_cache(&mut self, cache: Option<CacheMark>, path: &str) {
        if cache.is_some() {
            self.lose(dropped(
                format!("{path}.cache_control"),
                "The provider decides by itself what it caches.",
            ));
        }
    }

    fn lose(&mut self, loss: Loss) {
        self.media.losses.push(loss);
    }
}
