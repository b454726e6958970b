//! Where a part of a request stands in the caller's own words, for errors and losses.

use super::{Issuer, Part, Request, Role};
use crate::{Dialect, Loss, LossKind};

impl Request {
    /// The name of the list of messages.
    pub(crate) fn messages_path(&self) -> &'static str {
        match self.origin {
            Some(Dialect::GeminiGenerate) => "contents",
            _ => "messages",
        }
    }

    /// `messages[i]`, in the caller's counting: where the system prompt has a field of its own, it is no
    /// message.
    pub(crate) fn message_path(&self, message: usize) -> String {
        match (message.checked_sub(self.system_fields()), self.origin) {
            (None, Some(Dialect::GeminiGenerate)) => "systemInstruction".to_owned(),
            (None, Some(Dialect::OpenAiResponses)) => "instructions".to_owned(),
            (None, _) => "system".to_owned(),
            (Some(i), Some(Dialect::OpenAiResponses)) => format!("input[{i}]"),
            (Some(i), _) => format!("{}[{i}]", self.messages_path()),
        }
    }

    /// `messages[i].content[j]`
    pub(crate) fn part_path(&self, message: usize, part: usize) -> String {
        if self.origin == Some(Dialect::GeminiGenerate) {
            let part = self.wire_part(message, part);
            return format!("{}.parts[{part}]", self.message_path(message));
        }
        if self.origin == Some(Dialect::OpenAiResponses) {
            return self.item_path(message, part);
        }
        if message < self.system_fields() {
            return format!("system[{part}]");
        }
        format!("{}.content[{part}]", self.message_path(message))
    }

    /// The number of a part as Gemini's callers count: the seal of a part is no part there.
    fn wire_part(&self, message: usize, part: usize) -> usize {
        let parts = self.messages.get(message).map(|message| &*message.parts);
        let before = parts.unwrap_or_default().iter().take(part);
        let is_seal = |part: &&Part| match part {
            Part::Reasoning {
                text,
                signature: Some(seal),
            } => text.is_empty() && seal.of(Issuer::Gemini).is_some(),
            _ => false,
        };
        part - before.filter(is_seal).count()
    }

    /// `tools[i].name` or `tools[i].function.name`; Gemini's functions are counted over all of its tools.
    pub(crate) fn tool_path(&self, tool: usize, field: &str) -> String {
        match self.origin {
            Some(Dialect::GeminiGenerate) => format!("functionDeclarations[{tool}].{field}"),
            Some(Dialect::AnthropicMessages | Dialect::OpenAiResponses) => {
                format!("tools[{tool}].{field}")
            }
            _ => format!("tools[{tool}].function.{field}"),
        }
    }

    /// A custom tool that is told to a model as a function.
    pub(crate) fn freeform_loss(&self, tool: usize) -> Loss {
        changed(
            self.tool_path(tool, "type"),
            "The model knows the custom tool as a function with one string, `input`; a grammar does not bind it.",
        )
    }

    /// The name of the field that asks for thinking.
    pub(crate) fn reasoning_path(&self) -> &'static str {
        match self.origin {
            Some(Dialect::AnthropicMessages) => "thinking",
            Some(Dialect::GeminiGenerate) => "generationConfig.thinkingConfig",
            Some(Dialect::OpenAiResponses) => "reasoning.effort",
            _ => "reasoning_effort",
        }
    }

    pub(crate) fn output_path(&self) -> &'static str {
        match self.origin {
            Some(Dialect::AnthropicMessages) => "output_config.format",
            Some(Dialect::GeminiGenerate) => "generationConfig.responseSchema",
            Some(Dialect::OpenAiResponses) => "text.format",
            _ => "response_format",
        }
    }

    pub(crate) fn stop_path(&self) -> &'static str {
        match self.origin {
            Some(Dialect::AnthropicMessages) => "stop_sequences",
            Some(Dialect::GeminiGenerate) => "generationConfig.stopSequences",
            _ => "stop",
        }
    }

    pub(crate) fn user_path(&self) -> &'static str {
        match self.origin {
            Some(Dialect::AnthropicMessages) => "metadata.user_id",
            _ => "user",
        }
    }

    /// In Responses a call, its result and a piece of reasoning are items of their own.
    fn item_path(&self, message: usize, part: usize) -> String {
        let path = self.message_path(message);
        if message < self.system_fields() {
            return path;
        }
        let parts = self.messages.get(message).map(|message| &*message.parts);
        match parts.and_then(|parts| parts.get(part)) {
            Some(Part::ToolResult { .. }) => format!("{path}.output"),
            Some(
                Part::ToolCall { .. } | Part::Reasoning { .. } | Part::RedactedReasoning { .. },
            ) => path,
            _ => format!("{path}.content[{part}]"),
        }
    }

    /// How many of the first messages stand in a field of their own.
    fn system_fields(&self) -> usize {
        let is_system = self
            .messages
            .first()
            .is_some_and(|message| message.role == Role::System);
        let has_field = matches!(
            self.origin,
            Some(Dialect::AnthropicMessages | Dialect::GeminiGenerate | Dialect::OpenAiResponses)
        );
        usize::from(is_system && has_field && self.has_system_field)
    }

    /// A field that most dialects share, as this caller's dialect names it.
    pub(crate) fn named_by_caller(&self, field: &str) -> Option<&'static str> {
        if self.origin == Some(Dialect::OpenAiResponses) && field == "logprobs" {
            return Some("include");
        }
        if self.origin != Some(Dialect::GeminiGenerate) {
            return None;
        }
        let name = match field {
            "n" => "generationConfig.candidateCount",
            "logprobs" => "generationConfig.responseLogprobs",
            "messages" | "input" => "contents",
            "temperature" => "generationConfig.temperature",
            "top_p" => "generationConfig.topP",
            "top_k" => "generationConfig.topK",
            "seed" => "generationConfig.seed",
            "frequency_penalty" => "generationConfig.frequencyPenalty",
            "presence_penalty" => "generationConfig.presencePenalty",
            "max_tokens" | "max_completion_tokens" | "max_output_tokens" => {
                "generationConfig.maxOutputTokens"
            }
            "stop" | "stop_sequences" => "generationConfig.stopSequences",
            "tool_choice" => "toolConfig.functionCallingConfig",
            "service_tier" => "serviceTier",
            _ => return None,
        };
        Some(name)
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
