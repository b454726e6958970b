//! Bodies on their way to and from a provider.

use std::{
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Instant,
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::{body::Incoming, client::conn::http1::SendRequest};
use tollgate_base::{Error, Kind, Result};

use crate::{Endpoint, pool::Pool};

/// A request's body: whole, and sent once.
#[derive(Debug)]
pub struct RequestBody(Option<Bytes>);

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
        Self((!bytes.is_empty()).then_some(bytes))
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.0.take().map(|bytes| Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.0.as_ref().map_or(0, |bytes| bytes.len() as u64))
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
