//! Responses requests to the IR and back.

mod input;
mod items;
mod parse;
mod render;

pub(crate) use parse::parse_request;
pub(crate) use render::render_request;
