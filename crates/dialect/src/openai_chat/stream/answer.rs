//! One answer of a streamed chat completion: its texts, its calls and its end.

use tollgate_base::Error;

use crate::{
    ids,
    ir::{self, BlockStart, Event, FinishReason, TokenLogprob, dropped},
    openai_chat::{
        cite, finish_reason, function_of_custom, logprobs,
        wire::{Annotation, Choice, Delta, FunctionFragment},
    },
};

/// Tool calls in one reply; a provider that sends more is broken (reliability E07).
pub(in crate::openai_chat) const CALLS_LIMIT: usize = 1_024;
const ARGUMENTS_LIMIT: usize = 16 * 1024 * 1024;

/// What all answers of a reply share.
#[derive(Debug, Default)]
pub(super) struct Shared {
    pub(super) reply_id: String,
    calls: usize,
    arguments_len: usize,
}

/// An answer under way.
#[derive(Debug, Default)]
pub(super) struct Answer {
    /// Its number.
    index: usize,
    blocks: usize,
    /// The text, reasoning or refusal block that is open.
    open: Option<(Prose, usize)>,
    calls: Vec<Call>,
    /// Prose that came while tool calls were open. It cannot stand between their pieces, so it follows them.
    held: Vec<(Prose, String)>,
    /// Characters of the text before the open block, and of all of it: sources are counted in them.
    text_start: u64,
    text_length: u64,
    /// Tokens of the text that comes next.
    tokens: Vec<TokenLogprob>,
    /// Tokens that no other dialect has a place for were told to be lost.
    has_lost_tokens: bool,
    has_refused: bool,
    pub(super) has_finished: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Prose {
    Text,
    Reasoning,
    Refusal,
}

#[derive(Debug, Default)]
struct Call {
    index: Option<i64>,
    id: String,
    name: String,
    /// The open block; `None` while the name is not known.
    block: Option<usize>,
    /// Arguments that came before the name.
    early: String,
}

/// The index of the one call of the deprecated `function_call` form.
const LEGACY_CALL: Option<i64> = Some(i64::MIN);

// === impl Answer ===

impl Answer {
    /// Reads a piece of the answer with this number.
    pub(super) fn read(
        &mut self,
        index: usize,
        choice: &Choice<'_>,
        shared: &mut Shared,
        out: &mut Vec<Event>,
    ) -> Result<(), Error> {
        self.index = index;
        if choice.logprobs.is_some() {
            self.read_logprobs(choice, out);
        }
        if let Some(text) = choice.text.filled() {
            self.prose(Prose::Text, text, out);
        }
        if let Some(delta) = &choice.delta {
            self.read_delta(delta, shared, out)?;
        }
        if let Some(reason) = choice.finish_reason.filled() {
            let stop = choice.stop_reason.as_deref();
            let finish = finish_reason(reason, stop, !self.calls.is_empty(), self.has_refused)?;
            self.close(finish, out)?;
        }
        Ok(())
    }

    fn read_delta(
        &mut self,
        delta: &Delta<'_>,
        shared: &mut Shared,
        out: &mut Vec<Event>,
    ) -> Result<(), Error> {
        // Some servers send the reasoning under both names at once.
        if let Some(text) = delta
            .reasoning_content
            .filled()
            .or(delta.reasoning.filled())
        {
            self.prose(Prose::Reasoning, text, out);
        }
        if !delta.content.thinking.is_empty() {
            self.prose(Prose::Reasoning, &delta.content.thinking, out);
        }
        if let Some(text) = delta
            .content
            .text
            .as_deref()
            .filter(|text| !text.is_empty())
        {
            self.prose(Prose::Text, text, out);
        }
        if let Some(text) = delta.refusal.filled() {
            self.has_refused = true;
            self.prose(Prose::Refusal, text, out);
        }
        for annotation in delta.annotations.iter().flatten() {
            self.cite(annotation, out);
        }
        for call in delta.tool_calls.iter().flatten() {
            let index = call.index.0;
            let id = call.id.filled();
            match (&call.function, &call.custom) {
                (Some(function), _) => self.call((index, id), function, shared, out)?,
                (None, Some(custom)) => {
                    let function = function_of_custom(custom);
                    self.call((index, id), &function, shared, out)?;
                }
                (None, None) => {
                    self.call((index, id), &FunctionFragment::default(), shared, out)?;
                }
            }
        }
        if let Some(function) = &delta.function_call {
            self.call((LEGACY_CALL, None), function, shared, out)?;
        }
        Ok(())
    }

    /// Tokens belong to the text that comes with them, or that they are the beginning of. Those of reasoning and
    /// of calls have no place in a reply.
    fn read_logprobs(&mut self, choice: &Choice<'_>, out: &mut Vec<Event>) {
        let said = logprobs::read(choice.logprobs);
        let is_elsewhere = choice.delta.as_ref().is_some_and(|delta| {
            let has_text = delta
                .content
                .text
                .as_deref()
                .is_some_and(|it| !it.is_empty());
            let has_reasoning = delta.reasoning_content.filled().is_some()
                || delta.reasoning.filled().is_some()
                || !delta.content.thinking.is_empty();
            let has_calls = delta.tool_calls.is_some() || delta.function_call.is_some();
            !has_text && (has_reasoning || has_calls)
        });
        if is_elsewhere {
            if !said.tokens.is_empty() {
                self.lose_tokens("Only those of the text are told.", out);
            }
        } else {
            self.tokens.extend(said.tokens);
        }
        if let Some(reason) = said.lost {
            self.lose_tokens(reason, out);
        }
    }

    fn lose_tokens(&mut self, reason: &str, out: &mut Vec<Event>) {
        if !std::mem::replace(&mut self.has_lost_tokens, true) {
            out.push(Event::Lost(dropped(
                format!("choices[{}].logprobs", self.index),
                reason,
            )));
        }
    }

    fn tell_tokens(&mut self, index: usize, out: &mut Vec<Event>) {
        if !self.tokens.is_empty() {
            let delta = ir::Delta::Logprobs(std::mem::take(&mut self.tokens));
            out.push(Event::Delta { index, delta });
        }
    }

    fn prose(&mut self, prose: Prose, text: &str, out: &mut Vec<Event>) {
        if !self.calls.is_empty() {
            match self.held.last_mut() {
                Some((last, held)) if *last == prose => held.push_str(text),
                _ => self.held.push((prose, text.to_owned())),
            }
            return;
        }
        self.tell(prose, text.to_owned(), out);
    }

    /// A source of the text that is open. One that comes later has no text to stand on any more.
    fn cite(&mut self, annotation: &Annotation<'_>, out: &mut Vec<Event>) {
        let Some(citation) = cite::citation(annotation, self.text_start) else {
            return;
        };
        match self.open {
            Some((Prose::Text, index)) => out.push(Event::Delta {
                index,
                delta: ir::Delta::Citation(citation),
            }),
            _ => out.push(Event::Lost(dropped(
                format!("choices[{}].delta.annotations", self.index),
                "The source came apart from the text it belongs to.",
            ))),
        }
    }

    fn tell(&mut self, prose: Prose, text: String, out: &mut Vec<Event>) {
        let index = match self.open {
            Some((open, index)) if open == prose => index,
            _ => {
                self.close_prose(out);
                if prose == Prose::Text {
                    self.text_start = self.text_length;
                }
                let index = self.next_block();
                out.push(Event::BlockStart {
                    index,
                    block: prose.block(),
                });
                self.open = Some((prose, index));
                index
            }
        };
        if prose == Prose::Text {
            self.text_length += cite::length(&text);
            self.tell_tokens(index, out);
        }
        out.push(Event::Delta {
            index,
            delta: prose.delta(text),
        });
    }

    fn call(
        &mut self,
        (index, id): (Option<i64>, Option<&str>),
        function: &FunctionFragment<'_>,
        shared: &mut Shared,
        out: &mut Vec<Event>,
    ) -> Result<(), Error> {
        let at = self.slot((index, id), function.name.filled(), shared)?;
        let name = function.name.filled().unwrap_or_default();
        let arguments = function.arguments.0.as_deref().unwrap_or_default();
        shared.arguments_len += arguments.len();
        if shared.arguments_len > ARGUMENTS_LIMIT {
            return Err(Error::upstream_invalid(
                "The provider sent tool calls larger than 16 MiB.",
            ));
        }
        if self.calls[at].block.is_none() {
            self.calls[at].early.push_str(arguments);
            if name.is_empty() {
                return Ok(());
            }
            self.close_prose(out);
            let block = self.next_block();
            let call = &mut self.calls[at];
            name.clone_into(&mut call.name);
            if call.id.is_empty() {
                call.id = ids::made_call_id(&shared.reply_id, name, at + self.index * CALLS_LIMIT);
            }
            call.block = Some(block);
            let start = BlockStart::ToolCall {
                id: call.id.clone(),
                name: call.name.clone(),
            };
            out.push(Event::BlockStart {
                index: block,
                block: start,
            });
            let early = std::mem::take(&mut call.early);
            if !early.is_empty() {
                out.push(Event::Delta {
                    index: block,
                    delta: ir::Delta::Arguments(early),
                });
            }
        } else if let (Some(index), false) = (self.calls[at].block, arguments.is_empty()) {
            out.push(Event::Delta {
                index,
                delta: ir::Delta::Arguments(arguments.to_owned()),
            });
        }
        Ok(())
    }

    /// Finds the call that a fragment belongs to. Servers number calls from 1, give all of them index 0, or
    /// give none (traps T26), so a new id opens a new call whatever the index says, and without an index
    /// a name does.
    fn slot(
        &mut self,
        (index, id): (Option<i64>, Option<&str>),
        name: Option<&str>,
        shared: &mut Shared,
    ) -> Result<usize, Error> {
        let known = match index {
            Some(_) => self.calls.iter().rposition(|call| call.index == index),
            None if id.is_none() && name.is_none() => self.calls.len().checked_sub(1),
            None => None,
        };
        let by_id = || {
            id.and_then(|id| {
                self.calls
                    .iter()
                    .position(|call| call.id == id && call.index == index)
            })
        };
        let is_same = |at: &usize| {
            let call = &self.calls[*at];
            let same_id = id.is_none_or(|id| call.id.is_empty() || call.id == id);
            let same_name =
                id.is_some() || name.is_none_or(|name| call.name.is_empty() || call.name == name);
            same_id && same_name
        };
        if let Some(at) = known.filter(is_same).or_else(by_id) {
            let call = &mut self.calls[at];
            if let (Some(id), true, None) = (id, call.id.is_empty(), call.block) {
                id.clone_into(&mut call.id);
            }
            return Ok(at);
        }
        if shared.calls == CALLS_LIMIT {
            return Err(Error::upstream_invalid(
                "The provider sent more than 1024 tool calls in one reply.",
            ));
        }
        shared.calls += 1;
        self.calls.push(Call {
            index,
            id: id.unwrap_or_default().to_owned(),
            ..Call::default()
        });
        Ok(self.calls.len() - 1)
    }

    fn next_block(&mut self) -> usize {
        self.blocks += 1;
        self.blocks - 1
    }

    fn close_prose(&mut self, out: &mut Vec<Event>) {
        if let Some((prose, index)) = self.open.take() {
            if prose == Prose::Text {
                self.tell_tokens(index, out);
            }
            out.push(Event::BlockEnd { index });
        }
    }

    /// The end of an answer for which the provider named no reason.
    pub(super) fn end(&mut self, out: &mut Vec<Event>) -> Result<(), Error> {
        let finish = if self.calls.is_empty() {
            FinishReason::EndOfTurn
        } else {
            FinishReason::ToolCalls
        };
        self.close(finish, out)
    }

    /// Ends every block and tells the finish.
    fn close(&mut self, finish: FinishReason, out: &mut Vec<Event>) -> Result<(), Error> {
        self.close_prose(out);
        for call in &self.calls {
            let Some(index) = call.block else {
                return Err(Error::upstream_invalid(
                    "The provider sent a tool call without a name.",
                ));
            };
            out.push(Event::BlockEnd { index });
        }
        for (prose, text) in std::mem::take(&mut self.held) {
            self.tell(prose, text, out);
        }
        self.close_prose(out);
        if !self.tokens.is_empty() {
            self.lose_tokens("They belong to no text.", out);
        }
        self.has_finished = true;
        out.push(Event::Finish(finish));
        Ok(())
    }
}

impl Prose {
    fn block(self) -> BlockStart {
        match self {
            Prose::Text => BlockStart::Text,
            Prose::Reasoning => BlockStart::Reasoning,
            Prose::Refusal => BlockStart::Refusal,
        }
    }

    fn delta(self, text: String) -> ir::Delta {
        match self {
            Prose::Text => ir::Delta::Text(text),
            Prose::Reasoning => ir::Delta::Reasoning(text),
            Prose::Refusal => ir::Delta::Refusal(text),
        }
    }
}
