//! Chat requests to the IR and back.

pub(crate) mod content;
mod conversation;
mod parse;
mod render;

pub(crate) use parse::{parse_request, parse_scalars};
pub(crate) use render::{is_strict, nearest, render_request, without_refused};
