//! Chat requests to the IR and back.

pub(crate) mod content;
mod conversation;
mod parse;
mod render;

pub(crate) use parse::{is_not_understood, parse_request, parse_scalars};
pub(crate) use render::{is_strict, nearest, put_logit_bias, render_request, without_refused};
