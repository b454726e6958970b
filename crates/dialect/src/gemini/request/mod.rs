//! Requests, both ways.

mod contents;
mod conversation;
mod media;
mod parse;
mod render;
mod schema;
mod thinking;

pub(crate) use contents::is_dummy_seal;
pub(crate) use parse::parse_request;
pub(crate) use render::render_request;
