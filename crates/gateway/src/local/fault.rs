//! The engine's errors in the callers' words.

use std::time::Duration;

use tollgate_base::{Error, Kind};
use tollgate_engine::{EngineError, ErrorKind};

/// When a caller may try again where every place is taken: most answers take seconds.
const TRY_AGAIN: Duration = Duration::from_secs(1);

pub(super) fn engine_error(error: &EngineError) -> Error {
    let message = error.sentence();
    match error.kind {
        ErrorKind::ContextOverflow {
            prompt_tokens,
            window,
            ..
        } => {
            // Client libraries look for these words to know that they must shorten the conversation.
            let message = format!(
                "The prompt is too long: {prompt_tokens} tokens > {window} maximum. Shorten it, or choose another model."
            );
            Error::new(Kind::InvalidRequest, "context_length_exceeded", message)
                .with_param("messages")
        }
        ErrorKind::InvalidParameter { param } => Error::invalid_value(param, message),
        ErrorKind::Unsupported { what } => Error::unsupported(what, message),
        ErrorKind::Busy => {
            Error::new(Kind::Overloaded, "overloaded", message).with_retry_after(TRY_AGAIN)
        }
        ErrorKind::TooLarge => Error::unsupported("model", message),
        ErrorKind::UnsupportedModel | ErrorKind::CorruptModel | ErrorKind::Internal => {
            Error::internal(message)
        }
    }
}

/// One of several inputs does not fit the model's window.
pub(super) fn too_long(error: &EngineError) -> Error {
    let message = error.sentence();
    Error::new(Kind::InvalidRequest, "context_length_exceeded", message).with_param("input")
}
