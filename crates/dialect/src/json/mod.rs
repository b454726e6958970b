//! JSON as text: one pass that checks it ([`scan`]), a reader that walks checked text without building
//! anything ([`walk`]), a writer ([`write`]), the borrowed, lenient types that the dialects' wire structs
//! share ([`loose`]), and a reply without its long texts ([`shorten`]).

pub(crate) mod loose;
pub(crate) mod scan;
mod shorten;
mod strings;
pub(crate) mod walk;
pub(crate) mod write;

pub(crate) use loose::{Count, Text};
pub(crate) use shorten::shortened;
pub(crate) use walk::{Cursor, Json, Shape};
pub(crate) use write::{List, Object};
