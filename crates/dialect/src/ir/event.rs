//! A reply as it happens.

use tollgate_base::{Error, Usage};

use super::{FinishReason, Signature, TokenLogprob};
use crate::Loss;

/// One step of a streamed reply. `law.rs` says which sequences are legal: `Start` first; blocks numbered
/// densely from 0 in the order they start; only tool calls may be open side by side; one `Finish`; usage is
/// cumulative and the last one counts; nothing after `Error`. Where there are several answers, each of them keeps
/// that order for itself, and usage is that of all together.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    Start {
        id: String,
        model: String,
    },
    /// What follows is about this answer, up to the next such step. The first answer is 0, and a reply begins
    /// with it.
    Choice(usize),
    BlockStart {
        index: usize,
        block: BlockStart,
    },
    Delta {
        index: usize,
        delta: Delta,
    },
    BlockEnd {
        index: usize,
    },
    Usage(Usage),
    Finish(FinishReason),
    /// The provider said something that no other dialect has a word for.
    Lost(Loss),
    /// The provider is alive and has nothing to say.
    Ping,
    /// The stream failed; nothing follows.
    Error(Error),
}

impl Event {
    /// The text of this step that the provider charges for as output: what was said, thought or refused,
    /// and the names and arguments of tool calls.
    pub fn billed_text(&self) -> Option<&str> {
        match self {
            Event::BlockStart {
                block: BlockStart::ToolCall { name, .. },
                ..
            } => Some(name),
            Event::Delta { delta, .. } => match delta {
                Delta::Text(text)
                | Delta::Reasoning(text)
                | Delta::Arguments(text)
                | Delta::Refusal(text) => Some(text),
                Delta::Logprobs(_) | Delta::Signature(_) | Delta::Citation(_) => None,
            },
            _ => None,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BlockStart {
    Text,
    Reasoning,
    RedactedReasoning { data: String },
    ToolCall { id: String, name: String },
    Refusal,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Delta {
    Text(String),
    /// The tokens of the text that follows, for a caller who asked for them: told before the text itself. What
    /// they add to it may also come later, or have been cut off.
    Logprobs(Vec<TokenLogprob>),
    Reasoning(String),
    /// The signature of the reasoning block, whole: at most one for a block.
    Signature(Signature),
    /// A source of the text block.
    Citation(Citation),
    /// A piece of the arguments' JSON text.
    Arguments(String),
    Refusal(String),
}

/// Where a statement comes from. Every dialect has its own shape; what is common to them is kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Citation {
    pub url: Option<String>,
    pub title: Option<String>,
    /// The words of the source.
    pub quote: Option<String>,
    /// The words of the reply that it stands behind: characters of its text block, the end not included.
    pub range: Option<(u64, u64)>,
}
