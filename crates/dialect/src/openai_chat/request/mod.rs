//! Chat requests to the IR and back.

mod content;
mod conversation;
mod parse;
mod render;

pub(crate) use parse::{parse_request, parse_scalars};
pub(crate) use render::render_request;
