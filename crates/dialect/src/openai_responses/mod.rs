//! OpenAI Responses: <https://platform.openai.com/docs/api-reference/responses> (digest section 3).

mod bridge;
mod custom;
mod encode;
mod errors;
mod head;
mod output;
mod reply;
mod request;
mod response;
mod standing;
mod stored;
mod stream;
mod wire;

pub use bridge::chat_needs_responses;
pub(crate) use encode::ResponsesEncoder;
pub(crate) use errors::render_stream_error;
pub(crate) use head::{patch_request, read_head};
pub(crate) use request::{parse_request, render_request};
pub(crate) use response::{parse_response, read_reply, render_response};
pub use standing::{ResponseEnd, ResponseStanding, response_standing};
pub use stored::{
    ItemOrder, cancelled_response, deleted_response, expanded_request, input_items,
    input_items_page, output_items,
};
pub(crate) use stream::ResponsesDecoder;

use tollgate_base::Error;

fn not_a_reply() -> Error {
    Error::upstream_invalid("The provider answered with something that is no reply of its dialect.")
}
