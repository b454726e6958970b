//! The stream of the Messages API: the decoder. Blocks come one after the other, each with a start, deltas
//! and a stop; `message_stop` ends a complete reply.

use tollgate_base::{Error, Provenance};

use super::{
    finish_reason, parse_error,
    wire::{Block, Delta, StreamEvent, WireCitation, WireUsage},
};
use crate::{
    Decoder,
    frame::Frame,
    ir::{self, BlockStart, Event, FinishReason},
};

/// Reads a stream of Messages events. Blocks of kinds that no other dialect has (server tools) are not told.
#[derive(Debug, Default)]
pub(crate) struct MessagesDecoder {
    state: State,
    blocks: usize,
    open: Option<OpenBlock>,
    has_calls: bool,
    usage: WireUsage,
    has_usage: bool,
    finish: Option<FinishReason>,
}

/// How far the stream is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Waiting,
    Live,
    Ended,
    Failed,
}

#[derive(Debug)]
struct OpenBlock {
    /// The provider's number of the block.
    wire: Option<u64>,
    /// Ours; `None` for a block that is not told.
    index: Option<usize>,
    kind: Kind,
    /// A tool's input that came whole with the start; told at the end unless pieces came.
    input: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Text,
    Thinking,
    Tool,
    Other,
}

// === impl MessagesDecoder ===

impl Decoder for MessagesDecoder {
    fn push(&mut self, frame: &Frame, out: &mut Vec<Event>) {
        if matches!(self.state, State::Ended | State::Failed) {
            return;
        }
        let Some(data) = &frame.data else {
            if frame.raw.starts_with(b":") {
                out.push(Event::Ping);
            }
            return;
        };
        let Ok(event) = serde_json::from_slice::<StreamEvent<'_>>(data) else {
            let message = "The provider sent an event that is none of a Messages stream.";
            return self.fail(Error::upstream_invalid(message), out);
        };
        if event.kind.as_deref() == Some("error") || frame.event.as_deref() == Some(b"error") {
            return self.fail(parse_error(200, None, data), out);
        }
        if let Err(error) = self.read(event, out) {
            self.fail(error, out);
        }
    }

    fn finish(&mut self, out: &mut Vec<Event>) {
        if !matches!(self.state, State::Ended | State::Failed) {
            let message = "The provider closed the stream before the reply was complete.";
            self.fail(Error::upstream_invalid(message), out);
        }
    }

    fn is_complete(&self) -> bool {
        self.state == State::Ended
    }

    fn is_usage_only(&self) -> bool {
        // This dialect reports usage unasked.
        false
    }
}

impl MessagesDecoder {
    fn read(&mut self, event: StreamEvent<'_>, out: &mut Vec<Event>) -> Result<(), Error> {
        let Some(kind) = event.kind.as_deref() else {
            return Ok(());
        };
        if kind == "ping" {
            out.push(Event::Ping);
            return Ok(());
        }
        if kind == "message_start" {
            return self.start(event, out);
        }
        let is_known = matches!(
            kind,
            "content_block_start"
                | "content_block_delta"
                | "content_block_stop"
                | "message_delta"
                | "message_stop"
        );
        if is_known && self.state == State::Waiting {
            return Err(Error::upstream_invalid(
                "The provider's stream does not begin with its start.",
            ));
        }
        match kind {
            "content_block_start" => {
                self.close(out);
                self.open(event.index.0, &event.content_block.unwrap_or_default(), out);
            }
            "content_block_delta" => {
                self.delta(event.index.0, &event.delta.unwrap_or_default(), out)?;
            }
            "content_block_stop" => self.close(out),
            "message_delta" => {
                self.message_delta(&event.delta.unwrap_or_default(), event.usage, out);
            }
            "message_stop" => self.stop(out),
            // New events may come at any time, and must be ignored.
            _ => {}
        }
        Ok(())
    }

    fn start(&mut self, event: StreamEvent<'_>, out: &mut Vec<Event>) -> Result<(), Error> {
        if self.state == State::Live {
            return Err(Error::upstream_invalid(
                "The provider's stream starts twice.",
            ));
        }
        self.state = State::Live;
        let message = event.message;
        out.push(Event::Start {
            id: message
                .as_ref()
                .map(|message| message.id.to_text())
                .unwrap_or_default(),
            model: message
                .as_ref()
                .map(|message| message.model.to_text())
                .unwrap_or_default(),
        });
        if let Some(usage) = message.and_then(|message| message.usage) {
            self.usage = usage;
            self.has_usage = true;
            out.push(Event::Usage(usage.to_usage(Provenance::Partial)));
        }
        Ok(())
    }

    fn open(&mut self, wire: Option<u64>, block: &Block<'_>, out: &mut Vec<Event>) {
        let mut input = None;
        let (kind, start) = match block.kind.as_deref() {
            Some("text") => (Kind::Text, Some(BlockStart::Text)),
            Some("thinking") => (Kind::Thinking, Some(BlockStart::Reasoning)),
            Some("redacted_thinking") => (
                Kind::Other,
                Some(BlockStart::RedactedReasoning {
                    data: block.data.to_text(),
                }),
            ),
            Some("tool_use") => {
                self.has_calls = true;
                input = block
                    .input
                    .map(|input| input.get().to_owned())
                    .filter(|text| text.starts_with('{'));
                let (id, name) = (block.id.to_text(), block.name.to_text());
                (Kind::Tool, Some(BlockStart::ToolCall { id, name }))
            }
            _ => (Kind::Other, None),
        };
        let index = start.map(|block| {
            let index = self.blocks;
            self.blocks += 1;
            out.push(Event::BlockStart { index, block });
            index
        });
        self.open = Some(OpenBlock {
            wire,
            index,
            kind,
            input,
        });
        // A start is empty as a rule, but nothing forbids it to carry the beginning.
        if let Some(index) = index {
            let mut tell = |delta| out.push(Event::Delta { index, delta });
            match kind {
                Kind::Text => block
                    .text
                    .filled()
                    .into_iter()
                    .for_each(|text| tell(ir::Delta::Text(text.to_owned()))),
                Kind::Thinking => {
                    block
                        .thinking
                        .filled()
                        .into_iter()
                        .for_each(|text| tell(ir::Delta::Reasoning(text.to_owned())));
                    block
                        .signature
                        .filled()
                        .into_iter()
                        .for_each(|text| tell(ir::Delta::Signature(signature(text))));
                }
                Kind::Tool | Kind::Other => {}
            }
        }
    }

    fn delta(
        &mut self,
        wire: Option<u64>,
        delta: &Delta<'_>,
        out: &mut Vec<Event>,
    ) -> Result<(), Error> {
        let misplaced =
            || Error::upstream_invalid("The provider sent a delta that belongs to no open block.");
        let open = self
            .open
            .as_mut()
            .filter(|open| open.wire == wire)
            .ok_or_else(misplaced)?;
        let Some(index) = open.index else {
            return Ok(());
        };
        let (kind, delta) = match delta.kind.as_deref() {
            Some("text_delta") => (
                Kind::Text,
                delta
                    .text
                    .filled()
                    .map(|text| ir::Delta::Text(text.to_owned())),
            ),
            Some("thinking_delta") => (
                Kind::Thinking,
                delta
                    .thinking
                    .filled()
                    .map(|text| ir::Delta::Reasoning(text.to_owned())),
            ),
            Some("signature_delta") => (
                Kind::Thinking,
                delta
                    .signature
                    .filled()
                    .map(|text| ir::Delta::Signature(signature(text))),
            ),
            Some("citations_delta") => (
                Kind::Text,
                delta
                    .citation
                    .as_ref()
                    .and_then(WireCitation::to_citation)
                    .map(ir::Delta::Citation),
            ),
            Some("input_json_delta") => (
                Kind::Tool,
                delta
                    .partial_json
                    .filled()
                    .map(|text| ir::Delta::Arguments(text.to_owned())),
            ),
            _ => return Ok(()),
        };
        if kind != open.kind {
            return Err(misplaced());
        }
        if let Some(delta) = delta {
            open.input = None;
            out.push(Event::Delta { index, delta });
        }
        Ok(())
    }

    fn close(&mut self, out: &mut Vec<Event>) {
        let Some(open) = self.open.take() else { return };
        let Some(index) = open.index else { return };
        if let Some(input) = open.input.filter(|input| input.trim_ascii() != "{}") {
            out.push(Event::Delta {
                index,
                delta: ir::Delta::Arguments(input),
            });
        }
        out.push(Event::BlockEnd { index });
    }

    fn message_delta(&mut self, delta: &Delta<'_>, usage: Option<WireUsage>, out: &mut Vec<Event>) {
        self.close(out);
        if let Some(usage) = usage {
            self.usage = self.usage.updated(usage);
            self.has_usage = true;
        }
        if let Some(name) = delta.stop_reason.filled() {
            self.finish = Some(finish_reason(
                name,
                delta.stop_sequence.as_deref(),
                self.has_calls,
            ));
            let explanation = delta
                .stop_details
                .as_ref()
                .and_then(|details| details.explanation.filled());
            if let (Some(FinishReason::Refusal), Some(text)) = (&self.finish, explanation) {
                let index = self.blocks;
                self.blocks += 1;
                out.push(Event::BlockStart {
                    index,
                    block: BlockStart::Refusal,
                });
                out.push(Event::Delta {
                    index,
                    delta: ir::Delta::Refusal(text.to_owned()),
                });
                out.push(Event::BlockEnd { index });
            }
        }
        if self.has_usage {
            out.push(Event::Usage(self.usage.to_usage(Provenance::Partial)));
        }
    }

    fn stop(&mut self, out: &mut Vec<Event>) {
        self.close(out);
        self.state = State::Ended;
        if self.has_usage {
            out.push(Event::Usage(self.usage.to_usage(Provenance::Reported)));
        }
        let seen = if self.has_calls {
            FinishReason::ToolCalls
        } else {
            FinishReason::EndOfTurn
        };
        out.push(Event::Finish(self.finish.take().unwrap_or(seen)));
    }

    fn fail(&mut self, error: Error, out: &mut Vec<Event>) {
        self.state = State::Failed;
        out.push(Event::Error(error));
    }
}

fn signature(seal: &str) -> ir::Signature {
    ir::Signature::new(ir::Issuer::Anthropic, seal)
}
