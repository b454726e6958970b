//! A reply as it happens.

use tollgate_base::{Error, Usage};

use super::{FinishReason, Signature};
use crate::Loss;

/// One step of a streamed reply. `law.rs` says which sequences are legal: `Start` first; blocks numbered
/// densely from 0 in the order they start; only tool calls may be open side by side; one `Finish`; usage is
/// cumulative and the last one counts; nothing after `Error`.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    Start {
        id: String,
        model: String,
    },
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

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BlockStart {
    Text,
    Reasoning,
    RedactedReasoning { data: String },
    ToolCall { id: String, name: String },
    Refusal,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Delta {
    Text(String),
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
