//! Wire shapes. Everything here turns bytes into meaning and back; nothing here does IO, reads a clock
//! or writes a log.
//!
//! A call whose caller and provider speak the same dialect is never parsed whole: its head is read and
//! checked ([`read_head`]), a few named fields are replaced ([`patch_request`]), and a [`Decoder`] watches
//! a copy of the reply. Only when the dialects differ does a call go through the IR ([`ir`]).
//!
//! Every dialect has one folder with the same files; the one `match` over [`Dialect`] is in `dispatch.rs`.

mod anthropic;
mod bound;
mod checks;
mod count;
mod countable;
mod dispatch;
mod embeddings;
mod errors;
pub mod frame;
mod gemini;
mod ids;
pub mod ir;
mod json;
pub mod law;
mod limits;
mod loss;
mod marks;
mod names;
mod openai_chat;
mod openai_completions;
mod openai_embeddings;
mod openai_responses;
mod operation;
mod raw;
mod target;

pub use bound::input_bound;
pub use count::{count_request, counted_call, estimate_tokens, parse_count, render_count};
pub use countable::{
    Countable, CountedImage, CountedMedia, CountedMessage, CountedTool, ImageSource, countable,
};
pub use dispatch::{
    Decoder, EncodeOptions, Encoder, Head, Reading, Rendered, WireError, decoder, encoder,
    parse_error, parse_request, parse_response, patch_request, read_embeddings, read_head,
    read_reply, render_embeddings, render_embeddings_reply, render_error, render_request,
    render_response, render_stream_error, translate_embeddings_reply,
};
pub use embeddings::EmbeddingsRequest;
pub use errors::parse_retry_after;
pub use gemini::GeminiArray;
pub use limits::{LimitKind, LimitState, limit_headers};
pub use loss::{Loss, LossKind};
pub use marks::{Mark, Marks};
pub use names::NameMap;
pub use openai_responses::{
    ItemOrder, ResponseEnd, ResponseStanding, cancelled_response, chat_needs_responses,
    deleted_response, expanded_request, input_items, input_items_page, output_items,
    response_standing,
};
pub use operation::read_operation_usage;
pub use raw::RawObject;
pub use target::{
    Effort, MaxTokensField, ModelTraits, Quirks, Target, ThinkingStyle, ToolChoiceSupport,
};

/// A wire shape.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// OpenAI Chat Completions, and every server that speaks it.
    OpenAiChat,
    /// OpenAI's legacy completions.
    OpenAiCompletions,
    /// OpenAI embeddings: no conversation, passed through.
    OpenAiEmbeddings,
    /// OpenAI Responses.
    OpenAiResponses,
    /// Anthropic Messages.
    AnthropicMessages,
    /// Gemini's generateContent and streamGenerateContent: the model and the stream stand in the path.
    GeminiGenerate,
    /// Gemini's embedContent: one text.
    GeminiEmbed,
    /// Gemini's batchEmbedContents.
    GeminiBatchEmbed,
}

/// Whose error shape, headers and ids a dialect shares.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Family {
    OpenAi,
    Anthropic,
    Gemini,
}
