//! Whole items of the output: calls with the pieces of their arguments, and what the end of an item says.

use tollgate_base::{Error, Result};

use super::{Call, Place, Prose, ResponsesDecoder};
use crate::{
    ir::{self, BlockStart, Delta, Event, Issuer, sealed_reasoning},
    openai_responses::{
        custom,
        response::{call, hosted, reasoning_text},
        wire::Item,
    },
};

/// Tool calls in one reply; a provider that sends more is broken (reliability E07).
const CALLS_LIMIT: usize = 1_024;
const ARGUMENTS_LIMIT: usize = 16 * 1024 * 1024;

impl ResponsesDecoder {
    pub(super) fn item_added(
        &mut self,
        at: u64,
        item: Option<&Item<'_>>,
        out: &mut Vec<Event>,
    ) -> Result<()> {
        let Some(item) = item else { return Ok(()) };
        let is_custom = match item.kind.as_deref() {
            Some("function_call") => false,
            Some("custom_tool_call") => true,
            _ => return Ok(()),
        };
        if self.calls.contains_key(&at) {
            return Ok(());
        }
        if self.calls.len() == CALLS_LIMIT {
            return Err(Error::upstream_invalid(
                "The provider sent more than 1024 tool calls in one reply.",
            ));
        }
        let place = usize::try_from(at).unwrap_or(usize::MAX);
        let call = call(item, &self.reply_id, place, String::new())?;
        self.close_prose(out);
        let block = self.next_block();
        out.push(Event::BlockStart {
            index: block,
            block: BlockStart::ToolCall {
                id: call.id,
                name: call.name,
            },
        });
        let call = Call {
            block,
            is_custom,
            has_arguments: false,
            is_open: true,
        };
        self.calls.insert(at, call);
        Ok(())
    }

    pub(super) fn arguments(
        &mut self,
        at: u64,
        piece: Option<&str>,
        out: &mut Vec<Event>,
    ) -> Result<()> {
        let Some(piece) = piece else { return Ok(()) };
        let Some(call) = self.calls.get_mut(&at).filter(|call| call.is_open) else {
            let text = "The provider sent a piece of a tool call that it did not start.";
            return Err(Error::upstream_invalid(text));
        };
        self.arguments_len += piece.len();
        if self.arguments_len > ARGUMENTS_LIMIT {
            let text = "The provider sent tool calls larger than 16 MiB.";
            return Err(Error::upstream_invalid(text));
        }
        let text = match (call.is_custom, call.has_arguments) {
            (false, _) => piece.to_owned(),
            (true, false) => format!("{}{}", custom::OPENING, custom::escaped(piece)),
            (true, true) => custom::escaped(piece),
        };
        call.has_arguments = true;
        out.push(Event::Delta {
            index: call.block,
            delta: Delta::Arguments(text),
        });
        Ok(())
    }

    /// The arguments whole, for those who sent no piece of them.
    pub(super) fn last_arguments(
        &mut self,
        at: u64,
        whole: Option<&str>,
        out: &mut Vec<Event>,
    ) -> Result<()> {
        match self.calls.get(&at) {
            Some(call) if call.is_open && !call.has_arguments => self.arguments(at, whole, out),
            _ => Ok(()),
        }
    }

    pub(super) fn item_done(
        &mut self,
        at: u64,
        item: Option<&Item<'_>>,
        out: &mut Vec<Event>,
    ) -> Result<()> {
        let Some(item) = item else { return Ok(()) };
        match item.kind.as_deref() {
            Some("function_call" | "custom_tool_call") => {
                self.item_added(at, Some(item), out)?;
                let whole = item.arguments.filled().or(item.input.filled());
                self.last_arguments(at, whole, out)?;
                self.close_call(at, out);
                self.release(out);
            }
            Some("message") => {
                for (part, content) in (0_u64..).zip(item.content.iter().flatten()) {
                    let prose = Prose::Text;
                    let place = Place {
                        item: at,
                        part,
                        prose,
                    };
                    self.part_done(place, content, out);
                }
                if self.open.is_some_and(|(open, _)| open.item == at) {
                    self.close_prose(out);
                }
            }
            Some("reasoning") => self.reasoning_done(at, item, out),
            Some(kind) => {
                let place = usize::try_from(at).unwrap_or(usize::MAX);
                out.push(Event::Lost(hosted(place, kind)));
            }
            None => {}
        }
        Ok(())
    }

    fn reasoning_done(&mut self, at: u64, item: &Item<'_>, out: &mut Vec<Event>) {
        let place = Place {
            item: at,
            part: 0,
            prose: Prose::Reasoning,
        };
        let text = reasoning_text(item);
        self.last_text(place, Some(&*text).filter(|text| !text.is_empty()), out);
        let has_text = self.told.get(&place).is_some_and(|told| told.has_text);
        let seal = item.encrypted_content.filled();
        match sealed_reasoning(Issuer::OpenAi, String::new(), seal) {
            ir::Part::RedactedReasoning { data } if !has_text => {
                let is_free = !self.calls.values().any(|call| call.is_open);
                if is_free {
                    self.close_prose(out);
                    let index = self.next_block();
                    let block = BlockStart::RedactedReasoning { data };
                    out.push(Event::BlockStart { index, block });
                    out.push(Event::BlockEnd { index });
                }
            }
            ir::Part::Reasoning {
                signature: Some(signature),
                ..
            } => self.tell(place, Delta::Signature(signature), out),
            _ => {}
        }
        self.close(place, out);
    }

    pub(super) fn close_call(&mut self, at: u64, out: &mut Vec<Event>) {
        let Some(call) = self.calls.get_mut(&at).filter(|call| call.is_open) else {
            return;
        };
        call.is_open = false;
        if call.is_custom {
            let end = if call.has_arguments {
                custom::CLOSING.to_owned()
            } else {
                custom::wrapped("")
            };
            out.push(Event::Delta {
                index: call.block,
                delta: Delta::Arguments(end),
            });
        }
        out.push(Event::BlockEnd { index: call.block });
    }
}
