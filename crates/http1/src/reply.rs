//! A response on its way out: its head, the framing of its body, and the bytes that wait for the socket.
//!
//! What is ready is written as it becomes ready. Small pieces are copied behind the head so that one
//! write carries them; large ones are written from where they lie, in one vectored write.

use std::{
    collections::VecDeque,
    io::{self, IoSlice},
    mem,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{HeaderMap, StatusCode, header};
use tokio::io::AsyncWrite;

use crate::date;

/// Data shorter than this is copied: cheaper than a slice of its own.
const COPIED_BELOW: usize = 2 * 1024;
/// Room kept between writes; streams of thousands of connections should not each hold more.
const KEPT_ROOM: usize = 1024;
const MOST_SLICES: usize = 16;

/// How the body of a response ends for the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// No body, and no word of one: HEAD of unknown length, 204, 304.
    Bodiless,
    Length(u64),
    Chunked,
    /// HTTP/1.0 without a known length.
    Close,
}

/// What a response head says of the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Persistence {
    Close,
    /// HTTP/1.1: nothing needs to be said.
    Implied,
    /// HTTP/1.0: it has to be said.
    Stated,
}

/// Bytes that wait to be written, in order.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    queue: VecDeque<Bytes>,
    tail: Vec<u8>,
    /// How much of `tail` is written.
    tail_at: usize,
    n_queued: usize,
    unflushed: bool,
    /// Bytes were taken by the socket since this was last cleared.
    pub(crate) moved: bool,
}

// === impl Outbox ===

impl Outbox {
    pub(crate) fn n_bytes(&self) -> usize {
        self.n_queued + self.tail.len() - self.tail_at
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.n_bytes() == 0 && !self.unflushed
    }

    pub(crate) fn push_copied(&mut self, text: &[u8]) {
        self.tail.extend_from_slice(text);
    }

    pub(crate) fn push(&mut self, data: Bytes) {
        if data.len() < COPIED_BELOW {
            return self.tail.extend_from_slice(&data);
        }
        if self.tail.len() > self.tail_at {
            let mut tail = Bytes::from(mem::take(&mut self.tail));
            let tail = tail.split_off(self.tail_at);
            self.tail_at = 0;
            self.n_queued += tail.len();
            self.queue.push_back(tail);
        }
        self.n_queued += data.len();
        self.queue.push_back(data);
    }

    /// One chunk of the chunked coding. Empty data is no chunk: that would end the body.
    pub(crate) fn push_chunk(&mut self, data: Bytes) {
        if data.is_empty() {
            return;
        }
        push_hex(&mut self.tail, data.len());
        self.tail.extend_from_slice(b"\r\n");
        self.push(data);
        self.tail.extend_from_slice(b"\r\n");
    }

    pub(crate) fn push_head(
        &mut self,
        status: StatusCode,
        headers: &HeaderMap,
        ending: Ending,
        persistence: Persistence,
    ) {
        self.tail.reserve(KEPT_ROOM.min(256 + 48 * headers.len()));
        render_head(&mut self.tail, status, headers, ending, persistence);
    }

    /// Writes until nothing waits.
    pub(crate) fn poll_drain<IO: AsyncWrite + Unpin>(
        &mut self,
        io: &mut IO,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        while self.n_bytes() > 0 {
            let n = ready!(self.poll_write(io, cx))?;
            if n == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.moved = true;
            self.unflushed = true;
            self.advance(n);
        }
        if self.unflushed {
            ready!(Pin::new(io).poll_flush(cx))?;
            self.unflushed = false;
        }
        Poll::Ready(Ok(()))
    }

    fn poll_write<IO: AsyncWrite + Unpin>(
        &self,
        io: &mut IO,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        let tail = &self.tail[self.tail_at..];
        if self.queue.is_empty() {
            return Pin::new(io).poll_write(cx, tail);
        }
        let mut slices = [IoSlice::new(&[]); MOST_SLICES];
        let parts = self.queue.iter().map(|part| &part[..]);
        let mut n_slices = 0;
        for (slice, part) in slices.iter_mut().zip(parts.chain([tail])) {
            *slice = IoSlice::new(part);
            n_slices += 1;
        }
        Pin::new(io).poll_write_vectored(cx, &slices[..n_slices])
    }

    fn advance(&mut self, mut n: usize) {
        while let Some(first) = self.queue.front_mut() {
            let part = n.min(first.len());
            n -= part;
            self.n_queued -= part;
            if part < first.len() {
                bytes::Buf::advance(first, part);
                return;
            }
            self.queue.pop_front();
        }
        self.tail_at += n;
        if self.tail_at == self.tail.len() {
            self.tail_at = 0;
            self.tail.clear();
            if self.tail.capacity() > KEPT_ROOM {
                self.tail = Vec::new();
            }
            if self.queue.capacity() > MOST_SLICES {
                self.queue = VecDeque::new();
            }
        }
    }
}

fn render_head(
    out: &mut Vec<u8>,
    status: StatusCode,
    headers: &HeaderMap,
    ending: Ending,
    persistence: Persistence,
) {
    if status == StatusCode::OK {
        out.extend_from_slice(b"HTTP/1.1 200 OK\r\n");
    } else {
        out.extend_from_slice(b"HTTP/1.1 ");
        out.extend_from_slice(status.as_str().as_bytes());
        out.push(b' ');
        out.extend_from_slice(status.canonical_reason().unwrap_or_default().as_bytes());
        out.extend_from_slice(b"\r\n");
    }
    let mut dated = false;
    for (name, value) in headers {
        // What frames the response is said by the connection alone.
        let is_framing = [
            header::CONTENT_LENGTH,
            header::TRANSFER_ENCODING,
            header::CONNECTION,
            header::TRAILER,
            header::UPGRADE,
        ]
        .contains(name);
        if is_framing {
            continue;
        }
        dated |= name == header::DATE;
        out.extend_from_slice(name.as_str().as_bytes());
        out.extend_from_slice(b": ");
        out.extend_from_slice(value.as_bytes());
        out.extend_from_slice(b"\r\n");
    }
    match ending {
        Ending::Length(length) => {
            out.extend_from_slice(b"content-length: ");
            out.extend_from_slice(itoa::Buffer::new().format(length).as_bytes());
            out.extend_from_slice(b"\r\n");
        }
        Ending::Chunked => out.extend_from_slice(b"transfer-encoding: chunked\r\n"),
        Ending::Bodiless | Ending::Close => {}
    }
    match persistence {
        Persistence::Close => out.extend_from_slice(b"connection: close\r\n"),
        Persistence::Stated => out.extend_from_slice(b"connection: keep-alive\r\n"),
        Persistence::Implied => {}
    }
    if !dated {
        out.extend_from_slice(b"date: ");
        out.extend_from_slice(&date::now());
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b"\r\n");
}

fn push_hex(out: &mut Vec<u8>, value: usize) {
    let n_digits = (usize::BITS - value.leading_zeros()).div_ceil(4).max(1);
    for digit in (0..n_digits).rev() {
        out.push(b"0123456789abcdef"[(value >> (4 * digit)) & 0xf]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_render_as_hexadecimal() {
        for value in [1, 9, 15, 16, 255, 256, 4095, 65536, usize::MAX] {
            let mut out = Vec::new();
            push_hex(&mut out, value);
            assert_eq!(String::from_utf8(out).unwrap(), format!("{value:x}"));
        }
    }

    #[test]
    fn small_and_large_pieces_leave_in_order_however_writes_are_cut() {
        let large = Bytes::from(vec![b'L'; 3 * COPIED_BELOW]);
        let mut expected = b"head".to_vec();
        for _ in 0..40 {
            expected.extend(b"1800\r\n");
            expected.extend(&large);
            expected.extend(b"\r\n3\r\nabc\r\n");
        }
        for step in [1, 7, 2049, 1 << 20] {
            let mut out = Outbox::default();
            out.push_copied(b"head");
            for _ in 0..40 {
                out.push_chunk(large.clone());
                out.push_chunk(Bytes::from_static(b"abc"));
            }
            let mut written = Vec::<u8>::new();
            while out.n_bytes() > 0 {
                let parts = out
                    .queue
                    .iter()
                    .map(|part| &part[..])
                    .chain([&out.tail[out.tail_at..]]);
                let all = parts.collect::<Vec<_>>().concat();
                let n = step.min(all.len());
                written.extend(&all[..n]);
                out.advance(n);
            }
            assert!(written == expected, "in steps of {step}");
            assert!(out.tail.capacity() <= KEPT_ROOM);
        }
    }
}
