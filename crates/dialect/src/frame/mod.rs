//! Framing: where one event of a byte stream ends and the next begins, whatever the chunking.

mod sse;

pub use sse::{Frame, SseFramer};
