//! Bodies on their way to and from a provider.

use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Instant,
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::{body::Incoming, client::conn::http1::SendRequest};
use tollgate_base::{Error, Kind, Result, crash_point};

use crate::{Endpoint, pool::Pool};

/// A request's body, sent once: whole, or in pieces as they come in from somewhere else.
pub struct RequestBody(Sent);

enum Sent {
    Whole(Option<Bytes>),
    Pieces {
        source: Box<dyn Pieces>,
        /// What is left of a length that was announced.
        left: Option<u64>,
        ended: bool,
    },
}

/// Where a body comes from that is never whole in memory.
pub trait Pieces: Send {
    /// The next piece; `None` at the end. After an error the request is broken off.
    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>>>;
    /// How many bytes will come in all, where that is known.
    fn length(&self) -> Option<u64>;
}

/// A provider's answer as it arrives. Read to its end, it returns its connection to the pool; dropped before,
/// it closes the connection, which tells the provider that nobody listens any more.
#[derive(Debug)]
pub struct ReplyBody {
    incoming: Incoming,
    lease: Option<Lease>,
}

/// A connection in use.
#[derive(Debug)]
pub(crate) struct Lease {
    pub(crate) sender: SendRequest<RequestBody>,
    pub(crate) endpoint: Endpoint,
    pub(crate) pool: Pool,
}

// === impl RequestBody ===

impl RequestBody {
    pub fn new(bytes: Bytes) -> Self {
        Self(Sent::Whole((!bytes.is_empty()).then_some(bytes)))
    }

    pub fn pieces(source: Box<dyn Pieces>) -> Self {
        let left = source.length();
        Self(Sent::Pieces {
            source,
            left,
            ended: left == Some(0),
        })
    }
}

impl Drop for RequestBody {
    fn drop(&mut self) {
        // The connection asks nothing more of a body that it has whole: it lets go of it.
        if matches!(self.0, Sent::Whole(None)) {
            crash_point("after-body");
        }
    }
}

impl From<Bytes> for RequestBody {
    fn from(bytes: Bytes) -> Self {
        Self::new(bytes)
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>>>> {
        match &mut self.0 {
            Sent::Whole(bytes) => {
                // The head is written before its body is asked for.
                if bytes.is_some() {
                    crash_point("after-head-sent");
                    crash_point("mid-body");
                }
                Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes))))
            }
            Sent::Pieces { ended: true, .. } => Poll::Ready(None),
            Sent::Pieces {
                source,
                left,
                ended,
            } => {
                let piece = ready!(source.poll_piece(cx));
                Poll::Ready(match piece {
                    Ok(Some(bytes)) => {
                        if let Some(left) = left {
                            *left = left.saturating_sub(bytes.len() as u64);
                            *ended = *left == 0;
                        }
                        Some(Ok(Frame::data(bytes)))
                    }
                    Ok(None) => {
                        *ended = true;
                        None
                    }
                    Err(error) => {
                        *ended = true;
                        Some(Err(error))
                    }
                })
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Sent::Whole(bytes) => bytes.is_none(),
            Sent::Pieces { ended, .. } => *ended,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Sent::Whole(bytes) => {
                SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64))
            }
            Sent::Pieces { left, .. } => left.map_or_else(SizeHint::default, SizeHint::with_exact),
        }
    }
}

impl fmt::Debug for RequestBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("RequestBody").finish_non_exhaustive()
    }
}

// === impl ReplyBody ===

impl ReplyBody {
    pub(crate) fn new(incoming: Incoming, lease: Lease) -> Self {
        let mut body = Self {
            incoming,
            lease: Some(lease),
        };
        if body.incoming.is_end_stream() {
            body.release();
        }
        body
    }

    /// The next bytes; `None` at the proper end of the body.
    pub fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes>>> {
        loop {
            let Some(frame) = ready!(Pin::new(&mut self.incoming).poll_frame(cx)) else {
                self.release();
                return Poll::Ready(None);
            };
            match frame {
                Ok(frame) => {
                    // Trailers carry nothing that is read here.
                    if let Ok(bytes) = frame.into_data()
                        && !bytes.is_empty()
                    {
                        if self.incoming.is_end_stream() {
                            self.release();
                        }
                        return Poll::Ready(Some(Ok(bytes)));
                    }
                }
                Err(_) => return Poll::Ready(Some(Err(cut()))),
            }
        }
    }

    pub async fn chunk(&mut self) -> Option<Result<Bytes>> {
        std::future::poll_fn(|cx| self.poll_chunk(cx)).await
    }

    /// The whole body, up to `limit` bytes. In the usual case it came in one piece and is not copied.
    pub async fn collect(mut self, limit: usize) -> Result<Bytes> {
        let too_large = || Error::upstream_invalid("The provider's answer is larger than allowed.");
        let announced = self.incoming.size_hint().lower();
        if announced > limit as u64 {
            return Err(too_large());
        }
        let Some(first) = self.chunk().await.transpose()? else {
            return Ok(Bytes::new());
        };
        let Some(second) = self.chunk().await.transpose()? else {
            return Ok(first);
        };
        let mut whole = Vec::with_capacity(
            usize::try_from(announced)
                .unwrap_or(0)
                .max(first.len() + second.len()),
        );
        whole.extend_from_slice(&first);
        let mut next = Some(second);
        while let Some(bytes) = next {
            if whole.len() + bytes.len() > limit {
                return Err(too_large());
            }
            whole.extend_from_slice(&bytes);
            next = self.chunk().await.transpose()?;
        }
        Ok(whole.into())
    }

    fn release(&mut self) {
        if let Some(Lease {
            sender,
            endpoint,
            pool,
        }) = self.lease.take()
        {
            pool.give(&endpoint, sender, Instant::now());
        }
    }
}

fn cut() -> Error {
    Error::new(
        Kind::Upstream,
        "upstream_closed",
        "The provider closed the connection in the middle of its answer.",
    )
}
