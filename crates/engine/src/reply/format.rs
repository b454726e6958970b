//! How a model writes calls and reasoning, told by what its chat template writes.

/// What to look for in a reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ReplyFormat {
    pub calls: Option<CallFormat>,
    pub thinking: Option<Thinking>,
}

/// How calls of tools are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallFormat {
    /// Hermes and Qwen: `<tool_call>{"name": …, "arguments": …}</tool_call>`.
    Tagged,
    /// Llama 3: the reply begins with `{"name": …, "parameters": …}`, behind `<|python_tag|>` or without; several are
    /// parted by semicolons.
    Bare,
    /// Mistral: `[TOOL_CALLS][{"name": …, "arguments": …}]` or `[TOOL_CALLS]name[ARGS]{…}`.
    Mistral,
}

/// How reasoning is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Thinking {
    pub tags: ThinkingTags,
    /// The prompt ends with the opening tag, so the reply begins with reasoning.
    pub is_open: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ThinkingTags {
    /// `<think>` and `</think>`
    Angle,
    /// `[THINK]` and `[/THINK]`
    Square,
}

/// Texts of tokens that a parser must see, though files often call them control tokens.
pub(crate) const MARKERS: [&str; 11] = [
    "<tool_call>",
    "</tool_call>",
    "<|python_tag|>",
    "[TOOL_CALLS]",
    "[CALL_ID]",
    "[ARGS]",
    "<think>",
    "</think>",
    "[THINK]",
    "[/THINK]",
    "[TOOL_CONTENT]",
];

// === impl ReplyFormat ===

impl ReplyFormat {
    /// `prompt` is what the template made of the conversation. Without tools, nothing is a call.
    pub fn of(template: &str, prompt: &str, has_tools: bool) -> ReplyFormat {
        let writes = |text: &str| template.contains(text);
        let calls = if writes("[TOOL_CALLS]") {
            Some(CallFormat::Mistral)
        } else if writes("<tool_call>") {
            Some(CallFormat::Tagged)
        } else if writes("<|python_tag|>") || writes("ipython") && writes("parameters") {
            Some(CallFormat::Bare)
        } else {
            None
        };
        let tags = [ThinkingTags::Angle, ThinkingTags::Square]
            .into_iter()
            .find(|tags| writes(tags.close()));
        ReplyFormat {
            calls: calls.filter(|_| has_tools),
            thinking: tags.map(|tags| Thinking {
                tags,
                is_open: prompt.trim_end().ends_with(tags.open()),
            }),
        }
    }
}

// === impl ThinkingTags ===

impl ThinkingTags {
    pub(crate) fn open(self) -> &'static str {
        match self {
            ThinkingTags::Angle => "<think>",
            ThinkingTags::Square => "[THINK]",
        }
    }

    pub(crate) fn close(self) -> &'static str {
        match self {
            ThinkingTags::Angle => "</think>",
            ThinkingTags::Square => "[/THINK]",
        }
    }
}

// === impl CallFormat ===

impl CallFormat {
    /// What stands before a call in the midst of text.
    pub(super) fn marker(self) -> Option<&'static str> {
        match self {
            CallFormat::Tagged => Some("<tool_call>"),
            CallFormat::Mistral => Some("[TOOL_CALLS]"),
            CallFormat::Bare => None,
        }
    }

    pub(super) fn closing(self) -> Option<&'static str> {
        match self {
            CallFormat::Tagged => Some("</tool_call>"),
            CallFormat::Mistral | CallFormat::Bare => None,
        }
    }
}
