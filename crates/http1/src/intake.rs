//! The part of a request body that is still on its way: its decoder and the feed it goes to.
//!
//! It reads from the socket only what the service asks for, and a little more when that saves a system
//! call; what lies beyond the body goes to the connection's inbox.

use std::{
    mem::MaybeUninit,
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, ReadBuf};
use tollgate_base::{Error, Result};

use crate::{
    body::{Feed, Want},
    chunked::Chunked,
    fault,
};

/// One read of a head, of chunks or of what comes early. It lies on the stack, so that a connection that
/// waits owns no buffer.
pub(crate) const SCRATCH: usize = 16 * 1024;
/// Room made at once for a body of declared length, before its bytes are there.
const ROOM_AHEAD: u64 = 64 * 1024;

#[derive(Debug)]
pub(crate) struct Intake {
    feed: Arc<Feed>,
    decoder: Decoder,
    /// The client waits for `100 Continue` before it sends the body.
    pub(crate) expects_continue: bool,
}

#[derive(Debug)]
pub(crate) enum Decoder {
    Length { left: u64 },
    Chunked(Chunked),
}

/// What came of an attempt to fill the feed.
#[derive(Debug)]
pub(crate) enum Fill {
    /// The service waits for nothing.
    Unwanted,
    /// `100 Continue` has to be sent first.
    Continue,
    Delivered,
    /// The body is whole, or broken; either way there is nothing more to read of it.
    Ended,
    Failed,
    /// The client closed, or its connection broke.
    Gone,
}

// === impl Intake ===

impl Intake {
    pub(crate) fn new(feed: Arc<Feed>, decoder: Decoder, expects_continue: bool) -> Self {
        Self {
            feed,
            decoder,
            expects_continue,
        }
    }

    /// Bytes to come, as far as they are known.
    pub(crate) fn left(&self) -> Option<u64> {
        match self.decoder {
            Decoder::Length { left } => Some(left),
            Decoder::Chunked(_) => None,
        }
    }

    pub(crate) fn poll_fill<IO: AsyncRead + Unpin>(
        &mut self,
        io: &mut IO,
        inbox: &mut BytesMut,
        cx: &mut Context<'_>,
    ) -> Poll<Fill> {
        let mut feed = self.feed.lock();
        feed.remember_connection(cx);
        if feed.want == Want::Nothing {
            return Poll::Ready(Fill::Unwanted);
        }
        if std::mem::take(&mut self.expects_continue) && inbox.is_empty() {
            return Poll::Ready(Fill::Continue);
        }
        loop {
            match self.decoder.decode(inbox, &mut feed.ready) {
                Ok(false) => {}
                Ok(true) => {
                    feed.ended = true;
                    feed.deliver(Some(cx));
                    return Poll::Ready(Fill::Ended);
                }
                Err(error) => {
                    feed.fail(error);
                    feed.deliver(Some(cx));
                    return Poll::Ready(Fill::Failed);
                }
            }
            if feed.is_satisfied() {
                feed.deliver(Some(cx));
                return Poll::Ready(Fill::Delivered);
            }
            let read = match &mut self.decoder {
                Decoder::Length { left } => {
                    ready!(poll_read_direct(io, left, &mut feed.ready, inbox, cx))
                }
                Decoder::Chunked(_) => ready!(poll_read_into(io, inbox, cx)),
            };
            if read == 0 {
                return Poll::Ready(Fill::Gone);
            }
        }
    }

    /// Reads and drops what the service left. Ready with whether the body ended within `budget`.
    pub(crate) fn poll_discard<IO: AsyncRead + Unpin>(
        &mut self,
        io: &mut IO,
        inbox: &mut BytesMut,
        budget: &mut usize,
        cx: &mut Context<'_>,
    ) -> Poll<bool> {
        let mut dropped = BytesMut::new();
        loop {
            let before = inbox.len();
            match self.decoder.decode(inbox, &mut dropped) {
                Ok(true) => return Poll::Ready(true),
                Ok(false) => dropped.clear(),
                Err(_) => return Poll::Ready(false),
            }
            let used = before - inbox.len();
            if used > *budget {
                return Poll::Ready(false);
            }
            *budget -= used;
            if ready!(poll_read_into(io, inbox, cx)) == 0 {
                return Poll::Ready(false);
            }
        }
    }

    /// Tells the service that no more will come.
    pub(crate) fn fail(&self, error: Error, cx: Option<&Context<'_>>) {
        let mut feed = self.feed.lock();
        feed.fail(error);
        feed.deliver(cx);
    }
}

impl Drop for Intake {
    /// A body that was moved to another task must not wait for a connection that is gone.
    fn drop(&mut self) {
        self.fail(fault::exchange_over(), None);
    }
}

// === impl Decoder ===

impl Decoder {
    /// Moves body bytes from `inbox` to `out`, and says whether the body is whole.
    fn decode(&mut self, inbox: &mut BytesMut, out: &mut BytesMut) -> Result<bool> {
        match self {
            Decoder::Length { left } => {
                let n = usize::try_from(*left).map_or(inbox.len(), |left| left.min(inbox.len()));
                out.extend_from_slice(&inbox[..n]);
                consume(inbox, n);
                *left -= n as u64;
                Ok(*left == 0)
            }
            Decoder::Chunked(chunked) => {
                let used = chunked.decode(inbox, out)?;
                consume(inbox, used);
                Ok(chunked.is_done())
            }
        }
    }
}

/// Takes `n` bytes off the front, and gives the buffer back when nothing is left in it.
pub(crate) fn consume(inbox: &mut BytesMut, n: usize) {
    if n == inbox.len() {
        *inbox = BytesMut::new();
    } else {
        inbox.advance(n);
    }
}

/// Reads once into `inbox`. Ready with 0 when the client is gone.
pub(crate) fn poll_read_into<IO: AsyncRead + Unpin>(
    io: &mut IO,
    inbox: &mut BytesMut,
    cx: &mut Context<'_>,
) -> Poll<usize> {
    let mut space = [MaybeUninit::<u8>::uninit(); SCRATCH];
    let mut buf = ReadBuf::uninit(&mut space);
    match ready!(Pin::new(io).poll_read(cx, &mut buf)) {
        Ok(()) => {
            inbox.extend_from_slice(buf.filled());
            Poll::Ready(buf.filled().len())
        }
        Err(_) => Poll::Ready(0),
    }
}

/// Reads once to where the service will find it. The room is at least one byte larger than the rest of a
/// small body: a read that does not fill its buffer spares the runtime the read that would find nothing.
fn poll_read_direct<IO: AsyncRead + Unpin>(
    io: &mut IO,
    left: &mut u64,
    out: &mut BytesMut,
    inbox: &mut BytesMut,
    cx: &mut Context<'_>,
) -> Poll<usize> {
    let room = usize::try_from((*left).min(ROOM_AHEAD)).unwrap_or(usize::MAX);
    out.reserve(room + 1);
    let before = out.len();
    let Ok(n) = ready!(pin!(io.read_buf(out)).poll(cx)) else {
        return Poll::Ready(0);
    };
    let of_body = usize::try_from(*left).map_or(n, |left| left.min(n));
    if of_body < n {
        inbox.extend_from_slice(&out[before + of_body..]);
        out.truncate(before + of_body);
    }
    *left -= of_body as u64;
    Poll::Ready(n)
}
