//! Where a part of a request stands in the caller's own words, for errors and losses.

use super::{Request, Role};
use crate::{Dialect, Loss, LossKind};

impl Request {
    /// `messages[i]`, in the caller's counting: in Anthropic's dialect the system prompt is no message.
    pub(crate) fn message_path(&self, message: usize) -> String {
        match message.checked_sub(self.system_fields()) {
            None => "system".to_owned(),
            Some(i) => format!("messages[{i}]"),
        }
    }

    /// `messages[i].content[j]`
    pub(crate) fn part_path(&self, message: usize, part: usize) -> String {
        if message < self.system_fields() {
            return format!("system[{part}]");
        }
        format!("{}.content[{part}]", self.message_path(message))
    }

    /// `tools[i].name` or `tools[i].function.name`.
    pub(crate) fn tool_path(&self, tool: usize, field: &str) -> String {
        match self.origin {
            Some(Dialect::AnthropicMessages) => format!("tools[{tool}].{field}"),
            _ => format!("tools[{tool}].function.{field}"),
        }
    }

    /// The name of the field that asks for thinking.
    pub(crate) fn reasoning_path(&self) -> &'static str {
        match self.origin {
            Some(Dialect::AnthropicMessages) => "thinking",
            _ => "reasoning_effort",
        }
    }

    pub(crate) fn output_path(&self) -> &'static str {
        match self.origin {
            Some(Dialect::AnthropicMessages) => "output_config.format",
            _ => "response_format",
        }
    }

    pub(crate) fn stop_path(&self) -> &'static str {
        match self.origin {
            Some(Dialect::AnthropicMessages) => "stop_sequences",
            _ => "stop",
        }
    }

    pub(crate) fn user_path(&self) -> &'static str {
        match self.origin {
            Some(Dialect::AnthropicMessages) => "metadata.user_id",
            _ => "user",
        }
    }

    /// How many of the first messages stand in a field of their own.
    fn system_fields(&self) -> usize {
        let is_system = self
            .messages
            .first()
            .is_some_and(|message| message.role == Role::System);
        usize::from(
            is_system && self.origin == Some(Dialect::AnthropicMessages) && self.has_system_field,
        )
    }
}

/// Shorthands for the two kinds of loss.
pub(crate) fn dropped(field: impl Into<String>, reason: impl Into<String>) -> Loss {
    Loss {
        field: field.into(),
        kind: LossKind::Dropped,
        reason: reason.into(),
    }
}

pub(crate) fn changed(field: impl Into<String>, reason: impl Into<String>) -> Loss {
    Loss {
        field: field.into(),
        kind: LossKind::Changed,
        reason: reason.into(),
    }
}
