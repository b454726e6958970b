//! Anthropic Messages: <https://platform.claude.com/docs/en/api/messages> (digest section 5).

mod encode;
mod errors;
mod head;
mod request;
mod response;
mod stream;
mod wire;

pub(crate) use encode::MessagesEncoder;
pub(crate) use errors::{parse_error, render_error, render_stream_error};
pub(crate) use head::{patch_request, read_head};
pub(crate) use request::{arguments_object, parse_request, render_request};
pub(crate) use response::{parse_response, read_reply, render_response};
pub(crate) use stream::MessagesDecoder;

use tollgate_base::Error;

use crate::ir::FinishReason;

/// What a `stop_reason` means (digest section 10). An unknown one is judged by what was seen.
fn finish_reason(name: &str, sequence: Option<&str>, has_calls: bool) -> FinishReason {
    match name {
        "max_tokens" => FinishReason::MaxTokens,
        "stop_sequence" => FinishReason::StopSequence(sequence.map(str::to_owned)),
        "tool_use" => FinishReason::ToolCalls,
        "pause_turn" => FinishReason::Paused,
        "refusal" => FinishReason::Refusal,
        "model_context_window_exceeded" => FinishReason::ContextFull,
        "end_turn" => FinishReason::EndOfTurn,
        _ if has_calls => FinishReason::ToolCalls,
        _ => FinishReason::EndOfTurn,
    }
}

fn not_a_reply() -> Error {
    Error::upstream_invalid("The provider answered with something that is no reply of its dialect.")
}
