//! The stream of the Messages API: the encoder. Blocks may not interleave here, so that a tool call that
//! starts while another one is open waits for its end (traps T35).

use std::collections::VecDeque;

use bytes::BytesMut;
use tollgate_base::Usage;

use super::{
    response::{finish_names, put_citation},
    wire::UsageOut,
};
use crate::{
    EncodeOptions, Encoder, ids,
    ir::{BlockStart, Delta, Event, FinishReason, Issuer},
    json::Object,
};

/// Writes Messages events. An error is not written here: who sends the stream ends it with one, and then
/// nothing follows.
#[derive(Debug)]
pub(crate) struct MessagesEncoder {
    options: EncodeOptions,
    /// The block that is being written: the number it has in the events.
    open: Option<usize>,
    waiting: VecDeque<Waiting>,
    late: Option<Late>,
    blocks: usize,
    usage: Usage,
    finish: Option<FinishReason>,
    has_failed: bool,
    scratch: Vec<u8>,
}

/// Reasoning that began after an answer. A seal without words may be all of it: before a call it is told, but as
/// an answer's last block it is left out, because clients take the last block for the answer.
#[derive(Debug)]
struct Late {
    index: usize,
    seal: Option<Delta>,
}

/// A block that started while another one was open.
#[derive(Debug)]
struct Waiting {
    index: usize,
    block: BlockStart,
    deltas: Vec<Delta>,
    has_ended: bool,
}

impl MessagesEncoder {
    pub(crate) fn new(options: EncodeOptions) -> Self {
        Self {
            options,
            open: None,
            waiting: VecDeque::new(),
            late: None,
            blocks: 0,
            usage: Usage::default(),
            finish: None,
            has_failed: false,
            scratch: Vec::with_capacity(512),
        }
    }

    fn event(&mut self, name: &str, out: &mut BytesMut, rest: impl FnOnce(&mut Object<'_>)) {
        self.scratch.clear();
        {
            let mut body = Object::new(&mut self.scratch);
            body.put("type", name);
            rest(&mut body);
        }
        out.extend_from_slice(b"event: ");
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(b"\ndata: ");
        out.extend_from_slice(&self.scratch);
        out.extend_from_slice(b"\n\n");
    }

    fn start(&mut self, id: &str, model: &str, out: &mut BytesMut) {
        let id = ids::reply_id("msg_", id, &self.options.id_suffix);
        let usage = self.usage;
        self.event("message_start", out, |body| {
            let mut message = body.object("message");
            message.put("id", &id);
            message.put("type", "message");
            message.put("role", "assistant");
            message.put("model", model);
            message.list("content");
            message.put("stop_reason", &());
            message.put("stop_sequence", &());
            // Corrected by `message_delta`: some providers say what went in only at the end.
            message.put("usage", &UsageOut::new(&usage));
        });
    }

    fn start_block(&mut self, index: usize, block: &BlockStart, out: &mut BytesMut) {
        self.open = Some(index);
        let number = self.blocks;
        self.blocks += 1;
        let name = match block {
            BlockStart::ToolCall { name, .. } => self.options.names.original(name).to_owned(),
            _ => String::new(),
        };
        self.event("content_block_start", out, |body| {
            body.put("index", &number);
            let mut content = body.object("content_block");
            match block {
                BlockStart::Text | BlockStart::Refusal => {
                    content.put("type", "text");
                    content.put("text", "");
                }
                BlockStart::Reasoning => {
                    content.put("type", "thinking");
                    content.put("thinking", "");
                    content.put("signature", "");
                }
                BlockStart::RedactedReasoning { data } => {
                    content.put("type", "redacted_thinking");
                    content.put("data", data);
                }
                BlockStart::ToolCall { id, .. } => {
                    content.put("type", "tool_use");
                    content.put("id", &*ids::call_id_of_word_characters(id));
                    content.put("name", &name);
                    content.object("input");
                }
            }
        });
    }

    fn is_late(&self, index: usize) -> bool {
        self.late.as_ref().is_some_and(|late| late.index == index)
    }

    /// Tells the seal that was held back: something follows it.
    fn tell_late(&mut self, out: &mut BytesMut) {
        let Some(late) = self.late.take() else { return };
        self.start_block(late.index, &BlockStart::Reasoning, out);
        if let Some(seal) = &late.seal {
            self.delta(seal, out);
        }
        self.stop_block(out);
    }

    fn delta(&mut self, delta: &Delta, out: &mut BytesMut) {
        let number = self.blocks.saturating_sub(1);
        self.event("content_block_delta", out, |body| {
            body.put("index", &number);
            let mut inner = body.object("delta");
            let seal;
            let (kind, field, text) = match delta {
                Delta::Text(text) | Delta::Refusal(text) => ("text_delta", "text", text),
                Delta::Reasoning(text) => ("thinking_delta", "thinking", text),
                Delta::Signature(signature) => {
                    seal = signature.written_for(Issuer::Anthropic).into_owned();
                    ("signature_delta", "signature", &seal)
                }
                Delta::Citation(citation) => {
                    inner.put("type", "citations_delta");
                    put_citation(&mut inner.object("citation"), citation);
                    return;
                }
                Delta::Arguments(text) => ("input_json_delta", "partial_json", text),
                Delta::Logprobs(_) => return,
            };
            inner.put("type", kind);
            inner.put(field, text);
        });
    }

    /// Ends the open block, and writes those that waited for it.
    fn end_block(&mut self, out: &mut BytesMut) {
        self.stop_block(out);
        while let Some(next) = self.waiting.pop_front() {
            self.start_block(next.index, &next.block, out);
            for delta in &next.deltas {
                self.delta(delta, out);
            }
            if !next.has_ended {
                return;
            }
            self.stop_block(out);
        }
    }

    fn stop_block(&mut self, out: &mut BytesMut) {
        self.open = None;
        let number = self.blocks.saturating_sub(1);
        self.event("content_block_stop", out, |body| body.put("index", &number));
    }
}

impl Encoder for MessagesEncoder {
    fn push(&mut self, event: &Event, out: &mut BytesMut) {
        if self.has_failed {
            return;
        }
        match event {
            Event::Start { id, model } => self.start(id, model, out),
            // Nobody who speaks this dialect can ask for more answers, or for log-probabilities.
            Event::Choice(_)
            | Event::Lost(_)
            | Event::Delta {
                delta: Delta::Logprobs(_),
                ..
            } => {}
            Event::BlockStart {
                index,
                block: BlockStart::Reasoning,
            } if self.open.is_none() && self.blocks > 0 => {
                self.tell_late(out);
                self.late = Some(Late {
                    index: *index,
                    seal: None,
                });
            }
            Event::Delta { index, delta } if self.is_late(*index) => {
                if let (Some(late), Delta::Signature(_)) = (&mut self.late, delta) {
                    late.seal = Some(delta.clone());
                } else {
                    self.late = None;
                    self.start_block(*index, &BlockStart::Reasoning, out);
                    self.delta(delta, out);
                }
            }
            Event::BlockEnd { index } if self.is_late(*index) => {}
            Event::BlockStart { index, block } => {
                self.tell_late(out);
                if self.open.is_some() {
                    let (index, block) = (*index, block.clone());
                    self.waiting.push_back(Waiting {
                        index,
                        block,
                        deltas: Vec::new(),
                        has_ended: false,
                    });
                } else {
                    self.start_block(*index, block, out);
                }
            }
            Event::Delta { index, delta } if self.open == Some(*index) => self.delta(delta, out),
            Event::Delta { index, delta } => {
                if let Some(waiting) = self
                    .waiting
                    .iter_mut()
                    .find(|waiting| waiting.index == *index)
                {
                    match (waiting.deltas.last_mut(), delta) {
                        (Some(Delta::Arguments(text)), Delta::Arguments(more)) => {
                            text.push_str(more);
                        }
                        _ => waiting.deltas.push(delta.clone()),
                    }
                }
            }
            Event::BlockEnd { index } if self.open == Some(*index) => self.end_block(out),
            Event::BlockEnd { index } => {
                if let Some(waiting) = self
                    .waiting
                    .iter_mut()
                    .find(|waiting| waiting.index == *index)
                {
                    waiting.has_ended = true;
                }
            }
            Event::Usage(usage) => self.usage = *usage,
            Event::Finish(finish) => self.finish = Some(finish.clone()),
            Event::Ping => self.event("ping", out, |_| {}),
            Event::Error(_) => self.has_failed = true,
        }
    }

    fn finish(&mut self, out: &mut BytesMut) {
        // The usage may follow the finish, and belongs into the same event.
        let Some(finish) = self.finish.take().filter(|_| !self.has_failed) else {
            return;
        };
        let usage = self.usage;
        self.event("message_delta", out, |body| {
            let (reason, sequence) = finish_names(&finish);
            let mut delta = body.object("delta");
            delta.put("stop_reason", reason);
            delta.put("stop_sequence", &sequence);
            drop(delta);
            body.put("usage", &UsageOut::new(&usage));
        });
        self.event("message_stop", out, |_| {});
    }
}
