//! The stream of responses: the decoder. Items are told as blocks in the order in which they speak; what the
//! provider only says in an event that ends something is told then.

mod items;

use std::collections::BTreeMap;

use serde_json::value::RawValue;
use tollgate_base::{Error, Result};

use super::{
    errors::failure,
    response::finish_of,
    wire::{Annotation, Failure, Item, Part, Reply, StreamEvent},
};
use crate::{
    Decoder,
    frame::Frame,
    ir::{self, BlockStart, Citation, Delta, Event, dropped},
    openai_chat::logprobs::read_list,
};

/// Reads a stream of Responses events.
#[derive(Debug, Default)]
pub(crate) struct ResponsesDecoder {
    state: State,
    reply_id: String,
    blocks: usize,
    /// The text, reasoning or refusal block that is open.
    open: Option<(Place, usize)>,
    /// How much was told of each part.
    told: BTreeMap<Place, Told>,
    /// By the item's place in the output.
    calls: BTreeMap<u64, Call>,
    arguments_len: usize,
    /// What came while tool calls were open. It cannot stand between their pieces, so it follows them.
    held: Vec<(Place, Delta)>,
    has_refused: bool,
    /// Searches of the web that were done.
    searches: Option<u64>,
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

/// A part of an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    item: u64,
    part: u64,
    prose: Prose,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Prose {
    Text,
    Reasoning,
    Refusal,
}

#[derive(Clone, Copy, Debug, Default)]
struct Told {
    has_text: bool,
    has_tokens: bool,
    citations: usize,
    /// The part of the summary that was told last.
    summary: u64,
}

#[derive(Clone, Copy, Debug)]
struct Call {
    block: usize,
    is_custom: bool,
    has_arguments: bool,
    is_open: bool,
}

impl Decoder for ResponsesDecoder {
    fn push(&mut self, frame: &Frame, out: &mut Vec<Event>) {
        if self.is_over() {
            return;
        }
        let Some(data) = &frame.data else {
            if frame.raw.starts_with(b":") {
                out.push(Event::Ping);
            }
            return;
        };
        // Not of this dialect, but some servers end with it; what counts is the event before it.
        if data.starts_with(b"[DONE]") {
            return;
        }
        let Ok(event) = serde_json::from_slice::<StreamEvent<'_>>(data) else {
            let message = "The provider sent an event that is none of a response.";
            return self.fail(Error::upstream_invalid(message), out);
        };
        let named = frame
            .event
            .as_deref()
            .and_then(|name| std::str::from_utf8(name).ok());
        let kind = event.kind.filled().or(named).unwrap_or_default().to_owned();
        if let Err(error) = self.read(&kind, &event, out) {
            self.fail(error, out);
        }
    }

    fn finish(&mut self, out: &mut Vec<Event>) {
        if !self.is_over() {
            let message = "The provider closed the stream before the reply was complete.";
            self.fail(Error::upstream_invalid(message), out);
        }
    }

    fn is_complete(&self) -> bool {
        self.state == State::Ended
    }

    fn is_usage_only(&self) -> bool {
        false
    }
}

impl ResponsesDecoder {
    fn is_over(&self) -> bool {
        matches!(self.state, State::Ended | State::Failed)
    }

    fn fail(&mut self, error: Error, out: &mut Vec<Event>) {
        self.state = State::Failed;
        out.push(Event::Error(error));
    }

    fn read(&mut self, kind: &str, event: &StreamEvent<'_>, out: &mut Vec<Event>) -> Result<()> {
        if kind == "error" || (kind.is_empty() && event.error.is_some()) {
            return Err(error_of(event));
        }
        let Some(name) = kind.strip_prefix("response.") else {
            return Ok(());
        };
        if let Some(response) = &event.response {
            self.start(response, out);
        }
        match name {
            "completed" | "incomplete" | "failed" | "done" | "cancelled" => {
                return self.end(name, event.response.as_ref(), out);
            }
            _ if self.state == State::Waiting => self.start(&Reply::default(), out),
            _ => {}
        }
        let item = event.output_index.0.unwrap_or(0);
        match name {
            "output_item.added" => self.item_added(item, event.item.as_ref(), out)?,
            "output_item.done" => {
                if event.item.as_ref().is_some_and(Item::is_search) {
                    self.searches = Some(self.searches.unwrap_or(0) + 1);
                }
                self.item_done(item, event.item.as_ref(), out)?;
            }
            "function_call_arguments.delta" => {
                self.arguments(item, event.delta.filled(), out)?;
            }
            "function_call_arguments.done" => {
                self.last_arguments(item, event.arguments.filled(), out)?;
            }
            "custom_tool_call_input.delta" => self.arguments(item, event.delta.filled(), out)?,
            "custom_tool_call_input.done" => {
                self.last_arguments(item, event.input.filled(), out)?;
            }
            _ => self.read_prose(name, item, event, out),
        }
        Ok(())
    }

    /// Events about texts. Those of hosted tools, and ones that are not known, say nothing here.
    fn read_prose(&mut self, name: &str, item: u64, event: &StreamEvent<'_>, out: &mut Vec<Event>) {
        let part = event.content_index.0.unwrap_or(0);
        let place = |prose| Place { item, part, prose };
        let reasoning = Place {
            item,
            part: 0,
            prose: Prose::Reasoning,
        };
        match name {
            "output_text.delta" => {
                self.tokens(place(Prose::Text), event.logprobs, out);
                self.text(place(Prose::Text), event.delta.filled(), out);
            }
            "output_text.done" => {
                self.last_tokens(place(Prose::Text), event.logprobs, out);
                self.last_text(place(Prose::Text), event.text.filled(), out);
            }
            "refusal.delta" => self.text(place(Prose::Refusal), event.delta.filled(), out),
            "refusal.done" => self.last_text(place(Prose::Refusal), event.refusal.filled(), out),
            "output_text.annotation.added" => {
                if let Some(annotation) = &event.annotation {
                    self.citation(place(Prose::Text), annotation, out);
                }
            }
            "content_part.done" => {
                if let Some(part) = &event.part {
                    self.part_done(place(Prose::Text), part, out);
                }
            }
            "reasoning_summary_text.delta" | "reasoning_text.delta" => {
                let part = event.summary_index.0.or(event.content_index.0);
                self.summary(reasoning, part.unwrap_or(0), event.delta.filled(), out);
            }
            "reasoning_summary_text.done" | "reasoning_text.done" => {
                let part = event.summary_index.0.or(event.content_index.0).unwrap_or(0);
                let told = self.told.get(&reasoning).copied().unwrap_or_default();
                if !told.has_text || told.summary != part {
                    self.summary(reasoning, part, event.text.filled(), out);
                }
            }
            _ => {}
        }
    }

    fn start(&mut self, response: &Reply<'_>, out: &mut Vec<Event>) {
        if self.state != State::Waiting {
            return;
        }
        self.state = State::Live;
        self.reply_id = response.id.to_text();
        out.push(Event::Start {
            id: self.reply_id.clone(),
            model: response.model.to_text(),
        });
    }

    // === Prose ===

    fn text(&mut self, place: Place, text: Option<&str>, out: &mut Vec<Event>) {
        let Some(text) = text else { return };
        self.told.entry(place).or_default().has_text = true;
        let text = text.to_owned();
        let delta = match place.prose {
            Prose::Text => Delta::Text(text),
            Prose::Reasoning => Delta::Reasoning(text),
            Prose::Refusal => {
                self.has_refused = true;
                Delta::Refusal(text)
            }
        };
        self.tell(place, delta, out);
    }

    /// The tokens of the text that follows. They may come alone: not every token ends a character.
    fn tokens(&mut self, place: Place, raw: Option<&RawValue>, out: &mut Vec<Event>) {
        let tokens = read_list(raw);
        if !tokens.is_empty() {
            self.told.entry(place).or_default().has_tokens = true;
            self.tell(place, Delta::Logprobs(tokens), out);
        }
    }

    /// The tokens of the whole text, for those who told none with its pieces.
    fn last_tokens(&mut self, place: Place, raw: Option<&RawValue>, out: &mut Vec<Event>) {
        let told = self.told.get(&place).copied().unwrap_or_default();
        if told.has_tokens {
            return;
        }
        let is_open = self.open.is_some_and(|(open, _)| open == place);
        if is_open || !told.has_text {
            self.tokens(place, raw, out);
        } else if !read_list(raw).is_empty() {
            self.told.entry(place).or_default().has_tokens = true;
            out.push(Event::Lost(dropped(
                format!("output[{}].content.logprobs", place.item),
                "They came apart from the text they belong to.",
            )));
        }
    }

    /// The whole text, for those who sent no piece of it.
    fn last_text(&mut self, place: Place, text: Option<&str>, out: &mut Vec<Event>) {
        if !self.told.get(&place).is_some_and(|told| told.has_text) {
            self.text(place, text, out);
        }
    }

    /// The parts of a summary are paragraphs of one block.
    fn summary(&mut self, place: Place, part: u64, text: Option<&str>, out: &mut Vec<Event>) {
        let Some(text) = text else { return };
        let told = self.told.entry(place).or_default();
        let is_next = told.has_text && told.summary != part;
        told.summary = part;
        if is_next {
            self.text(place, Some("\n\n"), out);
        }
        self.text(place, Some(text), out);
    }

    fn citation(&mut self, place: Place, annotation: &Annotation<'_>, out: &mut Vec<Event>) {
        self.told.entry(place).or_default().citations += 1;
        let citation: Citation = annotation.to_citation();
        self.tell(place, Delta::Citation(citation), out);
    }

    fn part_done(&mut self, place: Place, part: &Part<'_>, out: &mut Vec<Event>) {
        if part.kind.as_deref() == Some("refusal") || part.refusal.filled().is_some() {
            let prose = Prose::Refusal;
            return self.last_text(Place { prose, ..place }, part.refusal.filled(), out);
        }
        if part.kind.as_deref() != Some("output_text") {
            return;
        }
        self.last_tokens(place, part.logprobs, out);
        self.last_text(place, part.text.filled(), out);
        let told = self.told.get(&place).map_or(0, |told| told.citations);
        for annotation in part.annotations.iter().flatten().skip(told) {
            self.citation(place, annotation, out);
        }
        self.close(place, out);
    }

    fn close(&mut self, place: Place, out: &mut Vec<Event>) {
        if self.open.is_some_and(|(open, _)| open == place) {
            self.close_prose(out);
        }
    }

    fn tell(&mut self, place: Place, delta: Delta, out: &mut Vec<Event>) {
        if self.calls.values().any(|call| call.is_open) {
            self.held.push((place, delta));
            return;
        }
        let index = match self.open {
            Some((open, index)) if open == place => index,
            _ => {
                self.close_prose(out);
                let index = self.next_block();
                let block = place.prose.block();
                out.push(Event::BlockStart { index, block });
                self.open = Some((place, index));
                index
            }
        };
        out.push(Event::Delta { index, delta });
    }

    fn close_prose(&mut self, out: &mut Vec<Event>) {
        if let Some((_, index)) = self.open.take() {
            out.push(Event::BlockEnd { index });
        }
    }

    /// Tells what waited for the calls, once all of them have ended.
    fn release(&mut self, out: &mut Vec<Event>) {
        if self.calls.values().any(|call| call.is_open) {
            return;
        }
        for (place, delta) in std::mem::take(&mut self.held) {
            self.tell(place, delta, out);
        }
    }

    fn next_block(&mut self) -> usize {
        self.blocks += 1;
        self.blocks - 1
    }

    // === The end ===

    fn end(
        &mut self,
        name: &str,
        response: Option<&Reply<'_>>,
        out: &mut Vec<Event>,
    ) -> Result<()> {
        let nothing = Reply::default();
        let response = response.unwrap_or(&nothing);
        self.start(response, out);
        match name {
            "failed" => return Err(failure(response.error.as_ref())),
            "cancelled" => {
                let text = "The provider cancelled the response.";
                return Err(Error::upstream_invalid(text));
            }
            _ => {}
        }
        // A server that streams no items says them here.
        if self.blocks == 0 {
            for (at, item) in (0_u64..).zip(response.output.iter().flatten()) {
                self.item_done(at, Some(item), out)?;
            }
        }
        let open: Vec<u64> = self.calls.keys().copied().collect();
        for at in open {
            self.close_call(at, out);
        }
        self.release(out);
        self.close_prose(out);
        let details = response.incomplete_details.as_ref();
        let reason = details.and_then(|details| details.reason.as_deref());
        let has_calls = !self.calls.is_empty();
        let mut finish = finish_of(response, reason, has_calls, self.has_refused)?;
        if name == "incomplete" && response.status.filled().is_none() {
            finish = Some(ir::FinishReason::MaxTokens);
        }
        let Some(finish) = finish else {
            let text = "The provider ended the stream of a response that is not finished.";
            return Err(Error::upstream_invalid(text));
        };
        if let Some(mut usage) = response.to_usage() {
            // A server may leave the items out of the end, having said each of them.
            usage.searches = usage.searches.or(self.searches);
            out.push(Event::Usage(usage));
        }
        out.push(Event::Finish(finish));
        self.state = State::Ended;
        Ok(())
    }
}

/// An `error` event is flat; some servers nest it as in a reply.
fn error_of(event: &StreamEvent<'_>) -> Error {
    match &event.error {
        Some(nested) => failure(Some(nested)),
        None => failure(Some(&Failure {
            code: event.code.clone(),
            message: event.message.clone(),
            param: event.param.clone(),
            ..Failure::default()
        })),
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
}
