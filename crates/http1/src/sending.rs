//! How an answer is framed: by what the request asked, what the service says, and what its body yields.
//!
//! It turns frames of a body into bytes of the wire and keeps account of a declared length. It does no IO.

use std::mem;

use bytes::Bytes;
use http::{HeaderMap, StatusCode, Version, header};
use http_body::{Body, Frame};

use crate::reply::{Ending, Outbox};

/// A trailer of this name ends a body of unknown length as one that was cut: nothing says that it is whole,
/// and the connection closes.
pub const CUT: &str = "x-cut";

/// An answer on its way out.
pub(crate) struct Sending {
    pub(crate) ending: Ending,
    /// Bytes of a known length that the body still owes.
    left: u64,
    pub(crate) ended: bool,
    pub(crate) close: bool,
    pub(crate) watch: bool,
}

/// What the request says about its answer.
pub(crate) struct Asked {
    pub(crate) is_head: bool,
    pub(crate) version: Version,
    pub(crate) keep_alive: bool,
    /// Whether the client's end is looked for while the answer is sent.
    pub(crate) watch: bool,
}

// === impl Sending ===

impl Sending {
    pub(crate) fn new<B: Body>(
        status: StatusCode,
        headers: &HeaderMap,
        body: &B,
        asked: &Asked,
    ) -> Self {
        let exact = body.size_hint().exact();
        let has_no_body = status.is_informational()
            || status == StatusCode::NO_CONTENT
            || status == StatusCode::NOT_MODIFIED;
        let ending = match exact {
            _ if has_no_body => Ending::Bodiless,
            // An answer to HEAD may know the length of a body that it did not make.
            Some(0) | None if asked.is_head => {
                stated_length(headers).map_or(Ending::Bodiless, Ending::Length)
            }
            Some(length) => Ending::Length(length),
            None if asked.version == Version::HTTP_10 => Ending::Close,
            None => Ending::Chunked,
        };
        let ended = has_no_body || asked.is_head || ending == Ending::Length(0);
        Self {
            ending,
            left: exact.unwrap_or_default(),
            ended,
            close: !asked.keep_alive
                || ending == Ending::Close
                || status.is_informational()
                || says_close(headers),
            watch: asked.watch,
        }
    }

    pub(crate) fn push(&mut self, frame: Frame<Bytes>, out: &mut Outbox) {
        match frame.into_data() {
            Ok(mut data) => match self.ending {
                Ending::Chunked => out.push_chunk(data),
                Ending::Close => out.push(data),
                Ending::Length(_) => {
                    let left = usize::try_from(self.left).unwrap_or(usize::MAX);
                    // A body longer than it said would be read as the next answer.
                    self.close |= data.len() > left;
                    data.truncate(left);
                    self.left -= data.len() as u64;
                    self.ended = self.left == 0;
                    out.push(data);
                }
                Ending::Bodiless => {}
            },
            // Trailers are not sent; they can still end the connection, as a head can.
            Err(trailers) => {
                let Ok(fields) = trailers.into_trailers() else {
                    return;
                };
                self.close |= says_close(&fields);
                if fields.contains_key(CUT) {
                    // Without the last chunk the client cannot take what it has for the whole.
                    self.ended = true;
                    self.close = true;
                }
            }
        }
    }

    pub(crate) fn finish(&mut self, out: &mut Outbox) {
        if !mem::replace(&mut self.ended, true) && self.ending == Ending::Chunked {
            out.push_copied(b"0\r\n\r\n");
        }
        // A body shorter than it said: the client learns it from the close.
        self.close |= self.left > 0;
    }
}

// === impl Asked ===

impl Asked {
    /// A head that is no request says nothing; what follows it is not looked at.
    pub(crate) const REFUSED: Self = Self {
        is_head: false,
        version: Version::HTTP_11,
        keep_alive: false,
        watch: false,
    };
}

fn says_close(headers: &HeaderMap) -> bool {
    headers.get_all(header::CONNECTION).iter().any(|value| {
        value
            .as_bytes()
            .split(|&b| b == b',')
            .any(|o| o.trim_ascii().eq_ignore_ascii_case(b"close"))
    })
}

fn stated_length(headers: &HeaderMap) -> Option<u64> {
    headers
        .get(header::CONTENT_LENGTH)?
        .to_str()
        .ok()?
        .parse()
        .ok()
}
