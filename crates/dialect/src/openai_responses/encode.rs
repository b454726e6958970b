//! The stream of responses: the encoder. Each block is an output item of its own, so that calls may stay
//! open side by side; the event at the end repeats the whole response (traps T33).

use bytes::BytesMut;
use tollgate_base::Usage;

use super::{
    custom::{self, Peculiar},
    output::{OutputItem, Said, filled, put_annotation, put_summary},
    reply::{Envelope, incomplete_reason, put_response, reply_id},
};
use crate::{
    EncodeOptions, Encoder,
    ir::{Block, BlockStart, Citation, Delta, Event, FinishReason, Issuer, TokenLogprob},
    json::Object,
    openai_chat::logprobs::{Bytes, put_list},
};

/// Writes Responses events. An error is not written here: who sends the stream ends it with one, and then
/// nothing follows.
#[derive(Debug)]
pub(crate) struct ResponsesEncoder {
    options: EncodeOptions,
    tools: Peculiar,
    id: String,
    model: String,
    /// By the number of the block.
    items: Vec<OutputItem>,
    /// Tokens of the text that is told next.
    tokens: Vec<TokenLogprob>,
    sequence: u64,
    usage: Usage,
    finish: Option<FinishReason>,
    has_failed: bool,
    scratch: Vec<u8>,
}

impl ResponsesEncoder {
    pub(crate) fn new(options: EncodeOptions) -> Self {
        Self {
            tools: Peculiar::of_request(&options),
            options,
            id: String::new(),
            model: String::new(),
            items: Vec::new(),
            tokens: Vec::new(),
            sequence: 0,
            usage: Usage::default(),
            finish: None,
            has_failed: false,
            scratch: Vec::with_capacity(512),
        }
    }

    /// Writes an event under both of its names: some clients read the one, some the other (traps T36).
    fn event(&mut self, name: &str, out: &mut BytesMut, rest: impl FnOnce(&mut Object<'_>)) {
        self.scratch.clear();
        {
            let mut body = Object::new(&mut self.scratch);
            body.put("type", name);
            body.put("sequence_number", &self.sequence);
            rest(&mut body);
        }
        self.sequence += 1;
        out.extend_from_slice(b"event: ");
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(b"\ndata: ");
        out.extend_from_slice(&self.scratch);
        out.extend_from_slice(b"\n\n");
    }

    /// An event with the response as it stands.
    fn response(&mut self, name: &str, out: &mut BytesMut) {
        let mut whole = Vec::with_capacity(512);
        put_response(
            &mut Object::new(&mut whole),
            &Envelope {
                id: &self.id,
                model: &self.model,
                finish: self.finish.as_ref(),
                usage: self.usage,
                service_tier: None,
            },
            &self.items,
            &self.options,
        );
        let whole = String::from_utf8(whole).unwrap_or_default();
        self.event(name, out, |body| body.raw("response", &whole));
    }

    /// An event about an item, or a part of it: `within` is the name of the part's index.
    fn item_event(
        &mut self,
        name: &str,
        index: usize,
        within: Option<&str>,
        out: &mut BytesMut,
        rest: impl FnOnce(&mut Object<'_>),
    ) {
        let Some(item) = self.items.get(index) else {
            return;
        };
        let id = item.id.clone();
        self.event(name, out, |body| {
            body.put("item_id", &id);
            body.put("output_index", &index);
            if let Some(within) = within {
                body.put(within, &0);
            }
            rest(body);
        });
    }

    fn start_block(&mut self, index: usize, block: &BlockStart, out: &mut BytesMut) {
        let item = OutputItem::of_block(
            &Block::from_start(block.clone()),
            &self.id,
            index,
            &self.options.names,
            &self.tools,
        );
        self.items.push(item.clone());
        self.event("response.output_item.added", out, |body| {
            body.put("output_index", &index);
            item.put_empty(&mut body.object("item"));
        });
        if matches!(item.said, Said::Text { .. } | Said::Refusal(_)) {
            let name = "response.content_part.added";
            self.item_event(name, index, Some("content_index"), out, |body| {
                item.said.put_part(&mut body.object("part"));
            });
        }
    }

    fn delta(&mut self, index: usize, delta: &Delta, out: &mut BytesMut) {
        let Some(item) = self.items.get_mut(index) else {
            return;
        };
        match (&mut item.said, delta) {
            (Said::Text { text, .. }, Delta::Text(more)) => {
                text.push_str(more);
                self.text(index, more, out);
            }
            (Said::Text { logprobs, .. }, Delta::Logprobs(tokens)) => {
                logprobs.extend_from_slice(tokens);
                self.tokens.extend_from_slice(tokens);
            }
            (
                Said::Text {
                    text, citations, ..
                },
                Delta::Citation(citation),
            ) => {
                let text = text.clone();
                citations.push(citation.clone());
                let n = citations.iter().filter(|it| it.url.is_some()).count();
                self.citation(index, n.saturating_sub(1), citation, &text, out);
            }
            (Said::Refusal(text), Delta::Refusal(more)) => {
                text.push_str(more);
                let name = "response.refusal.delta";
                self.item_event(name, index, Some("content_index"), out, |body| {
                    body.put("delta", more);
                });
            }
            (Said::Reasoning { text, .. }, Delta::Reasoning(more)) => {
                let is_first = text.is_empty();
                text.push_str(more);
                self.summary(index, is_first, more, out);
            }
            (Said::Reasoning { seal, .. }, Delta::Signature(signature)) => {
                *seal = Some(signature.written_for(Issuer::OpenAi).into_owned());
            }
            (
                Said::Call {
                    arguments,
                    is_custom,
                    ..
                },
                Delta::Arguments(more),
            ) => {
                arguments.push_str(more);
                // The text of a custom tool's call is known when its JSON is whole.
                if !*is_custom {
                    let name = "response.function_call_arguments.delta";
                    self.item_event(name, index, None, out, |body| body.put("delta", more));
                }
            }
            _ => {}
        }
    }

    /// A piece of the text, with its tokens.
    fn text(&mut self, index: usize, more: &str, out: &mut BytesMut) {
        let tokens = std::mem::take(&mut self.tokens);
        let name = "response.output_text.delta";
        self.item_event(name, index, Some("content_index"), out, |body| {
            body.put("delta", more);
            put_list(&mut body.list("logprobs"), &tokens, Bytes::Untold);
        });
    }

    fn citation(
        &mut self,
        index: usize,
        n: usize,
        citation: &Citation,
        text: &str,
        out: &mut BytesMut,
    ) {
        if citation.url.is_none() {
            return;
        }
        let name = "response.output_text.annotation.added";
        self.item_event(name, index, Some("content_index"), out, |body| {
            body.put("annotation_index", &n);
            put_annotation(&mut body.object("annotation"), citation, text);
        });
    }

    fn summary(&mut self, index: usize, is_first: bool, more: &str, out: &mut BytesMut) {
        let within = Some("summary_index");
        if is_first && !more.is_empty() {
            let name = "response.reasoning_summary_part.added";
            self.item_event(name, index, within, out, |body| {
                put_summary(&mut body.object("part"), "");
            });
        }
        if !more.is_empty() {
            let name = "response.reasoning_summary_text.delta";
            self.item_event(name, index, within, out, |body| body.put("delta", more));
        }
    }

    fn end_block(&mut self, index: usize, out: &mut BytesMut) {
        let Some(item) = self.items.get(index).cloned() else {
            return;
        };
        match &item.said {
            Said::Text { text, logprobs, .. } => {
                if !self.tokens.is_empty() {
                    // They add nothing that could be told with them.
                    self.text(index, "", out);
                }
                let within = Some("content_index");
                self.item_event("response.output_text.done", index, within, out, |body| {
                    body.put("text", text);
                    put_list(&mut body.list("logprobs"), logprobs, Bytes::Untold);
                });
                self.end_part(index, &item, out);
            }
            Said::Refusal(text) => {
                let within = Some("content_index");
                self.item_event("response.refusal.done", index, within, out, |body| {
                    body.put("refusal", text);
                });
                self.end_part(index, &item, out);
            }
            Said::Reasoning { text, .. } if text.is_empty() => {}
            Said::Reasoning { text, .. } => {
                let within = Some("summary_index");
                let name = "response.reasoning_summary_text.done";
                self.item_event(name, index, within, out, |body| body.put("text", text));
                let name = "response.reasoning_summary_part.done";
                self.item_event(name, index, within, out, |body| {
                    put_summary(&mut body.object("part"), text);
                });
            }
            Said::Call {
                name,
                arguments,
                is_custom,
                ..
            } => self.end_call(index, name, arguments, *is_custom, out),
        }
        self.event("response.output_item.done", out, |body| {
            body.put("output_index", &index);
            item.put_in(&mut body.object("item"), "completed");
        });
    }

    fn end_part(&mut self, index: usize, item: &OutputItem, out: &mut BytesMut) {
        let name = "response.content_part.done";
        self.item_event(name, index, Some("content_index"), out, |body| {
            item.said.put_part(&mut body.object("part"));
        });
    }

    fn end_call(
        &mut self,
        index: usize,
        tool: &str,
        arguments: &str,
        is_custom: bool,
        out: &mut BytesMut,
    ) {
        if is_custom {
            let input = custom::unwrapped(arguments);
            let name = "response.custom_tool_call_input.delta";
            self.item_event(name, index, None, out, |body| body.put("delta", &input));
            let name = "response.custom_tool_call_input.done";
            self.item_event(name, index, None, out, |body| body.put("input", &input));
            return;
        }
        if arguments.is_empty() {
            let name = "response.function_call_arguments.delta";
            self.item_event(name, index, None, out, |body| body.put("delta", "{}"));
        }
        let name = "response.function_call_arguments.done";
        self.item_event(name, index, None, out, |body| {
            body.put("name", tool);
            body.put("arguments", filled(arguments));
        });
    }
}

impl Encoder for ResponsesEncoder {
    fn push(&mut self, event: &Event, out: &mut BytesMut) {
        if self.has_failed {
            return;
        }
        match event {
            Event::Start { id, model } => {
                self.id = reply_id(id, &self.options);
                self.model.clone_from(model);
                self.response("response.created", out);
                self.response("response.in_progress", out);
            }
            Event::BlockStart { index, block } => self.start_block(*index, block, out),
            Event::Delta { index, delta } => self.delta(*index, delta, out),
            Event::BlockEnd { index } => self.end_block(*index, out),
            Event::Usage(usage) => self.usage = *usage,
            Event::Finish(finish) => self.finish = Some(finish.clone()),
            Event::Choice(_) | Event::Lost(_) => {}
            Event::Ping => out.extend_from_slice(b": ping\n\n"),
            Event::Error(_) => self.has_failed = true,
        }
    }

    fn finish(&mut self, out: &mut BytesMut) {
        // The usage may follow the finish, and belongs into the same event.
        let Some(finish) = self.finish.as_ref().filter(|_| !self.has_failed) else {
            return;
        };
        let name = match incomplete_reason(finish) {
            None => "response.completed",
            Some(_) => "response.incomplete",
        };
        self.response(name, out);
        self.finish = None;
    }
}
