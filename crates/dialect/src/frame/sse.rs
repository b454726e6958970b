//! Server-sent events, by the rules of the WHATWG HTML standard, section 9.2.6.

use bytes::{Bytes, BytesMut};
use memchr::{memchr, memchr2};
use tollgate_base::{Error, Result};

/// The largest frame that is read. A frame of a language model is some hundred bytes; one with an image is
/// some hundred kilobytes.
pub(super) const FRAME_LIMIT: usize = 4 * 1024 * 1024;
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// One event as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Every byte of the event, its comments and its closing blank line included: for forwarding verbatim.
    pub raw: Bytes,
    /// The `event:` field.
    pub event: Option<Bytes>,
    /// The `data:` lines, joined with `\n`. `None` for a frame of comments only.
    pub data: Option<Bytes>,
}

/// Cuts a byte stream into frames. Lines end in LF, CR or CRLF; a byte order mark at the start is skipped;
/// no chunking of the same bytes changes what comes out (for CR-only streams the last byte may be waited for).
///
/// A frame that lies within one chunk is a slice of that chunk; only a frame that spans chunks is copied.
#[derive(Debug, Default)]
pub struct SseFramer {
    /// Searched, and without the end of its frame.
    held: BytesMut,
    /// Not searched yet.
    chunk: Bytes,
    cursor: Cursor,
    is_past_first: bool,
    has_ended: bool,
    has_failed: bool,
}

/// What of the line under way decides where the frame ends.
#[derive(Debug, Default)]
struct Cursor {
    /// The line has bytes.
    in_line: bool,
    /// The byte before is a CR, so that an LF here belongs to it. True when the line it ended was empty.
    after_cr: Option<bool>,
    /// Bytes seen of a mark at the start of the stream; 3 and more: past it.
    mark: usize,
}

// === impl SseFramer ===

impl SseFramer {
    pub fn push(&mut self, chunk: Bytes) {
        if self.chunk.is_empty() {
            self.chunk = chunk;
            return;
        }
        let mut joined = BytesMut::with_capacity(self.chunk.len() + chunk.len());
        joined.extend_from_slice(&self.chunk);
        joined.extend_from_slice(&chunk);
        self.chunk = joined.freeze();
    }

    /// Says that no byte will follow, so that nothing is waited for: a frame whose closing line ends in CR is
    /// whole now.
    pub fn end(&mut self) {
        self.has_ended = true;
    }

    /// The next whole frame. An error (`upstream_invalid`) when one frame grows beyond 4 MiB.
    pub fn next_frame(&mut self) -> Result<Option<Frame>> {
        let found = if self.has_failed {
            None
        } else {
            self.cursor.frame_end(&self.chunk, self.has_ended)
        };
        let grown = self.held.len() + found.unwrap_or(self.chunk.len());
        if self.has_failed || grown > FRAME_LIMIT {
            self.has_failed = true;
            self.held = BytesMut::new();
            self.chunk = Bytes::new();
            return Err(Error::upstream_invalid(
                "The provider sent an event larger than 4 MiB.",
            ));
        }
        let Some(end) = found else {
            self.held.extend_from_slice(&self.chunk);
            self.chunk = Bytes::new();
            return Ok(None);
        };
        let raw = if self.held.is_empty() {
            self.chunk.split_to(end)
        } else {
            self.held.extend_from_slice(&self.chunk.split_to(end));
            self.held.split().freeze()
        };
        let marked = !self.is_past_first && raw.starts_with(BYTE_ORDER_MARK);
        self.is_past_first = true;
        let text = if marked {
            raw.slice(BYTE_ORDER_MARK.len()..)
        } else {
            raw.clone()
        };
        let (event, data) = fields(&text);
        Ok(Some(Frame { raw, event, data }))
    }

    /// What is left when the stream has ended: bytes that never became a whole frame.
    pub fn rest(&mut self) -> Bytes {
        let mut rest = self.held.split();
        rest.extend_from_slice(&self.chunk);
        *self = Self::default();
        rest.freeze()
    }
}

impl Cursor {
    /// Where in `chunk` the frame under way ends, if it does.
    fn frame_end(&mut self, chunk: &[u8], has_ended: bool) -> Option<usize> {
        let mut at = self.skip_mark(chunk);
        loop {
            if let Some(is_blank) = self.after_cr {
                match chunk.get(at) {
                    None if !(has_ended && is_blank) => return None,
                    Some(b'\n') => at += 1,
                    None | Some(_) => {}
                }
                self.after_cr = None;
                if is_blank {
                    return Some(at);
                }
            }
            let Some(len) = memchr2(b'\n', b'\r', &chunk[at..]) else {
                self.in_line |= at < chunk.len();
                return None;
            };
            let is_blank = !self.in_line && len == 0;
            at += len + 1;
            self.in_line = false;
            if chunk[at - 1] == b'\r' {
                self.after_cr = Some(is_blank);
            } else if is_blank {
                return Some(at);
            }
        }
    }

    /// Crosses a byte order mark at the start of the stream, also when chunks cut it.
    fn skip_mark(&mut self, chunk: &[u8]) -> usize {
        let mut at = 0;
        while self.mark < BYTE_ORDER_MARK.len() && at < chunk.len() {
            if chunk[at] == BYTE_ORDER_MARK[self.mark] {
                self.mark += 1;
                at += 1;
            } else {
                // The bytes that looked like a mark are the start of a line.
                self.in_line |= self.mark > 0;
                self.mark = BYTE_ORDER_MARK.len();
            }
        }
        at
    }
}

/// The `event` and the `data` of a frame. `id` and `retry` matter to a client that reconnects, which no
/// language model offers.
fn fields(frame: &Bytes) -> (Option<Bytes>, Option<Bytes>) {
    let (mut event, mut data) = (None, None);
    let mut joined: Option<BytesMut> = None;
    let mut at = 0;
    while at < frame.len() {
        let len = memchr2(b'\n', b'\r', &frame[at..]).unwrap_or(frame.len() - at);
        let line = &frame[at..at + len];
        let name_len = memchr(b':', line).unwrap_or(len);
        let mut start = (name_len + 1).min(len);
        if line.get(start) == Some(&b' ') {
            start += 1;
        }
        let value = || frame.slice(at + start..at + len);
        match &line[..name_len] {
            b"event" => event = Some(value()),
            b"data" => match (&mut joined, data.take()) {
                (None, None) => data = Some(value()),
                (None, Some(first)) => {
                    let mut lines = BytesMut::from(first);
                    lines.extend_from_slice(b"\n");
                    lines.extend_from_slice(&value());
                    joined = Some(lines);
                }
                (Some(lines), _) => {
                    lines.extend_from_slice(b"\n");
                    lines.extend_from_slice(&value());
                }
            },
            _ => {}
        }
        // An LF after a CR reads as one more empty line here, which says nothing.
        at += len + 1;
    }
    (event, joined.map(BytesMut::freeze).or(data))
}
