//! A request on its way out and the head of its answer: both at once, because an answer may come before the
//! request is sent whole, and says then that nobody wants the rest of it.

use std::{
    io::{self, IoSlice},
    mem,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{Buf as _, Bytes};
use http::{HeaderMap, HeaderValue, Method, Uri};
use tokio::io::AsyncWrite;
use tollgate_base::{Error, crash_point};

use crate::{
    RequestBody,
    connection::Connection,
    head::{self, Announced, Head, Improper},
};

/// Heads that announce another one, before it is refused to go on.
const MOST_INTERIM: usize = 16;

/// A request that is to be sent, or is being sent.
#[derive(Debug)]
pub(crate) struct Outgoing {
    method: Method,
    announced: Announced,
    body: RequestBody,
    /// What waits to be written, in this order: a head or the size of a chunk, data, the end of a chunk.
    parts: [Bytes; 3],
    state: State,
    has_begun: bool,
    arrival: Arrival,
}

/// What came of an answer before its head was whole.
#[derive(Debug, Default)]
struct Arrival {
    /// Heads that announced another one.
    n_interim: usize,
    /// Bytes of the present one that were looked at.
    n_seen: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    // ## Body => Flush: the body is at its end, and so is what is to be written
    Body,
    // ## Flush => Sent
    Flush,
    Sent,
}

/// Why there is no answer.
#[derive(Debug)]
pub(crate) enum Broken {
    /// The connection was closed before it took a byte. The request is as it was.
    Unused,
    Closed,
    /// No head came in time.
    TooSlow,
    Improper,
    /// The body that was to be sent broke off.
    Body(Error),
}

// === impl Outgoing ===

impl Outgoing {
    pub(crate) fn new(
        method: Method,
        target: &Uri,
        (authority, headers): (&HeaderValue, &HeaderMap),
        mut body: RequestBody,
    ) -> Self {
        let announced = body.length().map_or(Announced::Chunked, Announced::Length);
        let head = head::render(&method, target, (authority, headers), announced);
        let whole = body.take_whole();
        Self {
            method,
            announced,
            body,
            parts: [head.into(), whole, Bytes::new()],
            state: State::Body,
            has_begun: false,
            arrival: Arrival::default(),
        }
    }

    /// Sends the request and waits for the head of the answer. The connection can be used again when the whole
    /// request was sent and the answer says so.
    pub(crate) fn poll(
        &mut self,
        connection: &mut Connection,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Head, Broken>> {
        let sent = self.poll_send(&mut connection.stream, cx);
        match sent {
            Poll::Ready(Err(Unsent::Io)) if !self.has_begun => {
                return Poll::Ready(Err(Broken::Unused));
            }
            Poll::Ready(Err(Unsent::Body(error))) => return Poll::Ready(Err(Broken::Body(error))),
            // Who stops reading may have answered before.
            Poll::Ready(Err(Unsent::Io) | Ok(())) | Poll::Pending => {}
        }
        let mut head = ready!(self.poll_head(connection, cx))?;
        head.keeps &= self.state == State::Sent;
        Poll::Ready(Ok(head))
    }

    fn poll_head(
        &mut self,
        connection: &mut Connection,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Head, Broken>> {
        loop {
            let inbox = &mut connection.inbox;
            if self.arrival.is_worth_a_look(inbox)
                && let Some(head) = head::take(inbox, &self.method)?
            {
                if !head.status.is_informational() {
                    return Poll::Ready(Ok(head));
                }
                self.arrival.n_seen = 0;
                self.arrival.n_interim += 1;
                // Nobody asked for another protocol.
                if head.status.as_u16() == 101 || self.arrival.n_interim > MOST_INTERIM {
                    return Poll::Ready(Err(Broken::Improper));
                }
                continue;
            }
            match ready!(connection.poll_fill(cx, 0)) {
                Ok(0) | Err(_) => return Poll::Ready(Err(Broken::Closed)),
                Ok(_) => {}
            }
        }
    }

    fn poll_send<IO: AsyncWrite + Unpin>(
        &mut self,
        io: &mut IO,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Unsent>> {
        while self.state == State::Body {
            ready!(self.poll_parts(io, cx)).map_err(|_| Unsent::Io)?;
            match ready!(self.body.poll_piece(cx)).map_err(Unsent::Body)? {
                Some(piece) => self.queue(piece),
                None => self.finish(),
            }
        }
        if self.state == State::Flush {
            ready!(self.poll_parts(io, cx)).map_err(|_| Unsent::Io)?;
            ready!(Pin::new(io).poll_flush(cx)).map_err(|_| Unsent::Io)?;
            self.state = State::Sent;
            crash_point("after-body");
        }
        Poll::Ready(Ok(()))
    }

    fn queue(&mut self, piece: Bytes) {
        if piece.is_empty() {
            // An empty chunk would end the body.
            return;
        }
        self.parts = match self.announced {
            Announced::Length(_) => [Bytes::new(), piece, Bytes::new()],
            Announced::Chunked => [
                head::chunk_line(piece.len()),
                piece,
                Bytes::from_static(b"\r\n"),
            ],
        };
    }

    fn finish(&mut self) {
        if self.announced == Announced::Chunked {
            self.parts[0] = Bytes::from_static(b"0\r\n\r\n");
        }
        self.state = State::Flush;
    }

    /// Writes what waits.
    fn poll_parts<IO: AsyncWrite + Unpin>(
        &mut self,
        io: &mut IO,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        while self.parts.iter().any(|part| !part.is_empty()) {
            // Nearly every request is one write: a part of it may have gone out, or all.
            crash_point("mid-body");
            let n = ready!(write(&self.parts, io, cx))?;
            if n == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            crash_point("after-head-sent");
            self.has_begun = true;
            self.written(n);
        }
        Poll::Ready(Ok(()))
    }

    fn written(&mut self, mut n: usize) {
        for part in &mut self.parts {
            let of_part = n.min(part.len());
            part.advance(of_part);
            n -= of_part;
        }
    }
}

impl Arrival {
    /// Whether these bytes may be a whole head, or are the first: a head that comes byte by byte is not read from
    /// its beginning with each of them.
    fn is_worth_a_look(&mut self, inbox: &[u8]) -> bool {
        let n_seen = mem::replace(&mut self.n_seen, inbox.len());
        let new = inbox.get(n_seen.saturating_sub(3)..).unwrap_or_default();
        let ends = || new.windows(2).any(|end| end == b"\n\n" || end == b"\n\r");
        !inbox.is_empty() && (n_seen == 0 || inbox.len() >= head::LONGEST || ends())
    }
}

/// Why a request could not be sent whole.
enum Unsent {
    Io,
    Body(Error),
}

fn write<IO: AsyncWrite + Unpin>(
    parts: &[Bytes; 3],
    io: &mut IO,
    cx: &mut Context<'_>,
) -> Poll<io::Result<usize>> {
    let mut slices = [IoSlice::new(&[]); 3];
    let mut n_slices = 0;
    let full = parts.iter().filter(|part| !part.is_empty());
    for (slice, part) in slices.iter_mut().zip(full) {
        *slice = IoSlice::new(part);
        n_slices += 1;
    }
    Pin::new(io).poll_write_vectored(cx, &slices[..n_slices])
}

impl From<Improper> for Broken {
    fn from(_: Improper) -> Self {
        Broken::Improper
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_that_comes_byte_by_byte_is_looked_at_when_it_is_whole_and_seldom_before() {
        for end in ["\r\n\r\n", "\n\n", "\r\n\n", "\n\r\n"] {
            for step in 1..5 {
                let head = format!("HTTP/1.1 200 OK\r\n{}x: y{end}", "a: b\r\n".repeat(50));
                let (mut arrival, mut looks, mut last) = (Arrival::default(), 0, false);
                for length in (1..head.len()).step_by(step).chain([head.len()]) {
                    last = arrival.is_worth_a_look(&head.as_bytes()[..length]);
                    looks += usize::from(last);
                }
                assert!(last, "{end:?} in steps of {step}");
                assert!(looks <= 4, "{looks} looks in steps of {step}");
            }
        }
    }
}
