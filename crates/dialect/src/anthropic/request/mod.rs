//! Messages requests to the IR and back.

mod conversation;
mod media;
mod parse;
mod render;
mod schema;
mod thinking;

pub(crate) use conversation::arguments_object;
pub(crate) use parse::parse_request;
pub(crate) use render::render_request;
