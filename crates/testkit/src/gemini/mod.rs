//! The Gemini side: what it accepts (`fields`, `check`, `contents`), how it writes answers (`render`,
//! `embeddings`) and errors. The same for AI Studio and Vertex.

pub(crate) mod check;
mod contents;
pub(crate) mod embeddings;
pub(crate) mod errors;
mod fields;
pub(crate) mod render;
