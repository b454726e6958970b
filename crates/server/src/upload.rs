//! A request body that is handed on in pieces, within its limit.

use std::task::{Context, Poll, ready};

use bytes::Bytes;
use tollgate_base::{Error, Kind, Result};
use tollgate_gateway::Pieces;
use tollgate_http1::RequestBody;

pub(crate) struct Upload {
    body: RequestBody,
    limit: u64,
    seen: u64,
}

impl Upload {
    pub(crate) fn new(body: RequestBody, limit: u64) -> Self {
        Self {
            body,
            limit,
            seen: 0,
        }
    }

    fn too_large(&self) -> Error {
        let message = format!(
            "The upload is larger than the {} MiB that are taken here.",
            self.limit >> 20
        );
        Error::new(Kind::TooLarge, "request_too_large", message).closing()
    }
}

impl Pieces for Upload {
    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>>> {
        if self.length().is_some_and(|length| length > self.limit) {
            return Poll::Ready(Err(self.too_large()));
        }
        let piece = ready!(self.body.poll_chunk(cx));
        if let Ok(Some(bytes)) = &piece {
            self.seen += bytes.len() as u64;
            if self.seen > self.limit {
                return Poll::Ready(Err(self.too_large()));
            }
        }
        Poll::Ready(piece)
    }

    fn length(&self) -> Option<u64> {
        self.body.content_length()
    }
}
