//! OpenAI's Responses: what it accepts (`check`, `items`), how it writes answers (`render`), and the answers it
//! keeps (`stored`). Errors are those of `openai`.

pub(crate) mod check;
mod items;
pub(crate) mod render;
pub(crate) mod stored;
