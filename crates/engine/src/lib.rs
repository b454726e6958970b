//! Local inference behind a face like an upstream's: a request goes in, events come out, dropping cancels.
//!
//! Owns everything from a model file to text: the GGUF reader (`gguf`), the tokenizer, the chat template, the network
//! (`model`), the order and meaning of the sampling parameters (`sampling`), what binds an answer to a schema
//! (`constraint`), stop sequences and whole characters (`text`), what a reply means (`reply`, `answer`), vectors for texts
//! (`embedding`), and the one thread that runs a batch of ragged sequences or of texts (`batch`, `worker`).
//! It carries a tiny model of its own that answers questions about Tollgate.
//!
//! It knows nothing of HTTP, dialects, keys or prices; the gateway turns requests and errors into and from those. Nothing
//! is loaded and no thread runs before the first request, and a model is freed when none has come for a while (`Options::idle`).
//!
//! The walk of a call: [`Engine::generate`] checks ranges and takes a place, the worker tokenizes and answers with the
//! prompt's length or a refusal, [`Generation::next`] gives text as it is drawn, and the last event says why it ended
//! and what it used.

// What all tests share names the crate from the outside.
#[cfg(test)]
extern crate self as tollgate_engine;

mod answer;
mod batch;
mod constraint;
mod conversation;
mod embedding;
#[cfg(test)]
#[path = "../tests/support/endless.rs"]
mod endless;
mod engine;
mod error;
#[doc(hidden)]
pub mod fuzzing;
mod generation;
pub mod gguf;
mod model;
mod options;
mod prefix;
mod queue;
mod random;
mod reply;
mod request;
mod room;
mod sampling;
mod sequence;
mod template;
mod text;
mod tokenizer;
mod worker;

pub use self::constraint::Constraint;
pub use self::conversation::{Conversation, Tool, ToolCall, Turn};
pub use self::embedding::{EmbedInput, Embedded};
pub use self::engine::Engine;
pub use self::error::{EngineError, ErrorKind};
pub use self::generation::{Event, FinishReason, Generation, Piece, TokenChance, Usage};
pub use self::model::{Description, Memory, ModelKind};
pub use self::options::Options;
pub use self::reply::{CallFormat, ReplyEvent, ReplyFormat, ReplyParser, Thinking, ThinkingTags};
pub use self::request::{Message, Prompt, Request, Role, Sampling};
pub use self::room::Room;
pub use self::sampling::{Candidate, Table};
