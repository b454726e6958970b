//! The request body as the service sees it, and the feed through which the connection fills it.
//!
//! A body that came with its head is handed over whole and shares nothing. Any other body goes through a
//! [`Feed`]: the service says what it wants, the connection, which alone touches the socket, reads that
//! much and no more. Framing is the connection's; limits and waiting are here.

use std::{
    fmt, mem,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use bytes::{Bytes, BytesMut};
use parking_lot::{Mutex, MutexGuard};
use tollgate_base::{Error, Result};

use crate::fault;

/// The body of a request: read it whole with [`collect`](Self::collect), or in pieces with
/// [`chunk`](Self::chunk), or not at all.
pub struct RequestBody {
    declared: Option<u64>,
    source: Source,
}

enum Source {
    Whole(Bytes),
    Fed(Arc<Feed>),
}

/// Where the connection leaves body bytes and the service takes them.
pub(crate) struct Feed(Mutex<FeedState>);

pub(crate) struct FeedState {
    /// Decoded bytes that the service has not taken yet.
    pub(crate) ready: BytesMut,
    pub(crate) want: Want,
    /// The last byte of the body is in `ready` or was.
    pub(crate) ended: bool,
    failed: Option<Error>,
    service: Option<Waker>,
    connection: Option<Waker>,
}

/// What the service waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Want {
    Nothing,
    Piece,
    All { limit: u64 },
}

// === impl RequestBody ===

impl RequestBody {
    pub(crate) fn whole(declared: Option<u64>, bytes: Bytes) -> Self {
        Self {
            declared,
            source: Source::Whole(bytes),
        }
    }

    pub(crate) fn fed(declared: Option<u64>, feed: Arc<Feed>) -> Self {
        Self {
            declared,
            source: Source::Fed(feed),
        }
    }

    /// The declared length; `None` when the body is chunked.
    pub fn content_length(&self) -> Option<u64> {
        self.declared
    }

    /// Whether there is nothing to read, as far as is known without reading.
    pub fn is_empty(&self) -> bool {
        match &self.source {
            Source::Whole(bytes) => bytes.is_empty(),
            Source::Fed(_) => false,
        }
    }

    /// The whole body. 413 `request_too_large` as soon as it is known to exceed `limit`, by its declared
    /// length before anything is read; 408 `request_timeout` when it does not arrive in time.
    pub async fn collect(&mut self, limit: u64) -> Result<Bytes> {
        if self.declared.is_some_and(|length| length > limit) {
            return Err(fault::body_too_large(limit));
        }
        match &mut self.source {
            Source::Whole(bytes) if bytes.len() as u64 > limit => Err(fault::body_too_large(limit)),
            Source::Whole(bytes) => Ok(mem::take(bytes)),
            Source::Fed(feed) => std::future::poll_fn(|cx| feed.poll_all(cx, limit)).await,
        }
    }

    /// The next piece, or `None` at the end of the body.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>> {
        std::future::poll_fn(|cx| self.poll_chunk(cx)).await
    }

    /// As [`chunk`](Self::chunk), for who has a place in a poll.
    pub fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>>> {
        match &mut self.source {
            Source::Whole(bytes) if bytes.is_empty() => Poll::Ready(Ok(None)),
            Source::Whole(bytes) => Poll::Ready(Ok(Some(mem::take(bytes)))),
            Source::Fed(feed) => feed.poll_piece(cx),
        }
    }
}

impl From<Bytes> for RequestBody {
    /// A body that is there already, for services that are called without a connection.
    fn from(bytes: Bytes) -> Self {
        Self::whole(Some(bytes.len() as u64), bytes)
    }
}

impl fmt::Debug for RequestBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestBody")
            .field("declared", &self.declared)
            .finish_non_exhaustive()
    }
}

impl Drop for RequestBody {
    fn drop(&mut self) {
        if let Source::Fed(feed) = &self.source {
            let mut state = feed.lock();
            state.want = Want::Nothing;
            state.service = None;
            state.ready = BytesMut::new();
        }
    }
}

// === impl Feed ===

impl Feed {
    pub(crate) fn new(ready: BytesMut) -> Arc<Self> {
        Arc::new(Self(Mutex::new(FeedState {
            ready,
            want: Want::Nothing,
            ended: false,
            failed: None,
            service: None,
            connection: None,
        })))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, FeedState> {
        self.0.lock()
    }

    fn poll_piece(&self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>>> {
        let mut state = self.lock();
        if !state.ready.is_empty() {
            return Poll::Ready(Ok(Some(state.ready.split().freeze())));
        }
        if let Some(error) = &state.failed {
            return Poll::Ready(Err(error.clone()));
        }
        if state.ended {
            return Poll::Ready(Ok(None));
        }
        state.wait(cx, Want::Piece);
        Poll::Pending
    }

    fn poll_all(&self, cx: &mut Context<'_>, limit: u64) -> Poll<Result<Bytes>> {
        let mut state = self.lock();
        if state.ready.len() as u64 > limit {
            state.want = Want::Nothing;
            return Poll::Ready(Err(fault::body_too_large(limit)));
        }
        if let Some(error) = &state.failed {
            return Poll::Ready(Err(error.clone()));
        }
        if state.ended {
            return Poll::Ready(Ok(mem::take(&mut state.ready).freeze()));
        }
        state.wait(cx, Want::All { limit });
        Poll::Pending
    }
}

impl fmt::Debug for Feed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Feed").finish_non_exhaustive()
    }
}

// === impl FeedState ===

impl FeedState {
    fn wait(&mut self, cx: &Context<'_>, want: Want) {
        self.want = want;
        self.service = Some(cx.waker().clone());
        // A body that was moved to another task has to wake the connection; within the connection's own
        // task the connection looks at `want` right after it has polled the service.
        if let Some(waker) = self
            .connection
            .take_if(|waker| !waker.will_wake(cx.waker()))
        {
            waker.wake();
        }
    }

    /// Whether the service has what it waits for, or enough to fail.
    pub(crate) fn is_satisfied(&self) -> bool {
        match self.want {
            Want::Nothing => true,
            Want::Piece => !self.ready.is_empty(),
            Want::All { limit } => self.ready.len() as u64 > limit,
        }
    }

    pub(crate) fn fail(&mut self, error: Error) {
        if !self.ended {
            self.failed.get_or_insert(error);
        }
    }

    /// Hands over: the service is polled again, by its own task or by the caller when that is the same.
    pub(crate) fn deliver(&mut self, cx: Option<&Context<'_>>) {
        self.want = Want::Nothing;
        if let Some(waker) = self.service.take()
            && !cx.is_some_and(|cx| waker.will_wake(cx.waker()))
        {
            waker.wake();
        }
    }

    pub(crate) fn remember_connection(&mut self, cx: &Context<'_>) {
        if !self
            .connection
            .as_ref()
            .is_some_and(|waker| waker.will_wake(cx.waker()))
        {
            self.connection = Some(cx.waker().clone());
        }
    }
}
