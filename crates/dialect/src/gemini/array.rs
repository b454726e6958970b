//! Streams without `alt=sse`: one JSON array that grows, `[{…},\r\n{…}]`.

use bytes::{Bytes, BytesMut};
use tollgate_base::Result;

use crate::frame::SseFramer;

/// Turns the server-sent events of a Gemini stream into the elements of an array. An error is an element as
/// any other: its clients look for it there.
#[derive(Debug, Default)]
pub struct GeminiArray {
    framer: SseFramer,
    has_begun: bool,
}

impl GeminiArray {
    /// Appends the elements that these bytes complete. An error when one event grows beyond 4 MiB.
    pub fn push(&mut self, events: Bytes, out: &mut BytesMut) -> Result<()> {
        self.framer.push(events);
        while let Some(frame) = self.framer.next_frame()? {
            if let Some(data) = frame.data {
                self.element(&data, out);
            }
        }
        Ok(())
    }

    /// Closes the array, also after an error: what was sent is valid JSON.
    pub fn finish(&mut self, out: &mut BytesMut) {
        self.framer.end();
        while let Ok(Some(frame)) = self.framer.next_frame() {
            if let Some(data) = frame.data {
                self.element(&data, out);
            }
        }
        out.extend_from_slice(if self.has_begun { b"]" } else { b"[]" });
    }

    fn element(&mut self, data: &[u8], out: &mut BytesMut) {
        out.extend_from_slice(if self.has_begun { b",\r\n" } else { b"[" });
        out.extend_from_slice(data);
        self.has_begun = true;
    }
}
