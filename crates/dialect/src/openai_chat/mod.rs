//! OpenAI Chat Completions: <https://platform.openai.com/docs/api-reference/chat>, and the servers that
//! speak it (digest sections 1, 2 and 8).

mod cite;
mod encode;
mod errors;
mod head;
pub(crate) mod logprobs;
mod messages;
mod patch;
mod request;
mod response;
mod stream;
pub(crate) mod wire;

use tollgate_base::{Error, Result};

pub(crate) use encode::ChatEncoder;
pub(crate) use errors::{parse_error, render_error, render_stream_error};
pub(crate) use head::{read_head, read_include_usage, read_logit_bias};
pub(crate) use patch::{
    patch_completion, patch_embeddings, patch_model, patch_request, patch_scalars_of_responses,
};
pub(crate) use request::{
    content, is_not_understood, is_strict, nearest, parse_request, parse_scalars, put_logit_bias,
    render_request, without_refused,
};
pub(crate) use response::{parse_response, read_reply, render_response};
pub(crate) use stream::ChatDecoder;

use crate::ir::FinishReason;

/// What the canonical reason of a `finish_reason` is (digest section 10). `stop` also ends replies that are
/// tool calls (a forced tool) or refusals, so what was seen decides.
pub(crate) fn finish_reason(
    name: &str,
    stop: Option<&str>,
    has_calls: bool,
    has_refused: bool,
) -> Result<FinishReason> {
    let reason = match name {
        "length" | "model_length" | "max_tokens" => FinishReason::MaxTokens,
        "tool_calls" | "function_call" | "tool_use" => FinishReason::ToolCalls,
        "content_filter" | "refusal" => FinishReason::Refusal,
        "error" => {
            return Err(Error::upstream_invalid(
                "The provider ended the reply with an error.",
            ));
        }
        _ if has_calls => FinishReason::ToolCalls,
        _ if has_refused => FinishReason::Refusal,
        _ => match stop {
            Some(text) => FinishReason::StopSequence(Some(text.to_owned())),
            None => FinishReason::EndOfTurn,
        },
    };
    Ok(reason)
}

/// The 502 for a body that is no reply. What it is instead is not shown: it may be a login page.
pub(crate) fn not_a_reply() -> Error {
    Error::upstream_invalid("The provider answered with something that is no reply of its dialect.")
}

/// A `custom` tool call as a function call. It is only ever watched: no request for one is translated.
fn function_of_custom<'a>(custom: &wire::CustomFragment<'a>) -> wire::FunctionFragment<'a> {
    wire::FunctionFragment {
        name: custom.name.clone(),
        arguments: wire::Arguments(custom.input.0.clone()),
    }
}
