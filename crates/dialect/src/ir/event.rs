//! A reply as it happens.

use tollgate_base::{Error, Usage};

use super::FinishReason;

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
    /// The signature of the reasoning block, whole.
    Signature(String),
    /// A piece of the arguments' JSON text.
    Arguments(String),
    Refusal(String),
}
