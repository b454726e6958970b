//! The stream of chat completions: the encoder.

use bytes::BytesMut;
use tollgate_base::Usage;

use super::{cite, logprobs, response::finish_name, wire::UsageOut};
use crate::{
    EncodeOptions, Encoder, ids,
    ir::{BlockStart, Citation, Delta, Event, TokenLogprob},
    json::{List, Object},
};

/// Writes `chat.completion.chunk` objects. An error is not written here: who sends the stream ends it with
/// one, and then nothing follows.
#[derive(Debug)]
pub(crate) struct ChatEncoder {
    options: EncodeOptions,
    id: String,
    model: String,
    /// For each block the number of its tool call, and whether arguments were sent.
    blocks: Vec<Option<(usize, bool)>>,
    calls: usize,
    /// The seal of the reasoning that ended last, for the call that follows it.
    seal: Option<String>,
    citations: Vec<Citation>,
    /// Tokens of the text that is told next.
    tokens: Vec<TokenLogprob>,
    /// Characters of the text before the open block, and of all of it.
    text_start: u64,
    text_length: u64,
    usage: Option<Usage>,
    has_finished: bool,
    has_failed: bool,
    scratch: Vec<u8>,
}

impl ChatEncoder {
    pub(crate) fn new(options: EncodeOptions) -> Self {
        Self {
            options,
            id: String::new(),
            model: String::new(),
            blocks: Vec::new(),
            calls: 0,
            seal: None,
            citations: Vec::new(),
            tokens: Vec::new(),
            text_start: 0,
            text_length: 0,
            usage: None,
            has_finished: false,
            has_failed: false,
            scratch: Vec::with_capacity(512),
        }
    }

    /// Writes a chunk whose one choice has this delta.
    fn chunk(
        &mut self,
        out: &mut BytesMut,
        finish: Option<&str>,
        delta: impl FnOnce(&mut Object<'_>),
    ) {
        let says_usage = self.options.include_usage;
        let tokens = std::mem::take(&mut self.tokens);
        self.frame(out, |body| {
            {
                let mut choices = body.list("choices");
                let mut choice = choices.object();
                choice.put("index", &0);
                delta(&mut choice.object("delta"));
                logprobs::put(&mut choice, &tokens);
                choice.put("finish_reason", &finish);
            }
            if says_usage {
                // Every chunk but the last says that there is no usage yet.
                body.put("usage", &());
            }
        });
    }

    fn frame(&mut self, out: &mut BytesMut, rest: impl FnOnce(&mut Object<'_>)) {
        self.scratch.clear();
        {
            let mut body = Object::new(&mut self.scratch);
            body.put("id", &self.id);
            body.put("object", "chat.completion.chunk");
            body.put("created", &self.options.created);
            body.put("model", &self.model);
            rest(&mut body);
        }
        out.extend_from_slice(b"data: ");
        out.extend_from_slice(&self.scratch);
        out.extend_from_slice(b"\n\n");
    }

    fn delta(&mut self, index: usize, delta: &Delta, out: &mut BytesMut) {
        match delta {
            Delta::Text(text) => {
                self.text_length += cite::length(text);
                self.chunk(out, None, |delta| delta.put("content", text));
            }
            Delta::Logprobs(tokens) => self.tokens.extend_from_slice(tokens),
            Delta::Reasoning(text) => {
                self.chunk(out, None, |delta| delta.put("reasoning_content", text));
            }
            Delta::Refusal(text) => self.chunk(out, None, |delta| delta.put("refusal", text)),
            Delta::Arguments(text) => self.arguments(index, text, out),
            // A client of this dialect can only send back what stands on a call.
            Delta::Signature(signature) => {
                self.seal = cite::call_seal(signature).map(str::to_owned);
            }
            // Told at the end of the block: until then its length is not known.
            Delta::Citation(citation) => self.citations.push(citation.clone()),
        }
    }

    fn arguments(&mut self, index: usize, text: &str, out: &mut BytesMut) {
        let Some(Some((call, has_arguments))) = self.blocks.get_mut(index) else {
            return;
        };
        *has_arguments = true;
        let call = *call;
        self.chunk(out, None, |delta| {
            let mut calls = delta.list("tool_calls");
            let mut item = calls.object();
            item.put("index", &call);
            item.object("function").put("arguments", text);
        });
    }

    fn annotate(&mut self, out: &mut BytesMut) {
        let citations = std::mem::take(&mut self.citations);
        let (start, length) = (self.text_start, self.text_length - self.text_start);
        let mut annotations = Vec::new();
        {
            let mut list = List::new(&mut annotations);
            cite::put_annotations(&mut list, &citations, start, length);
        }
        if annotations != b"[]" {
            let text = String::from_utf8(annotations).unwrap_or_default();
            self.chunk(out, None, |delta| delta.raw("annotations", &text));
        }
    }

    fn start_call(&mut self, id: &str, name: &str, out: &mut BytesMut) {
        let call = self.calls;
        self.calls += 1;
        self.blocks.push(Some((call, false)));
        let name = self.options.names.original(name).to_owned();
        let seal = self.seal.take();
        self.chunk(out, None, |delta| {
            let mut calls = delta.list("tool_calls");
            let mut item = calls.object();
            item.put("index", &call);
            item.put("id", id);
            item.put("type", "function");
            cite::put_seal(&mut item, seal.as_deref());
            let mut function = item.object("function");
            function.put("name", &name);
            function.put("arguments", "");
        });
    }
}

impl Encoder for ChatEncoder {
    fn push(&mut self, event: &Event, out: &mut BytesMut) {
        if self.has_failed {
            return;
        }
        match event {
            Event::Start { id, model } => {
                self.id = ids::reply_id("chatcmpl-", id, &self.options.id_suffix);
                self.model.clone_from(model);
                self.chunk(out, None, |delta| {
                    delta.put("role", "assistant");
                    delta.put("content", "");
                });
            }
            Event::BlockStart {
                block: BlockStart::ToolCall { id, name },
                ..
            } => self.start_call(id, name, out),
            Event::BlockStart { .. } => {
                self.seal = None;
                self.text_start = self.text_length;
                self.blocks.push(None);
            }
            Event::Delta { index, delta } => self.delta(*index, delta, out),
            Event::BlockEnd { index } => {
                if let Some(Some((_, false))) = self.blocks.get(*index) {
                    self.arguments(*index, "{}", out);
                }
                self.annotate(out);
                if !self.tokens.is_empty() {
                    // They add nothing that could be told with them.
                    self.chunk(out, None, |delta| delta.put("content", ""));
                }
            }
            Event::Usage(usage) => self.usage = Some(*usage),
            Event::Finish(finish) => {
                self.has_finished = true;
                self.chunk(out, Some(finish_name(finish)), |_| {});
            }
            Event::Lost(_) => {}
            Event::Ping => out.extend_from_slice(b": ping\n\n"),
            Event::Error(_) => self.has_failed = true,
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
