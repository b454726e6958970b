//! One connection to a provider, and the bytes that came on it and were not used yet.

use std::{
    io,
    pin::{Pin, pin},
    task::{Context, Poll, Waker, ready},
};

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncReadExt as _, ReadBuf};

use crate::connect::Stream;

/// Room for an answer of the usual size with its head; a stream's events need less.
const ROOM: usize = 4 * 1024 - 1;
/// The most room that is made for a body because of its length.
const MOST_ROOM: usize = 128 * 1024 - 1;

/// A connection that is ready for a request, or in the middle of an exchange. Dropped, it is closed.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) stream: Stream,
    pub(crate) inbox: BytesMut,
}

impl Connection {
    pub(crate) fn new(stream: Stream) -> Self {
        Self {
            stream,
            inbox: BytesMut::new(),
        }
    }

    /// Whether an idle connection can take a request: the provider has not closed it, nor sent what nobody asked
    /// for, which would be taken for the next answer.
    pub(crate) fn is_usable(&mut self) -> bool {
        let mut byte = [0];
        let mut space = ReadBuf::new(&mut byte);
        let mut nobody = Context::from_waker(Waker::noop());
        self.inbox.is_empty()
            && Pin::new(&mut self.stream)
                .poll_read(&mut nobody, &mut space)
                .is_pending()
    }

    /// Reads once; 0 is the end. `expected` is how many bytes are known to come.
    pub(crate) fn poll_fill(
        &mut self,
        cx: &mut Context<'_>,
        expected: u64,
    ) -> Poll<io::Result<usize>> {
        let wanted = match usize::try_from(expected) {
            Ok(0) => ROOM / 4,
            Ok(expected) => expected.min(MOST_ROOM),
            Err(_) => MOST_ROOM,
        };
        // A byte more than comes: a read that does not fill its room spares the runtime one that finds nothing.
        if self.inbox.capacity() - self.inbox.len() <= wanted.min(ROOM) {
            self.inbox.reserve(wanted.max(ROOM) + 1);
        }
        let read = self.stream.read_buf(&mut self.inbox);
        Poll::Ready(ready!(pin!(read).poll(cx)))
    }
}
