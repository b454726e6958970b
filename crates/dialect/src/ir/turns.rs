//! A conversation as alternating turns: messages of one side that follow each other are one turn, with tool
//! results before anything else that the user says.

use super::{Message, Part, Role};

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
    for turn in turns.iter_mut().filter(|turn| turn.role == Role::User) {
        // Stable: results keep their order, and so does the rest.
        turn.parts
            .sort_by_key(|placed| !matches!(placed.part, Part::ToolResult { .. }));
    }
    turns
}
