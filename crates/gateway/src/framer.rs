//! Where one event of a provider's stream ends and the next begins, whatever the provider's framing.

use bytes::Bytes;
use tollgate_base::Result;
use tollgate_catalog::Framing;
use tollgate_dialect::frame::{AwsEventFramer, Frame, SseFramer};

/// Cuts a stream into frames. A frame's raw bytes are always server-sent events: what a caller gets.
#[derive(Debug)]
pub(crate) enum Framer {
    Sse(SseFramer),
    Aws(AwsEventFramer),
}

impl Framer {
    pub(crate) fn new(framing: Framing) -> Self {
        match framing {
            Framing::Sse => Framer::Sse(SseFramer::default()),
            Framing::AwsEventStream => Framer::Aws(AwsEventFramer::default()),
        }
    }

    /// The media type that a stream of this framing has.
    pub(crate) fn media_type(framing: Framing) -> &'static str {
        match framing {
            Framing::Sse => "text/event-stream",
            Framing::AwsEventStream => "application/vnd.amazon.eventstream",
        }
    }

    pub(crate) fn push(&mut self, chunk: Bytes) {
        match self {
            Framer::Sse(framer) => framer.push(chunk),
            Framer::Aws(framer) => framer.push(chunk),
        }
    }

    pub(crate) fn next_frame(&mut self) -> Result<Option<Frame>> {
        match self {
            Framer::Sse(framer) => framer.next_frame(),
            Framer::Aws(framer) => framer.next_frame(),
        }
    }

    /// Whether what came in is what goes out, so that a chunk of whole frames needs no copy.
    pub(crate) fn is_verbatim(&self) -> bool {
        matches!(self, Framer::Sse(_))
    }
}
