//! Bodies on their way to and from a provider.

use std::{
    fmt, mem,
    task::{Context, Poll, ready},
    time::Instant,
};

use bytes::Bytes;
use tollgate_base::{Error, Kind, Result};

use crate::{
    Endpoint,
    chunked::{Chunks, Step},
    connection::Connection,
    head::{Framing, Improper},
    pool::Pool,
};

/// A request's body, sent once: whole, or in pieces as they come in from somewhere else.
pub struct RequestBody(Sent);

enum Sent {
    Whole(Bytes),
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
    reading: Reading,
    /// `None` when the end was read, or when there is none to come.
    lease: Option<Lease>,
}

/// How far a body was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reading {
    /// Bytes that are still to come.
    Length(u64),
    Chunked(Chunks),
    Close,
}

/// A connection in use.
#[derive(Debug)]
pub(crate) struct Lease {
    pub(crate) connection: Connection,
    pub(crate) endpoint: Endpoint,
    pub(crate) pool: Pool,
    /// It can be used again when the body is read.
    pub(crate) keeps: bool,
}

// === impl RequestBody ===

impl RequestBody {
    pub fn new(bytes: Bytes) -> Self {
        Self(Sent::Whole(bytes))
    }

    pub fn pieces(source: Box<dyn Pieces>) -> Self {
        let left = source.length();
        Self(Sent::Pieces {
            source,
            left,
            ended: left == Some(0),
        })
    }

    /// Its length in bytes, where that is known.
    pub(crate) fn length(&self) -> Option<u64> {
        match &self.0 {
            Sent::Whole(bytes) => Some(bytes.len() as u64),
            Sent::Pieces { left, .. } => *left,
        }
    }

    /// All of it, where it is whole: then no piece is left.
    pub(crate) fn take_whole(&mut self) -> Bytes {
        match &mut self.0 {
            Sent::Whole(bytes) => mem::take(bytes),
            Sent::Pieces { .. } => Bytes::new(),
        }
    }

    /// The next piece; `None` at the end. Never more than was announced.
    pub(crate) fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>>> {
        let Sent::Pieces {
            source,
            left,
            ended,
        } = &mut self.0
        else {
            return Poll::Ready(Ok(None));
        };
        if *ended {
            return Poll::Ready(Ok(None));
        }
        let piece = ready!(source.poll_piece(cx)).inspect_err(|_| *ended = true)?;
        match (&piece, &mut *left) {
            (Some(bytes), Some(left)) => {
                let after = left.checked_sub(bytes.len() as u64);
                *left = after.ok_or_else(|| {
                    *ended = true;
                    mismatch()
                })?;
                *ended = *left == 0;
            }
            (None, Some(1..)) => {
                *ended = true;
                return Poll::Ready(Err(mismatch()));
            }
            (None, _) => *ended = true,
            (Some(_), None) => {}
        }
        Poll::Ready(Ok(piece))
    }
}

/// The provider would wait for the rest for ever, or take it for the next request.
fn mismatch() -> Error {
    Error::internal("A request's body has another length than was announced.")
}

impl From<Bytes> for RequestBody {
    fn from(bytes: Bytes) -> Self {
        Self::new(bytes)
    }
}

impl fmt::Debug for RequestBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("RequestBody").finish_non_exhaustive()
    }
}

// === impl ReplyBody ===

impl ReplyBody {
    pub(crate) fn new(framing: Framing, lease: Lease) -> Self {
        let reading = match framing {
            Framing::Length(length) => Reading::Length(length),
            Framing::Chunked => Reading::Chunked(Chunks::Size),
            Framing::Close => Reading::Close,
        };
        let mut body = Self {
            reading,
            lease: Some(lease),
        };
        body.release_at_end();
        body
    }

    /// The next bytes; `None` at the proper end of the body.
    pub fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes>>> {
        loop {
            let Some(Lease { connection, .. }) = &mut self.lease else {
                return Poll::Ready(None);
            };
            match self.reading.next(connection) {
                Ok(Step::Data(bytes)) => {
                    self.release_at_end();
                    return Poll::Ready(Some(Ok(bytes)));
                }
                Ok(Step::End) => {
                    self.release();
                    return Poll::Ready(None);
                }
                Ok(Step::More) => {}
                Err(Improper) => return Poll::Ready(Some(Err(self.break_off()))),
            }
            match ready!(connection.poll_fill(cx, self.reading.expected())) {
                Ok(0) if self.reading == Reading::Close => {
                    self.lease = None;
                    return Poll::Ready(None);
                }
                Ok(0) | Err(_) => return Poll::Ready(Some(Err(self.break_off()))),
                Ok(_) => {}
            }
        }
    }

    pub async fn chunk(&mut self) -> Option<Result<Bytes>> {
        std::future::poll_fn(|cx| self.poll_chunk(cx)).await
    }

    /// The whole body, up to `limit` bytes. In the usual case it came in one piece and is not copied.
    pub async fn collect(mut self, limit: usize) -> Result<Bytes> {
        let too_large = || Error::upstream_invalid("The provider's answer is larger than allowed.");
        let announced = self.reading.expected();
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

    /// Gives the connection back as soon as the last byte was read, whoever asks for more.
    fn release_at_end(&mut self) {
        if matches!(
            self.reading,
            Reading::Length(0) | Reading::Chunked(Chunks::Done)
        ) {
            self.release();
        }
    }

    fn release(&mut self) {
        if let Some(Lease {
            mut connection,
            endpoint,
            pool,
            keeps,
        }) = self.lease.take()
            && keeps
            && connection.inbox.is_empty()
        {
            // Idle connections hold no memory.
            connection.inbox = bytes::BytesMut::new();
            pool.give(&endpoint, connection, Instant::now());
        }
    }

    fn break_off(&mut self) -> Error {
        self.lease = None;
        Error::new(
            Kind::Upstream,
            "upstream_closed",
            "The provider closed the connection in the middle of its answer.",
        )
    }
}

// === impl Reading ===

impl Reading {
    /// The next piece of what came.
    fn next(&mut self, Connection { inbox, .. }: &mut Connection) -> Result<Step, Improper> {
        match self {
            Reading::Chunked(chunks) => chunks.next(inbox),
            Reading::Length(0) => Ok(Step::End),
            _ if inbox.is_empty() => Ok(Step::More),
            Reading::Length(left) => {
                let n = usize::try_from(*left).map_or(inbox.len(), |left| left.min(inbox.len()));
                *left -= n as u64;
                Ok(Step::Data(inbox.split_to(n).freeze()))
            }
            Reading::Close => Ok(Step::Data(inbox.split().freeze())),
        }
    }

    /// How many bytes are known to come.
    fn expected(self) -> u64 {
        match self {
            Reading::Length(left) => left,
            Reading::Chunked(_) | Reading::Close => 0,
        }
    }
}
