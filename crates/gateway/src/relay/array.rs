//! A stream that is sent as one JSON array.

use bytes::{Bytes, BytesMut};
use tollgate_dialect::GeminiArray;

/// A stream as one JSON array.
#[derive(Default)]
pub(super) struct Array {
    writer: GeminiArray,
    pub(super) is_closed: bool,
}

impl Array {
    /// The elements that these events are; at their end what closes the array.
    pub(super) fn push(&mut self, events: Option<Bytes>) -> Bytes {
        let mut out = BytesMut::new();
        let is_sound = match events {
            Some(events) => self.writer.push(events, &mut out).is_ok(),
            None => false,
        };
        if !is_sound {
            self.writer.finish(&mut out);
            self.is_closed = true;
        }
        out.freeze()
    }
}
