//! The stream of streamGenerateContent: the decoder. Every frame is a whole reply with a piece of the text;
//! calls come whole; nothing but the end of the stream says that it is over, and only after a `finishReason`
//! was it a complete one.

use tollgate_base::{Error, Provenance, Usage};

use super::{
    finish_reason, logprobs, parse_error,
    sources::Sources,
    wire::{Candidate, FunctionCall, Part, Reply},
};
use crate::{
    Decoder,
    frame::Frame,
    ids,
    ir::{
        self, BlockStart, Event, FinishReason, Issuer, Signature, TokenLogprob, changed, dropped,
    },
};

/// Tool calls in one reply; a provider that sends more is broken.
const CALLS_LIMIT: usize = 1_024;

/// Reads a stream of replies. Of several candidates the first one is told.
#[derive(Debug, Default)]
pub(crate) struct GenerateDecoder {
    state: State,
    reply_id: String,
    blocks: usize,
    open: Option<(Prose, usize)>,
    calls: usize,
    has_content: bool,
    /// The end that was said. Some models say it with every piece, so that it is told at the end.
    finish: Option<FinishReason>,
    usage: Option<Usage>,
    sources: Sources,
    /// Tokens of the text that comes next.
    tokens: Vec<TokenLogprob>,
    /// Kinds of parts that were told to be lost.
    lost: Vec<&'static str>,
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

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Prose {
    Text,
    Reasoning,
}

// === impl GenerateDecoder ===

impl Decoder for GenerateDecoder {
    fn push(&mut self, frame: &Frame, out: &mut Vec<Event>) {
        if matches!(self.state, State::Ended | State::Failed) {
            return;
        }
        let Some(data) = &frame.data else {
            if frame.raw.starts_with(b":") {
                out.push(Event::Ping);
            } else if frame.raw.trim_ascii_start().starts_with(b"{") {
                // An error of the front end comes without the form of an event.
                self.fail(parse_error(200, None, &frame.raw), out);
            }
            return;
        };
        self.read(data, out);
    }

    fn finish(&mut self, out: &mut Vec<Event>) {
        if matches!(self.state, State::Ended | State::Failed) {
            return;
        }
        let Some(finish) = self.finish.take() else {
            let message = "The provider closed the stream before the reply was complete.";
            return self.fail(Error::upstream_invalid(message), out);
        };
        self.close(out);
        if !self.tokens.is_empty() {
            self.lose("logprobsResult", out);
        }
        if !self.sources.take().is_empty() {
            self.lose("groundingMetadata.groundingSupports", out);
        }
        if let Some(usage) = self.usage {
            out.push(Event::Usage(Usage {
                provenance: Provenance::Reported,
                ..usage
            }));
        }
        // The end may have been said before the call was.
        let finish = match finish {
            FinishReason::EndOfTurn if self.calls > 0 => FinishReason::ToolCalls,
            finish => finish,
        };
        self.state = State::Ended;
        out.push(Event::Finish(finish));
    }

    fn is_complete(&self) -> bool {
        self.state == State::Ended
    }

    fn is_usage_only(&self) -> bool {
        // This dialect reports usage unasked.
        false
    }
}

impl GenerateDecoder {
    /// Reads one piece of a stream, or a whole reply.
    pub(super) fn read(&mut self, data: &[u8], out: &mut Vec<Event>) {
        // Errors may come in a list of one.
        if data.trim_ascii_start().starts_with(b"[") {
            return self.fail(parse_error(200, None, data), out);
        }
        let Ok(reply) = serde_json::from_slice::<Reply<'_>>(data) else {
            let message = "The provider sent an event that is no piece of a reply.";
            return self.fail(Error::upstream_invalid(message), out);
        };
        if reply.error.is_some() {
            return self.fail(parse_error(200, None, data), out);
        }
        if let Err(error) = self.read_reply(&reply, out) {
            self.fail(error, out);
        }
    }

    fn read_reply(&mut self, reply: &Reply<'_>, out: &mut Vec<Event>) -> Result<(), Error> {
        if self.state == State::Waiting {
            self.state = State::Live;
            self.reply_id = reply.response_id.to_text();
            out.push(Event::Start {
                id: self.reply_id.clone(),
                model: reply.model_version.to_text(),
            });
        }
        let candidates = reply.candidates.as_deref().unwrap_or_default();
        if let Some(candidate) = candidates
            .iter()
            .find(|candidate| candidate.index.0.unwrap_or(0) == 0)
        {
            self.candidate(candidate, out)?;
        }
        let blocked = reply
            .prompt_feedback
            .as_ref()
            .and_then(|feedback| feedback.block_reason.filled());
        if blocked.is_some() && candidates.is_empty() {
            self.finish = Some(FinishReason::Refusal);
        }
        if let Some(usage) = &reply.usage_metadata {
            let usage = usage.to_usage(Provenance::Partial);
            if self.usage != Some(usage) {
                self.usage = Some(usage);
                out.push(Event::Usage(usage));
            }
        }
        Ok(())
    }

    fn candidate(&mut self, candidate: &Candidate<'_>, out: &mut Vec<Event>) -> Result<(), Error> {
        // Before the parts: one of them may close the text that the sources are of.
        self.sources.read(
            candidate.grounding_metadata.as_ref(),
            candidate.citation_metadata.as_ref(),
        );
        self.read_tokens(candidate, out);
        let content = candidate.content.as_ref();
        for part in content
            .and_then(|content| content.parts.as_ref())
            .into_iter()
            .flatten()
        {
            self.part(part, out)?;
        }
        if candidate
            .grounding_metadata
            .as_ref()
            .is_some_and(|metadata| metadata.search_entry_point.is_some())
        {
            self.lose("groundingMetadata.searchEntryPoint", out);
        }
        let Some(name) = candidate.finish_reason.filled() else {
            return Ok(());
        };
        let finish = finish_reason(name, self.calls > 0, self.has_content)?;
        if finish.is_none() {
            out.push(Event::Lost(changed(
                "candidates[0].finishReason",
                format!("The model stopped for a reason of its own: {name}."),
            )));
        }
        self.finish = finish.or(Some(FinishReason::EndOfTurn));
        Ok(())
    }

    /// Tokens belong to the text that comes with them. Those of thoughts and calls have no place in a reply.
    fn read_tokens(&mut self, candidate: &Candidate<'_>, out: &mut Vec<Event>) {
        let Some(raw) = candidate.logprobs_result else {
            return;
        };
        let parts = candidate.content.iter().flat_map(|content| &content.parts);
        let mut parts = parts.flatten().peekable();
        let is_of_text = parts.peek().is_none()
            || parts.any(|part| part.thought != Some(true) && part.text.as_deref().is_some());
        match logprobs::read(raw) {
            Some(tokens) if is_of_text || tokens.is_empty() => self.tokens.extend(tokens),
            _ => self.lose("logprobsResult", out),
        }
    }

    fn tell_tokens(&mut self, index: usize, out: &mut Vec<Event>) {
        if !self.tokens.is_empty() {
            let delta = ir::Delta::Logprobs(std::mem::take(&mut self.tokens));
            out.push(Event::Delta { index, delta });
        }
    }

    fn part(&mut self, part: &Part<'_>, out: &mut Vec<Event>) -> Result<(), Error> {
        let is_thought = part.thought == Some(true);
        let seal = part
            .thought_signature
            .filled()
            .map(|seal| Signature::new(Issuer::Gemini, seal));
        if is_thought {
            if let Some(text) = part.text.filled() {
                self.tell(Prose::Reasoning, text, out);
            }
            if let Some(seal) = seal {
                self.seal(seal, out);
            }
            return Ok(());
        }
        if let Some(seal) = seal {
            self.seal(seal, out);
        }
        if let Some(text) = part.text.filled() {
            self.tell(Prose::Text, text, out);
        }
        if let Some(call) = &part.function_call {
            self.call(call, out)?;
        }
        let others = [
            ("inlineData", &part.inline_data),
            ("fileData", &part.file_data),
            ("executableCode", &part.executable_code),
            ("codeExecutionResult", &part.code_execution_result),
            ("toolCall", &part.tool_call),
            ("toolResponse", &part.tool_response),
        ];
        for (kind, _) in others.iter().filter(|(_, value)| value.is_some()) {
            self.has_content = true;
            self.lose(kind, out);
        }
        Ok(())
    }

    /// A seal stands on the reasoning right before what it belongs to, which is made up where there is none.
    fn seal(&mut self, seal: Signature, out: &mut Vec<Event>) {
        let index = match self.open {
            Some((Prose::Reasoning, index)) => index,
            _ => self.start(Prose::Reasoning, out),
        };
        let delta = ir::Delta::Signature(seal);
        out.push(Event::Delta { index, delta });
        self.close(out);
    }

    fn tell(&mut self, prose: Prose, text: &str, out: &mut Vec<Event>) {
        let index = match self.open {
            Some((open, index)) if open == prose => index,
            _ => self.start(prose, out),
        };
        let delta = match prose {
            Prose::Text => {
                self.has_content = true;
                self.tell_tokens(index, out);
                self.sources.said(text);
                ir::Delta::Text(text.to_owned())
            }
            Prose::Reasoning => ir::Delta::Reasoning(text.to_owned()),
        };
        out.push(Event::Delta { index, delta });
    }

    fn start(&mut self, prose: Prose, out: &mut Vec<Event>) -> usize {
        self.close(out);
        let index = self.next_block();
        let block = match prose {
            Prose::Text => {
                self.sources.begin_text();
                BlockStart::Text
            }
            Prose::Reasoning => BlockStart::Reasoning,
        };
        out.push(Event::BlockStart { index, block });
        self.open = Some((prose, index));
        index
    }

    /// Calls come whole. They are numbered over the whole stream: every piece counts its own from zero.
    fn call(&mut self, call: &FunctionCall<'_>, out: &mut Vec<Event>) -> Result<(), Error> {
        let Some(name) = call.name.filled() else {
            let message = "The provider sent a tool call without a name.";
            return Err(Error::upstream_invalid(message));
        };
        if self.calls == CALLS_LIMIT {
            let message = "The provider sent more than 1024 tool calls in one reply.";
            return Err(Error::upstream_invalid(message));
        }
        self.close(out);
        let id = call.id.filled().map_or_else(
            || ids::made_call_id(&self.reply_id, name, self.calls),
            str::to_owned,
        );
        let index = self.next_block();
        self.calls += 1;
        self.has_content = true;
        out.push(Event::BlockStart {
            index,
            block: BlockStart::ToolCall {
                id,
                name: name.to_owned(),
            },
        });
        let args = call.args.map(|args| args.get().trim_ascii());
        let arguments = args
            .filter(|args| args.starts_with('{'))
            .unwrap_or("{}")
            .to_owned();
        out.push(Event::Delta {
            index,
            delta: ir::Delta::Arguments(arguments),
        });
        out.push(Event::BlockEnd { index });
        Ok(())
    }

    fn next_block(&mut self) -> usize {
        self.blocks += 1;
        self.blocks - 1
    }

    /// Ends the open block. Sources are only known at the end of a text.
    fn close(&mut self, out: &mut Vec<Event>) {
        let Some((prose, index)) = self.open.take() else {
            return;
        };
        if prose == Prose::Text {
            self.tell_tokens(index, out);
            for citation in self.sources.take() {
                let delta = ir::Delta::Citation(citation);
                out.push(Event::Delta { index, delta });
            }
        }
        out.push(Event::BlockEnd { index });
    }

    fn lose(&mut self, kind: &'static str, out: &mut Vec<Event>) {
        if self.lost.contains(&kind) {
            return;
        }
        self.lost.push(kind);
        let field = if kind.contains('.') || kind == "logprobsResult" {
            format!("candidates[0].{kind}")
        } else {
            format!("candidates[0].content.parts.{kind}")
        };
        out.push(Event::Lost(dropped(
            field,
            "No other dialect has a place for this in a reply.",
        )));
    }

    fn fail(&mut self, error: Error, out: &mut Vec<Event>) {
        self.state = State::Failed;
        out.push(Event::Error(error));
    }
}
