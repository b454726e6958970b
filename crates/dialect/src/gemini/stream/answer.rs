//! One candidate of a stream: its texts, its thoughts, its calls and its end.

use tollgate_base::{Error, Result};

use crate::{
    gemini::{
        finish_reason, logprobs,
        sources::Sources,
        wire::{Candidate, FunctionCall, Part},
    },
    ids,
    ir::{
        self, BlockStart, Event, FinishReason, Issuer, Signature, TokenLogprob, changed, dropped,
    },
};

/// Tool calls in one reply; a provider that sends more is broken.
const CALLS_LIMIT: usize = 1_024;

/// What all candidates of a reply share.
#[derive(Debug, Default)]
pub(super) struct Shared {
    pub(super) reply_id: String,
    calls: usize,
    /// Kinds of parts that were told to be lost.
    lost: Vec<&'static str>,
}

/// A candidate under way.
#[derive(Debug, Default)]
pub(super) struct Answer {
    /// Its number.
    index: usize,
    blocks: usize,
    open: Option<(Prose, usize)>,
    calls: usize,
    has_content: bool,
    /// The end that was said. Some models say it with every piece, so that it is told at the end.
    pub(super) finish: Option<FinishReason>,
    sources: Sources,
    /// Tokens of the text that comes next.
    tokens: Vec<TokenLogprob>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Prose {
    Text,
    Reasoning,
}

// === impl Answer ===

impl Answer {
    /// Reads a piece of the candidate with this number.
    pub(super) fn read(
        &mut self,
        index: usize,
        candidate: &Candidate<'_>,
        shared: &mut Shared,
        out: &mut Vec<Event>,
    ) -> Result<()> {
        self.index = index;
        // Before the parts: one of them may close the text that the sources are of.
        self.sources.read(
            candidate.grounding_metadata.as_ref(),
            candidate.citation_metadata.as_ref(),
        );
        self.read_tokens(candidate, shared, out);
        let content = candidate.content.as_ref();
        for part in content
            .and_then(|content| content.parts.as_ref())
            .into_iter()
            .flatten()
        {
            self.part(part, shared, out)?;
        }
        if candidate
            .grounding_metadata
            .as_ref()
            .is_some_and(|metadata| metadata.search_entry_point.is_some())
        {
            self.lose("groundingMetadata.searchEntryPoint", shared, out);
        }
        let Some(name) = candidate.finish_reason.filled() else {
            return Ok(());
        };
        let finish = finish_reason(name, self.calls > 0, self.has_content)?;
        if finish.is_none() {
            out.push(Event::Lost(changed(
                format!("candidates[{}].finishReason", self.index),
                format!("The model stopped for a reason of its own: {name}."),
            )));
        }
        self.finish = finish.or(Some(FinishReason::EndOfTurn));
        Ok(())
    }

    /// Tokens belong to the text that comes with them. Those of thoughts and calls have no place in a reply.
    fn read_tokens(
        &mut self,
        candidate: &Candidate<'_>,
        shared: &mut Shared,
        out: &mut Vec<Event>,
    ) {
        let Some(raw) = candidate.logprobs_result else {
            return;
        };
        let parts = candidate.content.iter().flat_map(|content| &content.parts);
        let mut parts = parts.flatten().peekable();
        let is_of_text = parts.peek().is_none()
            || parts.any(|part| part.thought != Some(true) && part.text.as_deref().is_some());
        match logprobs::read(raw) {
            Some(tokens) if is_of_text || tokens.is_empty() => self.tokens.extend(tokens),
            _ => self.lose("logprobsResult", shared, out),
        }
    }

    fn tell_tokens(&mut self, index: usize, out: &mut Vec<Event>) {
        if !self.tokens.is_empty() {
            let delta = ir::Delta::Logprobs(std::mem::take(&mut self.tokens));
            out.push(Event::Delta { index, delta });
        }
    }

    fn part(&mut self, part: &Part<'_>, shared: &mut Shared, out: &mut Vec<Event>) -> Result<()> {
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
            self.call(call, shared, out)?;
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
            self.lose(kind, shared, out);
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
    fn call(
        &mut self,
        call: &FunctionCall<'_>,
        shared: &mut Shared,
        out: &mut Vec<Event>,
    ) -> Result<()> {
        let Some(name) = call.name.filled() else {
            let message = "The provider sent a tool call without a name.";
            return Err(Error::upstream_invalid(message));
        };
        if shared.calls == CALLS_LIMIT {
            let message = "The provider sent more than 1024 tool calls in one reply.";
            return Err(Error::upstream_invalid(message));
        }
        self.close(out);
        let id = call.id.filled().map_or_else(
            || {
                ids::made_call_id(
                    &shared.reply_id,
                    name,
                    self.calls + self.index * CALLS_LIMIT,
                )
            },
            str::to_owned,
        );
        let index = self.next_block();
        self.calls += 1;
        shared.calls += 1;
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

    /// Ends the answer, but for its finish, which it returns: `None` when none was said.
    pub(super) fn end(
        &mut self,
        shared: &mut Shared,
        out: &mut Vec<Event>,
    ) -> Option<FinishReason> {
        let finish = self.finish.take()?;
        self.close(out);
        if !self.tokens.is_empty() {
            self.lose("logprobsResult", shared, out);
        }
        if !self.sources.take().is_empty() {
            self.lose("groundingMetadata.groundingSupports", shared, out);
        }
        // The end may have been said before the call was.
        Some(match finish {
            FinishReason::EndOfTurn if self.calls > 0 => FinishReason::ToolCalls,
            finish => finish,
        })
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

    fn lose(&self, kind: &'static str, shared: &mut Shared, out: &mut Vec<Event>) {
        if shared.lost.contains(&kind) {
            return;
        }
        shared.lost.push(kind);
        let field = if kind.contains('.') || kind == "logprobsResult" {
            format!("candidates[{}].{kind}", self.index)
        } else {
            format!("candidates[{}].content.parts.{kind}", self.index)
        };
        out.push(Event::Lost(dropped(
            field,
            "No other dialect has a place for this in a reply.",
        )));
    }
}
