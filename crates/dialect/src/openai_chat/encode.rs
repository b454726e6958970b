//! The stream of chat completions: the encoder.

use bytes::BytesMut;
use tollgate_base::Usage;

use super::{cite, logprobs, response::finish_name, wire::UsageOut};
use crate::{
    EncodeOptions, Encoder, ids,
    ir::{Answers, BlockStart, Citation, Delta, Event, TokenLogprob},
    json::{List, Object},
};

/// Writes `chat.completion.chunk` objects. An error is not written here: who sends the stream ends it with
/// one, and then nothing follows.
#[derive(Debug)]
pub(crate) struct ChatEncoder {
    options: EncodeOptions,
    id: String,
    model: String,
    answers: Answers<Answer>,
    usage: Option<Usage>,
    has_failed: bool,
    scratch: Vec<u8>,
}

/// What is known of an answer that is being written.
#[derive(Debug, Default)]
struct Answer {
    has_begun: bool,
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
    has_finished: bool,
}

impl ChatEncoder {
    pub(crate) fn new(options: EncodeOptions) -> Self {
        Self {
            options,
            id: String::new(),
            model: String::new(),
            answers: Answers::default(),
            usage: None,
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
        let index = self.answers.index();
        let tokens = std::mem::take(&mut self.answers.now.tokens);
        self.frame(out, |body| {
            {
                let mut choices = body.list("choices");
                let mut choice = choices.object();
                choice.put("index", &index);
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

    /// The first chunk of an answer names who speaks.
    fn begin(&mut self, out: &mut BytesMut) {
        if !std::mem::replace(&mut self.answers.now.has_begun, true) {
            self.chunk(out, None, |delta| {
                delta.put("role", "assistant");
                delta.put("content", "");
            });
        }
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
                self.answers.now.text_length += cite::length(text);
                self.chunk(out, None, |delta| delta.put("content", text));
            }
            Delta::Logprobs(tokens) => self.answers.now.tokens.extend_from_slice(tokens),
            Delta::Reasoning(text) => {
                self.chunk(out, None, |delta| delta.put("reasoning_content", text));
            }
            Delta::Refusal(text) => self.chunk(out, None, |delta| delta.put("refusal", text)),
            Delta::Arguments(text) => self.arguments(index, text, out),
            // A client of this dialect can only send back what stands on a call.
            Delta::Signature(signature) => {
                self.answers.now.seal = cite::call_seal(signature).map(str::to_owned);
            }
            // Told at the end of the block: until then its length is not known.
            Delta::Citation(citation) => self.answers.now.citations.push(citation.clone()),
        }
    }

    fn arguments(&mut self, index: usize, text: &str, out: &mut BytesMut) {
        let Some(Some((call, has_arguments))) = self.answers.now.blocks.get_mut(index) else {
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
        let citations = std::mem::take(&mut self.answers.now.citations);
        let (start, length) = (
            self.answers.now.text_start,
            self.answers.now.text_length - self.answers.now.text_start,
        );
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
        let call = self.answers.now.calls;
        self.answers.now.calls += 1;
        self.answers.now.blocks.push(Some((call, false)));
        let name = self.options.names.original(name).to_owned();
        let seal = self.answers.now.seal.take();
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
                self.begin(out);
            }
            Event::Choice(index) => {
                self.answers.turn(*index);
                self.begin(out);
            }
            Event::BlockStart {
                block: BlockStart::ToolCall { id, name },
                ..
            } => self.start_call(id, name, out),
            Event::BlockStart { .. } => {
                self.answers.now.seal = None;
                self.answers.now.text_start = self.answers.now.text_length;
                self.answers.now.blocks.push(None);
            }
            Event::Delta { index, delta } => self.delta(*index, delta, out),
            Event::BlockEnd { index } => {
                if let Some(Some((_, false))) = self.answers.now.blocks.get(*index) {
                    self.arguments(*index, "{}", out);
                }
                self.annotate(out);
                if !self.answers.now.tokens.is_empty() {
                    // They add nothing that could be told with them.
                    self.chunk(out, None, |delta| delta.put("content", ""));
                }
            }
            Event::Usage(usage) => self.usage = Some(*usage),
            Event::Finish(finish) => {
                self.answers.now.has_finished = true;
                self.chunk(out, Some(finish_name(finish)), |_| {});
            }
            Event::Lost(_) => {}
            Event::Ping => out.extend_from_slice(b": ping\n\n"),
            Event::Error(_) => self.has_failed = true,
        }
    }

    fn finish(&mut self, out: &mut BytesMut) {
        let has_finished = self.answers.all().all(|answer| answer.has_finished);
        if self.has_failed || !has_finished {
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
