//! Legacy replies, whole and streamed. They hold text alone: reasoning and tool calls have no place here, and
//! no request of this dialect asks for them.

use bytes::BytesMut;
use tollgate_base::{Provenance, Usage};

use crate::{
    EncodeOptions, Encoder, ids,
    ir::{Block, Delta, Event, FinishReason, Response},
    json::Object,
    openai_chat::wire::UsageOut,
};

const PREFIX: &str = "cmpl-";

pub(crate) fn render_response(response: &Response, options: &EncodeOptions) -> Vec<u8> {
    let text: String = response
        .blocks
        .iter()
        .filter_map(|block| match block {
            Block::Text { text, .. } | Block::Refusal(text) => Some(text.as_str()),
            _ => None,
        })
        .collect();
    let mut out = Vec::with_capacity(256 + text.len());
    let mut body = Object::new(&mut out);
    put_head(
        &mut body,
        &ids::reply_id(PREFIX, &response.id, &options.id_suffix),
        options.created,
        &response.model,
    );
    put_choice(&mut body, &text, Some(&response.finish));
    if response.usage.provenance != Provenance::Unknown {
        body.put("usage", &UsageOut::new(&response.usage));
    }
    drop(body);
    out
}

fn put_head(body: &mut Object<'_>, id: &str, created: u64, model: &str) {
    body.put("id", id);
    body.put("object", "text_completion");
    body.put("created", &created);
    body.put("model", model);
}

fn put_choice(body: &mut Object<'_>, text: &str, finish: Option<&FinishReason>) {
    let finish = finish.map(|finish| match finish {
        FinishReason::MaxTokens | FinishReason::ContextFull => "length",
        FinishReason::Refusal => "content_filter",
        FinishReason::EndOfTurn
        | FinishReason::StopSequence(_)
        | FinishReason::ToolCalls
        | FinishReason::Paused => "stop",
    });
    let mut choices = body.list("choices");
    let mut choice = choices.object();
    choice.put("text", text);
    choice.put("index", &0);
    choice.put("logprobs", &());
    choice.put("finish_reason", &finish);
}

/// Writes `text_completion` objects as a stream.
#[derive(Debug)]
pub(crate) struct CompletionEncoder {
    options: EncodeOptions,
    id: String,
    model: String,
    usage: Option<Usage>,
    has_finished: bool,
    has_failed: bool,
}

impl CompletionEncoder {
    pub(crate) fn new(options: EncodeOptions) -> Self {
        Self {
            options,
            id: String::new(),
            model: String::new(),
            usage: None,
            has_finished: false,
            has_failed: false,
        }
    }

    fn frame(&self, out: &mut BytesMut, rest: impl FnOnce(&mut Object<'_>)) {
        let mut text = Vec::with_capacity(256);
        {
            let mut body = Object::new(&mut text);
            put_head(&mut body, &self.id, self.options.created, &self.model);
            rest(&mut body);
        }
        out.extend_from_slice(b"data: ");
        out.extend_from_slice(&text);
        out.extend_from_slice(b"\n\n");
    }
}

impl Encoder for CompletionEncoder {
    fn push(&mut self, event: &Event, out: &mut BytesMut) {
        if self.has_failed {
            return;
        }
        match event {
            Event::Start { id, model } => {
                self.id = ids::reply_id(PREFIX, id, &self.options.id_suffix);
                self.model.clone_from(model);
            }
            Event::Delta {
                delta: Delta::Text(text) | Delta::Refusal(text),
                ..
            } => {
                self.frame(out, |body| put_choice(body, text, None));
            }
            Event::Usage(usage) => self.usage = Some(*usage),
            Event::Finish(finish) => {
                self.has_finished = true;
                self.frame(out, |body| put_choice(body, "", Some(finish)));
            }
            Event::Ping => out.extend_from_slice(b": ping\n\n"),
            Event::Error(_) => self.has_failed = true,
            Event::BlockStart { .. }
            | Event::Delta { .. }
            | Event::BlockEnd { .. }
            | Event::Lost(_) => {}
        }
    }

    fn finish(&mut self, out: &mut BytesMut) {
        if self.has_failed || !self.has_finished {
            return;
        }
        if let Some(usage) = self.usage.filter(|_| self.options.include_usage) {
            self.frame(out, |body| {
                body.list("choices");
                body.put("usage", &UsageOut::new(&usage));
            });
        }
        out.extend_from_slice(b"data: [DONE]\n\n");
    }
}
