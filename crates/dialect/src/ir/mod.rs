//! The conversation between dialects: plain structs, no serde. What a dialect can say and the IR cannot is
//! kept as raw JSON and named as a loss when it cannot be rendered; nothing is dropped in silence.

mod answers;
mod event;
mod logprob;
mod paths;
mod request;
mod response;
mod signature;
pub(crate) mod turns;

pub(crate) use answers::{ANSWERS_LIMIT, Answers, First};
pub use event::{BlockStart, Citation, Delta, Event};
pub use logprob::TokenLogprob;
pub(crate) use logprob::UNLIKELY;
pub(crate) use paths::{changed, dropped};
pub(crate) use request::raw_json;
pub use request::{
    CacheMark, Document, DocumentSource, Image, ImageSource, Json, Message, OutputFormat, Part,
    Reasoning, Request, Role, Sampling, Tool, ToolCall, ToolChoice, ToolResult,
};
pub use response::{Answer, Block, FinishReason, Response};
pub use signature::{Issuer, Signature};
pub(crate) use signature::{redacted_for, sealed_reasoning};
