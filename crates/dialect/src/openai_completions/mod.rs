//! OpenAI's legacy completions: <https://platform.openai.com/docs/api-reference/completions>. Streams, errors
//! and usage are those of chat; a single prompt may also be answered by a chat model, through the IR.

mod head;
mod logprobs;
mod request;
mod response;

pub(crate) use head::read_head;
pub(crate) use request::{parse_request, render_request};
pub(crate) use response::{CompletionEncoder, render_response};
