//! What a text, a conversation, an image or a file costs in tokens, before a provider says it.
//!
//! Owns the encodings, which model uses which, the rules of overhead, and the published formulas for media. It knows no
//! dialect, no price and no provider's answer: callers hand in plain text and numbers. `docs/tokens.md` says which count is
//! exact and what the others rest on.

mod conversation;
mod counter;
mod encoding;
mod family;
mod media;
mod output;
mod overhead;
#[cfg(test)]
mod tests;
mod tool;

pub use conversation::{Conversation, ConversationCounter, Message, Tool};
pub use counter::{Counter, byte_bound};
pub use encoding::Encoding;
pub use family::Method;
pub use media::{Detail, Document, Image, Media, Size};
pub use output::OutputCounter;
