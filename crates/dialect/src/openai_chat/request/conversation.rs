//! `messages`, from the IR to the wire: one string where one will do, tool results as messages of their own
//! with what they cannot hold moved behind them, and what no field exists for named as a loss.

use tollgate_base::{Error, Result};

use crate::{
    Dialect, Loss, NameMap, Quirks, Target, ids,
    ir::{
        CacheMark, Document, DocumentSource, Image, ImageSource, Part, Request, Role, ToolCall,
        ToolResult, changed, dropped,
        turns::{Placed, Turn, turns},
    },
    json::{List, Object},
};

/// The most characters of a tool's name.
pub(super) const NAME_LIMIT: usize = 64;

pub(super) struct Conversation<'a> {
    request: &'a Request,
    target: Target<'a>,
    names: NameMap,
    losses: Vec<Loss>,
}

impl<'a> Conversation<'a> {
    pub(super) fn new(request: &'a Request, target: Target<'a>, names: NameMap) -> Self {
        Self {
            request,
            target,
            names,
            losses: Vec::new(),
        }
    }

    pub(super) fn finish(self) -> (NameMap, Vec<Loss>) {
        (self.names, self.losses)
    }

    pub(super) fn render(&mut self, body: &mut Object<'_>) -> Result<()> {
        let mut list = body.list("messages");
        let turns = self.turns();
        let is_system = |turn: &Turn<'_>| matches!(turn.role, Role::System | Role::Developer);
        let hoists = !self.target.quirks.mid_conversation_system;
        if hoists && turns.iter().skip(1).any(is_system) {
            let texts: Result<Vec<String>> = turns
                .iter()
                .filter(|turn| is_system(turn))
                .map(|turn| self.system_text(turn))
                .collect();
            for turn in turns.iter().skip(1).filter(|turn| is_system(turn)) {
                let path = self.request.message_path(turn.message);
                let reason =
                    "The server takes system messages only at the start, so it was moved there.";
                self.losses.push(changed(path, reason));
            }
            put_message(
                &mut list,
                self.system_role(Role::System),
                &texts?.join("\n"),
            );
            for turn in turns.iter().filter(|turn| !is_system(turn)) {
                self.turn(&mut list, turn)?;
            }
            return Ok(());
        }
        for turn in &turns {
            self.turn(&mut list, turn)?;
        }
        if list.is_empty() {
            let text = "`messages` must hold at least one message that says something.";
            return Err(Error::invalid_value("messages", text));
        }
        Ok(())
    }

    /// In this dialect every message stays its own; another one's that follow each other are one turn.
    fn turns(&self) -> Vec<Turn<'a>> {
        let messages = self.request.messages.iter().enumerate();
        if self.request.origin == Some(Dialect::OpenAiChat) {
            return messages.flat_map(|message| turns([message])).collect();
        }
        turns(messages)
    }

    fn turn(&mut self, list: &mut List<'_>, turn: &Turn<'a>) -> Result<()> {
        match turn.role {
            Role::System | Role::Developer => {
                let text = self.system_text(turn)?;
                if !text.is_empty() {
                    put_message(list, self.system_role(turn.role), &text);
                }
                Ok(())
            }
            Role::User => self.user(list, turn),
            Role::Assistant => self.assistant(list, turn),
        }
    }

    fn system_role(&self, role: Role) -> &'static str {
        let takes_developer = self.target.quirks.developer_role;
        let wants_developer = role == Role::Developer
            || (self.target.traits.reasoning == Some(true)
                && self.request.origin != Some(Dialect::OpenAiChat));
        if takes_developer && wants_developer {
            "developer"
        } else {
            "system"
        }
    }

    fn system_text(&mut self, turn: &Turn<'_>) -> Result<String> {
        let mut texts = Vec::new();
        for placed in &turn.parts {
            let Part::Text { text, cache } = placed.part else {
                let path = self.request.part_path(placed.message, placed.index);
                return Err(Error::unsupported(
                    path,
                    "A system message can only hold text.",
                ));
            };
            self.lose_cache(*cache, *placed);
            if !text.is_empty() {
                texts.push(text.as_str());
            }
        }
        Ok(texts.join("\n"))
    }

    /// Tool messages first, then what else the user says, then what the results showed.
    fn user(&mut self, list: &mut List<'_>, turn: &Turn<'a>) -> Result<()> {
        let mut shown = Vec::new();
        let mut said = Vec::new();
        for placed in &turn.parts {
            match placed.part {
                Part::ToolResult { result, cache } => {
                    self.lose_cache(*cache, *placed);
                    self.tool_message(list, result, *placed, &mut shown)?;
                }
                _ => said.push(*placed),
            }
        }
        if shown.is_empty() && said.is_empty() {
            if turn.parts.is_empty() {
                let path = self.request.message_path(turn.message);
                let text = "A user message must not be empty.";
                return Err(Error::invalid_value(path, text));
            }
            return Ok(());
        }
        let only_text = match said.as_slice() {
            [
                Placed {
                    part: Part::Text { text, cache },
                    ..
                },
            ] if shown.is_empty() => Some((text, *cache, said[0])),
            _ => None,
        };
        let mut message = list.object();
        message.put("role", "user");
        message.put_some("name", turn.name);
        if let Some((text, cache, placed)) = only_text {
            self.lose_cache(cache, placed);
            message.put("content", text);
            return Ok(());
        }
        let mut content = message.list("content");
        for (call_id, part, placed) in shown {
            let mut label = content.object();
            label.put("type", "text");
            label.put("text", &format!("Shown by the tool call {call_id}:"));
            drop(label);
            self.part(&mut content, part, placed)?;
        }
        for placed in said {
            self.part(&mut content, placed.part, placed)?;
        }
        Ok(())
    }

    /// One tool message. Images and files cannot stand in it, so they are kept for the user message after it.
    fn tool_message(
        &mut self,
        list: &mut List<'_>,
        result: &'a ToolResult,
        placed: Placed<'a>,
        shown: &mut Vec<(String, &'a Part, Placed<'a>)>,
    ) -> Result<()> {
        let call_id = sent_id(&result.call_id, self.target.quirks);
        let mut texts = Vec::new();
        let n_shown = shown.len();
        for part in &result.content {
            match part {
                Part::Text { text, .. } => texts.push(text.as_str()),
                Part::Document {
                    document:
                        Document {
                            source: DocumentSource::Text(text),
                            ..
                        },
                    ..
                } => {
                    texts.push(text);
                }
                Part::Image { .. } | Part::Document { .. } => {
                    shown.push((call_id.clone(), part, placed));
                }
                Part::Opaque { kind, .. } => return Err(self.unknown(kind, placed)),
                _ => {
                    let path = self.request.part_path(placed.message, placed.index);
                    return Err(Error::unsupported(
                        path,
                        "A tool result can only hold text, images and documents.",
                    ));
                }
            }
        }
        let mut text = texts.join("\n");
        let path = || self.request.part_path(placed.message, placed.index);
        if shown.len() > n_shown {
            self.losses.push(changed(
                path(),
                "Images and files of a tool result were moved into a user message.",
            ));
            if text.is_empty() {
                "The result is shown in the next message.".clone_into(&mut text);
            }
        }
        if result.is_error {
            self.losses.push(changed(
                format!("{}.is_error", path()),
                "The text says that it is an error.",
            ));
            text = format!("Error: {text}");
        }
        let mut message = list.object();
        message.put("role", "tool");
        message.put("tool_call_id", &call_id);
        message.put("content", &text);
        Ok(())
    }

    fn assistant(&mut self, list: &mut List<'_>, turn: &Turn<'a>) -> Result<()> {
        let mut texts = String::new();
        let mut reasoning = String::new();
        let mut refusal = None;
        let mut calls = Vec::new();
        for placed in &turn.parts {
            match placed.part {
                Part::Text { text, cache } => {
                    self.lose_cache(*cache, *placed);
                    texts.push_str(text);
                }
                Part::Refusal { text } => refusal = Some(text),
                Part::ToolCall { call, cache } => {
                    self.lose_cache(*cache, *placed);
                    calls.push(call);
                }
                Part::Reasoning { text, .. } if self.target.quirks.replay_reasoning => {
                    reasoning.push_str(text);
                }
                Part::Reasoning { .. } | Part::RedactedReasoning { .. } => {
                    let path = self.request.part_path(placed.message, placed.index);
                    self.losses.push(dropped(
                        path,
                        "Earlier reasoning has no place in the provider's dialect.",
                    ));
                }
                Part::Opaque { kind, .. } => return Err(self.unknown(kind, *placed)),
                _ => {
                    let path = self.request.part_path(placed.message, placed.index);
                    return Err(Error::unsupported(
                        path,
                        "An assistant message can only hold text and tool calls.",
                    ));
                }
            }
        }
        if texts.is_empty() && calls.is_empty() && refusal.is_none() && reasoning.is_empty() {
            return Ok(());
        }
        let mut message = list.object();
        message.put("role", "assistant");
        message.put_some("name", turn.name);
        if !reasoning.is_empty() {
            message.put("reasoning_content", &reasoning);
        }
        message.put(
            "content",
            &(!texts.is_empty() || (calls.is_empty() && refusal.is_none())).then_some(&*texts),
        );
        message.put_some("refusal", refusal);
        if !calls.is_empty() {
            let mut out = message.list("tool_calls");
            for call in calls {
                self.tool_call(&mut out, call);
            }
        }
        Ok(())
    }

    fn tool_call(&mut self, list: &mut List<'_>, call: &ToolCall) {
        let mut out = list.object();
        out.put("id", &sent_id(&call.id, self.target.quirks));
        out.put("type", "function");
        let mut function = out.object("function");
        function.put("name", &*self.names.sent(&call.name, NAME_LIMIT));
        function.put(
            "arguments",
            if call.arguments.is_empty() {
                "{}"
            } else {
                &*call.arguments
            },
        );
    }

    /// A part of a user message.
    fn part(&mut self, list: &mut List<'_>, part: &Part, placed: Placed<'_>) -> Result<()> {
        let path = self.request.part_path(placed.message, placed.index);
        let traits = self.target.traits;
        match part {
            Part::Text { text, cache } => {
                let mut out = list.object();
                out.put("type", "text");
                out.put("text", text);
                self.put_cache(&mut out, *cache, placed);
            }
            Part::Image { image, cache } => {
                if traits.vision == Some(false) {
                    return Err(Error::unsupported(
                        path,
                        "The model does not read images. Use a model with vision.",
                    ));
                }
                let mut out = list.object();
                out.put("type", "image_url");
                put_image(&mut out, image, &path)?;
                self.put_cache(&mut out, *cache, placed);
            }
            Part::Document { document, cache } => {
                self.document(list, document, &path)?;
                self.lose_cache(*cache, placed);
            }
            Part::Audio { data, format } => {
                if traits.audio_input == Some(false) {
                    return Err(Error::unsupported(
                        path,
                        "The model does not take audio. Send the text of it.",
                    ));
                }
                let mut out = list.object();
                out.put("type", "input_audio");
                let mut audio = out.object("input_audio");
                audio.put("data", data);
                audio.put("format", format);
            }
            Part::Opaque { json, .. } if self.request.origin == Some(Dialect::OpenAiChat) => {
                list.raw(json.get());
            }
            Part::Opaque { kind, .. } => return Err(self.unknown(kind, placed)),
            _ => {
                let text =
                    "A user message can only hold text, images, files, audio and tool results.";
                return Err(Error::unsupported(path, text));
            }
        }
        Ok(())
    }

    fn document(&mut self, list: &mut List<'_>, document: &Document, path: &str) -> Result<()> {
        let title = document.title.as_deref();
        match &document.source {
            DocumentSource::Text(text) => {
                let mut out = list.object();
                out.put("type", "text");
                match title {
                    Some(title) => out.put("text", &format!("{title}\n\n{text}")),
                    None => out.put("text", text),
                }
                self.losses
                    .push(changed(path, "A document of text was sent as text."));
            }
            DocumentSource::Base64 { media_type, data } => {
                if self.target.traits.pdf == Some(false) {
                    return Err(Error::unsupported(
                        path,
                        "The model does not read PDF files. Send the text.",
                    ));
                }
                let mut out = list.object();
                out.put("type", "file");
                let mut file = out.object("file");
                file.put("filename", title.unwrap_or("document.pdf"));
                file.put("file_data", &format!("data:{media_type};base64,{data}"));
            }
            DocumentSource::Url(_) => {
                let text = "The provider reads no documents from addresses. Send the file itself.";
                return Err(Error::unsupported(path, text));
            }
            DocumentSource::File(id) if self.request.origin == Some(Dialect::OpenAiChat) => {
                let mut out = list.object();
                out.put("type", "file");
                out.object("file").put("file_id", id);
            }
            DocumentSource::File(_) => return Err(bound_file(path)),
        }
        Ok(())
    }

    /// This dialect's own marks go back as they came; another's have no counterpart on every model.
    fn put_cache(&mut self, out: &mut Object<'_>, cache: Option<CacheMark>, placed: Placed<'_>) {
        if cache.is_some() && self.request.origin == Some(Dialect::OpenAiChat) {
            out.object("prompt_cache_breakpoint")
                .put("mode", "explicit");
        } else {
            self.lose_cache(cache, placed);
        }
    }

    fn lose_cache(&mut self, cache: Option<CacheMark>, placed: Placed<'_>) {
        if cache.is_some() && self.request.origin != Some(Dialect::OpenAiChat) {
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
            tollgate_base::quote(kind)
        );
        Error::unsupported(path, text)
    }
}

fn put_image(out: &mut Object<'_>, image: &Image, path: &str) -> Result<()> {
    let url = match &image.source {
        ImageSource::Base64 { media_type, data } => format!("data:{media_type};base64,{data}"),
        ImageSource::Url(url) => url.clone(),
        ImageSource::File(_) => return Err(bound_file(path)),
    };
    let mut inner = out.object("image_url");
    inner.put("url", &url);
    inner.put_some("detail", image.detail.as_ref());
    Ok(())
}

fn put_message(list: &mut List<'_>, role: &str, content: &str) {
    let mut message = list.object();
    message.put("role", role);
    message.put("content", content);
}

fn bound_file(path: &str) -> Error {
    let text = "A file id belongs to the provider that gave it, and another one answers for this model. Send the file itself.";
    Error::unsupported(path, text)
}

fn sent_id(id: &str, quirks: &Quirks) -> String {
    match quirks.tool_id_length {
        Some(length) => ids::call_id_of_length(id, length).into_owned(),
        None => id.to_owned(),
    }
}
