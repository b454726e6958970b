//! The OpenAI side: what it accepts (`check`), how it writes answers (`render`) and errors (`errors`).

pub(crate) mod check;
pub(crate) mod embeddings;
pub(crate) mod errors;
mod messages;
mod ranges;
pub(crate) mod render;
pub(crate) mod tools;
