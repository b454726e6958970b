//! `system` and `messages`: turns in the order that the vendor demands. Results of tools come first in the
//! turn after their calls, every call is answered, ids are unique, nothing is empty (digest 5.3, mapping
//! section 2).

use std::collections::HashMap;

use tollgate_base::{Error, Result};

use super::media::Media;
use crate::{
    Dialect, Loss, NameMap, RawObject, Target, ids,
    ir::{
        CacheMark, Issuer, Message, Part, Request, Role, Signature, ToolCall, ToolResult, changed,
        dropped,
        turns::{Placed, Turn, check_answers, turns},
    },
    json::{List, Object},
};

/// The most characters of a tool's name that every model of the vendor takes.
pub(super) const NAME_LIMIT: usize = 64;

/// Writes one request's conversation.
pub(super) struct Conversation<'a> {
    request: &'a Request,
    target: Target<'a>,
    media: Media<'a>,
    names: NameMap,
    /// The id that each call of the caller was sent with, latest first.
    sent_ids: HashMap<&'a str, String>,
    used_ids: HashMap<String, usize>,
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
            sent_ids: HashMap::new(),
            used_ids: HashMap::new(),
        }
    }

    pub(super) fn finish(self) -> (NameMap, Vec<Loss>) {
        (self.names, self.media.losses)
    }

    /// Writes `system` and `messages`. `hint` is added to the system prompt.
    pub(super) fn render(&mut self, body: &mut Object<'_>, hint: Option<&str>) -> Result<()> {
        let messages = &self.request.messages;
        let is_system = |message: &Message| matches!(message.role, Role::System | Role::Developer);
        let n_leading = messages
            .iter()
            .take_while(|message| is_system(message))
            .count();
        let mut system: Vec<usize> = (0..n_leading).collect();
        let mut spoken = Vec::new();
        for (i, message) in messages.iter().enumerate().skip(n_leading) {
            if is_system(message) && !self.stays(i) {
                self.lose(changed(
                    self.request.message_path(i),
                    "The model takes system messages only at the start, so it was moved there.",
                ));
                system.push(i);
            } else {
                spoken.push((i, message));
            }
        }
        self.system(body, &system, hint)?;
        let turns = turns(spoken);
        check_answers(self.request, &turns)?;
        let n_turns = turns.len();
        let mut list = body.list("messages");
        let mut n_written = 0;
        for (i, turn) in turns.iter().enumerate() {
            n_written += usize::from(self.turn(&mut list, turn, i + 1 == n_turns)?);
        }
        if n_written == 0 {
            let text = "`messages` must hold at least one user message.";
            return Err(Error::invalid_value("messages", text));
        }
        Ok(())
    }

    /// Whether a later system message may stay where it is: after a user turn, before an answer or the end.
    fn stays(&self, i: usize) -> bool {
        let messages = &self.request.messages;
        let follows_user = messages[i - 1].role == Role::User;
        let precedes_answer = messages
            .get(i + 1)
            .is_none_or(|next| next.role == Role::Assistant);
        self.target.traits.mid_conversation_system == Some(true) && follows_user && precedes_answer
    }

    fn system(
        &mut self,
        body: &mut Object<'_>,
        messages: &[usize],
        hint: Option<&str>,
    ) -> Result<()> {
        let mut texts: Vec<(&str, Option<CacheMark>)> = Vec::new();
        for &i in messages {
            for (j, part) in self.request.messages[i].parts.iter().enumerate() {
                match part {
                    Part::Text { text, .. } if text.trim().is_empty() => {}
                    Part::Text { text, cache } => texts.push((text, *cache)),
                    _ => {
                        let path = self.request.part_path(i, j);
                        return Err(Error::unsupported(
                            path,
                            "A system message can only hold text.",
                        ));
                    }
                }
            }
        }
        texts.extend(hint.map(|hint| (hint, None)));
        if texts.is_empty() {
            return Ok(());
        }
        if texts.iter().all(|(_, cache)| cache.is_none()) {
            let texts: Vec<&str> = texts.into_iter().map(|(text, _)| text).collect();
            body.put("system", &texts.join("\n"));
            return Ok(());
        }
        let mut list = body.list("system");
        for (text, cache) in texts {
            let mut block = list.object();
            block.put("type", "text");
            block.put("text", text);
            put_cache(&mut block, cache);
        }
        Ok(())
    }

    /// Writes a turn; false when nothing of it is left.
    fn turn(&mut self, list: &mut List<'_>, turn: &Turn<'a>, is_last: bool) -> Result<bool> {
        if turn.name.is_some() {
            let path = format!("{}.name", self.request.message_path(turn.message));
            self.lose(dropped(
                path,
                "Messages have no names in the provider's dialect.",
            ));
        }
        let is_assistant = turn.role == Role::Assistant;
        if is_assistant && is_last && self.target.traits.assistant_prefill == Some(false) {
            let text = "This model does not support assistant message prefill. The conversation must end with a user message.";
            return Err(Error::unsupported(
                self.request.message_path(turn.message),
                text,
            ));
        }
        let last_text = turn
            .parts
            .iter()
            .rposition(|placed| matches!(placed.part, Part::Text { .. }));
        let mut blocks = Vec::new();
        let mut n_blocks = 0;
        {
            let mut content = List::new(&mut blocks);
            for (j, placed) in turn.parts.iter().enumerate() {
                let is_prefill_end =
                    is_assistant && is_last && Some(j) == last_text && j + 1 == turn.parts.len();
                n_blocks += usize::from(self.block(&mut content, *placed, is_prefill_end)?);
            }
        }
        if n_blocks == 0 {
            if turn.role == Role::User {
                let path = self.request.message_path(turn.message);
                return Err(Error::invalid_value(
                    path,
                    "A user message must not be empty.",
                ));
            }
            return Ok(false);
        }
        let mut message = list.object();
        message.put(
            "role",
            match turn.role {
                Role::Assistant => "assistant",
                Role::System | Role::Developer => "system",
                Role::User => "user",
            },
        );
        message.raw("content", &String::from_utf8(blocks).unwrap_or_default());
        Ok(true)
    }

    /// Writes a block; false when there is nothing to write.
    fn block(
        &mut self,
        list: &mut List<'_>,
        placed: Placed<'a>,
        is_prefill_end: bool,
    ) -> Result<bool> {
        let path = self.request.part_path(placed.message, placed.index);
        match placed.part {
            Part::Text { text, cache } => Ok(text_block(list, text, *cache, is_prefill_end)),
            Part::Refusal { text } => Ok(text_block(list, text, None, is_prefill_end)),
            Part::Image { image, cache } => {
                let mut block = list.object();
                block.put("type", "image");
                self.media.image(&mut block, image, &path)?;
                put_cache(&mut block, *cache);
                Ok(true)
            }
            Part::Document { document, cache } => {
                let mut block = list.object();
                block.put("type", "document");
                self.media.document(&mut block, document, &path)?;
                put_cache(&mut block, *cache);
                Ok(true)
            }
            Part::Audio { .. } => Err(Error::unsupported(
                path,
                "The model does not take audio. Send the text of it.",
            )),
            Part::ToolCall { call, cache } => {
                self.tool_use(list, call, *cache, &path);
                Ok(true)
            }
            Part::ToolResult { result, cache } => {
                self.tool_result(list, result, *cache, &path).map(|()| true)
            }
            Part::Reasoning { text, signature } => {
                Ok(self.thinking(list, text, signature.as_ref(), path))
            }
            Part::RedactedReasoning { data } => {
                let mut block = list.object();
                block.put("type", "redacted_thinking");
                block.put("data", data);
                Ok(true)
            }
            Part::Opaque { json, .. }
                if self.request.origin == Some(Dialect::AnthropicMessages) =>
            {
                list.raw(json.get());
                Ok(true)
            }
            Part::Opaque { kind, .. } => {
                let text = format!(
                    "Content of type {} cannot be translated for this model.",
                    tollgate_base::quote(kind)
                );
                Err(Error::unsupported(path, text))
            }
        }
    }

    /// Only thinking that the vendor signed may go back to it: it refuses any other (traps T21).
    fn thinking(
        &mut self,
        list: &mut List<'_>,
        text: &str,
        signature: Option<&Signature>,
        path: String,
    ) -> bool {
        let Some(seal) = signature.and_then(|signature| signature.of(Issuer::Anthropic)) else {
            self.lose(dropped(
                path,
                "Only reasoning that this provider signed can be sent to it.",
            ));
            return false;
        };
        let mut block = list.object();
        block.put("type", "thinking");
        block.put("thinking", text);
        block.put("signature", seal);
        true
    }

    fn tool_use(
        &mut self,
        list: &mut List<'_>,
        call: &'a ToolCall,
        cache: Option<CacheMark>,
        path: &str,
    ) {
        let mut id = ids::call_id_of_word_characters(&call.id).into_owned();
        let n = self
            .used_ids
            .entry(id.clone())
            .and_modify(|n| *n += 1)
            .or_insert(1);
        if *n > 1 {
            // Some servers number the calls of every reply from zero; here ids are unique in a conversation.
            id = format!("{id}_{n}");
        }
        self.sent_ids.insert(&call.id, id.clone());
        let mut block = list.object();
        block.put("type", "tool_use");
        block.put("id", &id);
        block.put("name", &*self.names.sent(&call.name, NAME_LIMIT));
        if let Some(input) = arguments_object(&call.arguments) {
            block.raw("input", input);
        } else {
            block.object("input").put("_raw", &call.arguments);
            let loss = changed(
                path,
                "The arguments are no JSON object, so they were wrapped as `_raw`.",
            );
            self.media.losses.push(loss);
        }
        put_cache(&mut block, cache);
    }

    fn tool_result(
        &mut self,
        list: &mut List<'_>,
        result: &'a ToolResult,
        cache: Option<CacheMark>,
        path: &str,
    ) -> Result<()> {
        let mut block = list.object();
        block.put("type", "tool_result");
        let id = self.sent_ids.get(&*result.call_id).cloned();
        block.put(
            "tool_use_id",
            &id.unwrap_or_else(|| ids::call_id_of_word_characters(&result.call_id).into_owned()),
        );
        match result.content.as_slice() {
            [] => {}
            [Part::Text { text, cache: None }] => block.put("content", text),
            parts => {
                let mut content = block.list("content");
                for part in parts {
                    self.result_part(&mut content, part, path)?;
                }
            }
        }
        if result.is_error {
            block.put("is_error", &true);
        }
        put_cache(&mut block, cache);
        Ok(())
    }

    fn result_part(&mut self, list: &mut List<'_>, part: &'a Part, path: &str) -> Result<()> {
        match part {
            Part::Text { text, cache } => {
                text_block(list, text, *cache, false);
            }
            Part::Image { image, .. } => {
                let mut block = list.object();
                block.put("type", "image");
                self.media.image(&mut block, image, path)?;
            }
            Part::Document { document, .. } => {
                let mut block = list.object();
                block.put("type", "document");
                self.media.document(&mut block, document, path)?;
            }
            Part::Opaque { json, .. }
                if self.request.origin == Some(Dialect::AnthropicMessages) =>
            {
                list.raw(json.get());
            }
            _ => {
                let text = "A tool result can only hold text, images and documents.";
                return Err(Error::unsupported(path, text));
            }
        }
        Ok(())
    }

    fn lose(&mut self, loss: Loss) {
        self.media.losses.push(loss);
    }
}

/// A text block, unless it is blank: the vendor refuses those (traps T15).
fn text_block(
    list: &mut List<'_>,
    text: &str,
    cache: Option<CacheMark>,
    is_prefill_end: bool,
) -> bool {
    let text = if is_prefill_end {
        text.trim_end()
    } else {
        text
    };
    if text.trim().is_empty() {
        return false;
    }
    let mut block = list.object();
    block.put("type", "text");
    block.put("text", text);
    put_cache(&mut block, cache);
    true
}

pub(super) fn put_cache(block: &mut Object<'_>, cache: Option<CacheMark>) {
    let Some(cache) = cache else { return };
    let mut mark = block.object("cache_control");
    mark.put("type", "ephemeral");
    if cache == CacheMark::Long {
        mark.put("ttl", "1h");
    }
}

/// The arguments as the text of a JSON object; nothing at all stands for an empty one (traps T22).
pub(crate) fn arguments_object(arguments: &str) -> Option<&str> {
    let text = arguments.trim_ascii();
    if text.is_empty() {
        return Some("{}");
    }
    let is_object = text.starts_with('{')
        && RawObject::parse(bytes::Bytes::copy_from_slice(text.as_bytes())).is_ok();
    is_object.then_some(text)
}
