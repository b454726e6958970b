//! What a dialect makes of events and of a request, as JSON.
#![expect(clippy::unwrap_used, reason = "a test's own helpers may fail it")]

use bytes::Bytes;
use serde_json::Value;
use tollgate_dialect::{
    Dialect, EncodeOptions, Loss, ModelTraits, Quirks, RawObject, Target,
    ir::{Event, Response},
    parse_request, render_request, render_response,
};

use crate::support::{encoded, frames};

pub(crate) fn raw(text: &str) -> RawObject {
    RawObject::parse(Bytes::copy_from_slice(text.as_bytes())).unwrap()
}

/// The whole reply.
pub(crate) fn whole(dialect: Dialect, options: &EncodeOptions, told: Vec<Event>) -> Value {
    let response = Response::from_events(told).unwrap();
    serde_json::from_slice(&render_response(dialect, &response, options)).unwrap()
}

/// The data of each frame of the stream, but for a `[DONE]`.
pub(crate) fn streamed(dialect: Dialect, options: EncodeOptions, told: &[Event]) -> Vec<Value> {
    let (all, _) = frames(&[&encoded(dialect, options, told)]);
    let data = all.iter().filter_map(|frame| frame.data.as_ref());
    data.filter_map(|data| serde_json::from_slice(data).ok())
        .collect()
}

/// A request in another dialect and what it lost, or the code and the field of its refusal.
pub(crate) fn rendered(
    from: Dialect,
    text: &str,
    to: Dialect,
) -> Result<(Value, Vec<Loss>), String> {
    let (traits, quirks) = (ModelTraits::default(), Quirks::default());
    let target = Target {
        model: "m",
        traits: &traits,
        quirks: &quirks,
        max_output: None,
    };
    let request = parse_request(from, &raw(text)).unwrap();
    match render_request(to, &request, target) {
        Ok(rendered) => Ok((
            serde_json::from_slice(&rendered.body).unwrap(),
            rendered.losses,
        )),
        Err(error) => Err(format!("{} {}", error.code(), error.param().unwrap())),
    }
}
