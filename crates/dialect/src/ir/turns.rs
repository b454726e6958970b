//! A conversation as alternating turns: messages of one side that follow each other are one turn, with tool
//! results before anything else that the user says.

use std::collections::HashMap;

use tollgate_base::{Error, Result};

use super::{Message, Part, Request, Role};

/// What one side says before the other does.
#[derive(Debug)]
pub(crate) struct Turn<'a> {
    pub(crate) role: Role,
    /// The first of its messages.
    pub(crate) message: usize,
    pub(crate) name: Option<&'a str>,
    pub(crate) parts: Vec<Placed<'a>>,
}

/// A part, and where the caller wrote it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Placed<'a> {
    pub(crate) part: &'a Part,
    pub(crate) message: usize,
    pub(crate) index: usize,
}

impl<'a> Turn<'a> {
    /// The ids of the tool calls in it.
    fn calls(&self) -> Vec<&'a str> {
        let calls = self.parts.iter().filter_map(|placed| match placed.part {
            Part::ToolCall { call, .. } => Some(&*call.id),
            _ => None,
        });
        calls.collect()
    }
}

/// The turns of these messages. System messages stay turns of their own.
pub(crate) fn turns<'a>(messages: impl IntoIterator<Item = (usize, &'a Message)>) -> Vec<Turn<'a>> {
    let mut turns: Vec<Turn<'a>> = Vec::new();
    for (i, message) in messages {
        let parts = message
            .parts
            .iter()
            .enumerate()
            .map(|(index, part)| Placed {
                part,
                message: i,
                index,
            });
        let is_spoken = matches!(message.role, Role::User | Role::Assistant);
        match turns.last_mut() {
            Some(turn) if is_spoken && turn.role == message.role => turn.parts.extend(parts),
            _ => turns.push(Turn {
                role: message.role,
                message: i,
                name: message.name.as_deref(),
                parts: parts.collect(),
            }),
        }
    }
    for i in 0..turns.len() {
        if turns[i].role != Role::User {
            continue;
        }
        let before = i
            .checked_sub(1)
            .map(|i| turns[i].calls())
            .unwrap_or_default();
        // Results in the order of their calls, then the rest; stable where that says nothing.
        turns[i].parts.sort_by_key(|placed| match placed.part {
            Part::ToolResult { result, .. } => before
                .iter()
                .position(|id| *id == result.call_id)
                .unwrap_or(before.len()),
            _ => usize::MAX,
        });
    }
    turns
}

/// Every call must be answered in the turn that follows, and every answer must have its call there.
pub(crate) fn check_answers(request: &Request, turns: &[Turn<'_>]) -> Result<()> {
    let path = |placed: &Placed<'_>| request.part_path(placed.message, placed.index);
    let mut open: HashMap<&str, Placed<'_>> = HashMap::new();
    for turn in turns {
        if turn.role == Role::User {
            for placed in &turn.parts {
                if let Part::ToolResult { result, .. } = placed.part
                    && open.remove(&*result.call_id).is_none()
                {
                    let text = "This tool result answers no tool call of the message before it. Remove it, or send the call.";
                    return Err(Error::invalid_value(path(placed), text));
                }
            }
        }
        if let Some(placed) = first_of(&open) {
            let text = "This tool call has no result in the messages right after it. Send a result for every call.";
            return Err(Error::invalid_value(path(&placed), text));
        }
        let calls = turn.parts.iter().filter_map(|placed| match placed.part {
            Part::ToolCall { call, .. } => Some((&*call.id, *placed)),
            _ => None,
        });
        open = calls.collect();
    }
    match first_of(&open) {
        None => Ok(()),
        Some(placed) => Err(Error::invalid_value(
            path(&placed),
            "The conversation ends with a tool call. Send its result.",
        )),
    }
}

/// The first of them, so that a message does not depend on the order of a hash map.
fn first_of<'a>(open: &HashMap<&str, Placed<'a>>) -> Option<Placed<'a>> {
    let all = open.values().copied();
    all.min_by_key(|placed| (placed.message, placed.index))
}
