//! Gemini's generateContent and streamGenerateContent: <https://ai.google.dev/api/generate-content> (digest
//! section 6). The model and the stream stand in the path, so that nothing of them is read or written here.

mod array;
mod embed;
mod encode;
mod errors;
pub(crate) mod fields;
mod head;
mod logprobs;
mod parts;
mod request;
mod response;
mod sources;
mod stream;
mod wire;

pub use array::GeminiArray;
pub(crate) use embed::{
    patch_embeddings, read_embeddings_head, read_embeddings_reply, resource_name,
};
pub(crate) use encode::GenerateEncoder;
pub(crate) use errors::{parse_error, render_error, render_stream_error};
pub(crate) use fields::{field, top};
pub(crate) use head::{patch_request, read_head};
pub(crate) use request::{is_dummy_seal, parse_request, render_request};
pub(crate) use response::{parse_response, read_reply, render_response};
pub(crate) use stream::GenerateDecoder;

use tollgate_base::{Error, Result};

use crate::ir::FinishReason;

/// What a `finishReason` means (digest section 10). `None`: the model stopped for a reason that says nothing
/// of what it wrote.
fn finish_reason(name: &str, has_calls: bool, has_content: bool) -> Result<Option<FinishReason>> {
    let seen = if has_calls {
        FinishReason::ToolCalls
    } else {
        FinishReason::EndOfTurn
    };
    let finish = match name {
        "MAX_TOKENS" => FinishReason::MaxTokens,
        "SAFETY"
        | "RECITATION"
        | "LANGUAGE"
        | "BLOCKLIST"
        | "PROHIBITED_CONTENT"
        | "SPII"
        | "IMAGE_SAFETY"
        | "IMAGE_PROHIBITED_CONTENT"
        | "IMAGE_RECITATION"
        | "MODEL_ARMOR" => FinishReason::Refusal,
        "CONTINUATION" => FinishReason::Paused,
        // What the model meant is lost, so that the rest of the reply would be taken for the whole of it.
        "MALFORMED_FUNCTION_CALL" | "MALFORMED_RESPONSE" | "MISSING_THOUGHT_SIGNATURE" => {
            return Err(failed(name));
        }
        "OTHER" | "UNEXPECTED_TOOL_CALL" | "TOO_MANY_TOOL_CALLS" | "IMAGE_OTHER" | "NO_IMAGE" => {
            if !has_content {
                return Err(failed(name));
            }
            return Ok(None);
        }
        _ => seen,
    };
    Ok(Some(finish))
}

fn failed(name: &str) -> Error {
    Error::upstream_invalid(format!(
        "The model failed to write an answer ({name}). Send the request again."
    ))
}

/// What is said of a reply's end.
fn finish_name(finish: &FinishReason) -> &'static str {
    match finish {
        FinishReason::EndOfTurn
        | FinishReason::StopSequence(_)
        | FinishReason::ToolCalls
        | FinishReason::Paused => "STOP",
        FinishReason::MaxTokens | FinishReason::ContextFull => "MAX_TOKENS",
        FinishReason::Refusal => "SAFETY",
    }
}

fn not_a_reply() -> Error {
    Error::upstream_invalid("The provider answered with something that is no reply of its dialect.")
}
