//! One connection from its first byte to its last: heads in, one exchange at a time, answers out in order.
//!
//! It owns the socket and every deadline. While the service works and while its answer streams, it keeps
//! looking at the socket, and a client that closes ends the exchange at once: what the service has in
//! flight is dropped in the same poll. A half-closed connection counts as closed.

use std::{
    future::poll_fn,
    mem::{self, MaybeUninit},
    net::SocketAddr,
    ops::ControlFlow,
    pin::{Pin, pin},
    task::{Context, Poll, ready},
};

use bytes::{Bytes, BytesMut};
use http::{Method, StatusCode, Version, uri::PathAndQuery};
use http_body::Body;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::Instant,
};
use tollgate_base::{Error, Result};

use crate::{
    Request, RequestBody, Service, Settings, Stop,
    alarm::Alarm,
    body::Feed,
    chunked::Chunked,
    fault,
    head::{self, Framing, Head, Scan},
    intake::{Decoder, Fill, Intake, SCRATCH, consume, poll_read_into},
    reply::{Outbox, Persistence},
    sending::{Asked, Sending},
    stop::Listener,
};

/// What is read ahead of an exchange that does not ask for it, to notice the client's end.
const READ_AHEAD: usize = 16 * 1024;
/// A body that waits for the socket is not asked for more.
const WRITE_AHEAD: usize = 16 * 1024;
/// What is read and dropped of a request body that the service left, and of a connection being closed.
const DISCARDED: usize = 64 * 1024;
const DISCARD_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(1);
/// Room for a body that has only been declared.
const BODY_ROOM: u64 = 128 * 1024;

/// Serves one connection until it ends: by the client, by a deadline, by a request that cannot be framed,
/// or by `stop`.
pub async fn serve<IO, S>(io: IO, peer: SocketAddr, settings: &Settings, service: &S, stop: Stop)
where
    IO: AsyncRead + AsyncWrite + Unpin + Send,
    S: Service,
{
    let mut connection = Connection::new(io, settings, stop.listen());
    loop {
        let after = match connection.next_head().await {
            Next::Request(head) => connection.exchange(*head, peer, service).await,
            Next::Refused(error, target) => {
                let response = service.refuse(error, target.as_deref());
                connection.answer(response, &Asked::REFUSED).await
            }
            Next::Closed => After::Close,
            Next::Gone => After::Gone,
        };
        match after {
            After::Next => {}
            After::Close => return connection.close(0).await,
            After::Linger => return connection.close(DISCARDED).await,
            After::Gone => return,
        }
    }
}

struct Connection<'a, IO> {
    io: IO,
    settings: &'a Settings,
    listener: Listener,
    /// Read and not used: part of a head, or what a client sends ahead of its turn.
    inbox: BytesMut,
    out: Outbox,
    alarm: Alarm,
    /// The request body, while it is not wholly here.
    intake: Option<Intake>,
    body_deadline: Option<Instant>,
    write_deadline: Option<Instant>,
    /// The request body broke: what follows it cannot be framed.
    is_broken: bool,
}

enum Next {
    Request(Box<Head>),
    Refused(Error, Option<String>),
    /// Ours to close: the wait was too long, or the stop is set.
    Closed,
    /// Closed by the client.
    Gone,
}

/// What comes after an exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum After {
    Next,
    Close,
    /// Close, but only after the client had time to read the answer: closing with unread bytes resets.
    Linger,
    Gone,
}

/// What looking at the socket brought.
enum Input {
    /// The service should be polled again.
    Progress,
    Gone,
}

/// The wait for a head.
#[derive(Default)]
struct Wait {
    scan: Scan,
    deadline: Option<Instant>,
    /// `deadline` is that of a head that has begun.
    begun: bool,
}

// === impl Connection ===

impl<'a, IO: AsyncRead + AsyncWrite + Unpin + Send> Connection<'a, IO> {
    fn new(io: IO, settings: &'a Settings, listener: Listener) -> Self {
        Self {
            io,
            settings,
            listener,
            inbox: BytesMut::new(),
            out: Outbox::default(),
            alarm: Alarm::default(),
            intake: None,
            body_deadline: None,
            write_deadline: None,
            is_broken: false,
        }
    }

    async fn next_head(&mut self) -> Next {
        let mut wait = Wait::default();
        if !self.inbox.is_empty() {
            let ahead = mem::take(&mut self.inbox);
            if let ControlFlow::Break(next) = self.look_for_head(&mut wait.scan, ahead) {
                return next;
            }
        }
        poll_fn(|cx| self.poll_head(cx, &mut wait)).await
    }

    fn poll_head(&mut self, cx: &mut Context<'_>, wait: &mut Wait) -> Poll<Next> {
        loop {
            let mut space = [MaybeUninit::<u8>::uninit(); SCRATCH];
            let mut buf = ReadBuf::uninit(&mut space);
            match Pin::new(&mut self.io).poll_read(cx, &mut buf) {
                Poll::Pending => break,
                Poll::Ready(Err(_)) => return Poll::Ready(Next::Gone),
                Poll::Ready(Ok(())) => {}
            }
            let new = buf.filled();
            if new.is_empty() {
                return Poll::Ready(Next::Gone);
            }
            let found = if self.inbox.is_empty() {
                self.look_for_head(&mut wait.scan, new)
            } else {
                let mut all = mem::take(&mut self.inbox);
                all.extend_from_slice(new);
                self.look_for_head(&mut wait.scan, all)
            };
            if let ControlFlow::Break(next) = found {
                return Poll::Ready(next);
            }
        }
        let begun = !self.inbox.is_empty();
        if !begun && self.listener.poll_set(cx.waker()) {
            return Poll::Ready(Next::Closed);
        }
        if wait.deadline.is_none() || begun != wait.begun {
            wait.begun = begun;
            let limit = if begun {
                self.settings.head_timeout
            } else {
                self.settings.idle_timeout
            };
            wait.deadline = Some(Instant::now() + limit);
        }
        match wait.deadline.map(|deadline| self.alarm.poll(cx, deadline)) {
            Some(Poll::Ready(())) if begun => {
                Poll::Ready(self.refused(fault::timeout("head"), &[]))
            }
            Some(Poll::Ready(())) => Poll::Ready(Next::Closed),
            _ => Poll::Pending,
        }
    }

    /// Looks for a head in `data`, all that has come, and keeps in the inbox what it does not use.
    fn look_for_head<D>(&mut self, scan: &mut Scan, data: D) -> ControlFlow<Next>
    where
        D: AsRef<[u8]> + IntoInbox,
    {
        let bytes = data.as_ref();
        let found = match scan.find(bytes, self.settings) {
            Ok(Some(extent)) => head::parse(bytes, extent, self.settings),
            Ok(None) => {
                self.inbox = data.into_inbox(0);
                return ControlFlow::Continue(());
            }
            Err(error) => Err(error),
        };
        ControlFlow::Break(match found {
            Ok(head) => {
                self.inbox = data.into_inbox(head.n_used);
                Next::Request(Box::new(head))
            }
            Err(error) => self.refused(error, bytes),
        })
    }

    fn refused(&mut self, error: Error, data: &[u8]) -> Next {
        let inbox = mem::take(&mut self.inbox);
        let target = head::readable_target(if data.is_empty() { &inbox } else { data });
        Next::Refused(error, target.map(str::to_owned))
    }

    async fn exchange<S: Service>(&mut self, head: Head, peer: SocketAddr, service: &S) -> After {
        let asked = Asked {
            is_head: head.method == Method::HEAD,
            version: if head.is_http10 {
                Version::HTTP_10
            } else {
                Version::HTTP_11
            },
            keep_alive: head.keep_alive,
            watch: true,
        };
        let body = match self.open_body(&head) {
            Ok(body) => body,
            Err(error) => {
                let response =
                    service.refuse(error, head.uri.path_and_query().map(PathAndQuery::as_str));
                return self.answer(response, &Asked::REFUSED).await;
            }
        };
        let request = Request {
            method: head.method,
            uri: head.uri,
            headers: head.headers,
            body,
            peer,
        };
        let response = {
            let mut call = pin!(service.call(request));
            poll_fn(|cx| self.poll_call(cx, call.as_mut())).await
        };
        let Some(response) = response else {
            return After::Gone;
        };
        match self.answer(response, &asked).await {
            After::Next if self.intake.is_some() => self.discard_body().await,
            after => after,
        }
    }

    /// Decides how the body reaches the service. A chunked body that breaks within its first bytes is
    /// refused before the service hears of it.
    fn open_body(&mut self, head: &Head) -> Result<RequestBody> {
        let (declared, decoder, ready) = match head.framing {
            Framing::Length(length) => {
                let left = length - head.body.len() as u64;
                if left == 0 {
                    return Ok(RequestBody::whole(Some(length), head.body.clone()));
                }
                let room = usize::try_from(length.min(BODY_ROOM)).unwrap_or_default();
                let mut ready = BytesMut::with_capacity(room + 1);
                ready.extend_from_slice(&head.body);
                (Some(length), Decoder::Length { left }, ready)
            }
            Framing::Chunked => {
                let (mut chunked, mut ready) = (Chunked::new(), BytesMut::new());
                let used = chunked.decode(&self.inbox, &mut ready)?;
                consume(&mut self.inbox, used);
                if chunked.is_done() {
                    return Ok(RequestBody::whole(None, ready.freeze()));
                }
                (None, Decoder::Chunked(chunked), ready)
            }
        };
        let expects_continue = head.expects_continue && ready.is_empty();
        let feed = Feed::new(ready);
        let body = RequestBody::fed(declared, feed.clone());
        self.intake = Some(Intake::new(feed, decoder, expects_continue));
        self.body_deadline = None;
        Ok(body)
    }

    /// The service's answer, or `None` when the client is gone.
    fn poll_call<F: Future>(
        &mut self,
        cx: &mut Context<'_>,
        mut call: Pin<&mut F>,
    ) -> Poll<Option<F::Output>> {
        loop {
            if let Poll::Ready(response) = call.as_mut().poll(cx) {
                return Poll::Ready(Some(response));
            }
            // Only `100 Continue` is sent here.
            if !self.out.is_empty() && self.poll_send(cx) == Poll::Ready(false) {
                return Poll::Ready(None);
            }
            match ready!(self.poll_input(cx)) {
                Input::Progress => {}
                Input::Gone => return Poll::Ready(None),
            }
        }
    }

    /// Reads what the service asks for, and looks for the client's end.
    fn poll_input(&mut self, cx: &mut Context<'_>) -> Poll<Input> {
        if let Some(intake) = &mut self.intake {
            match intake.poll_fill(&mut self.io, &mut self.inbox, cx) {
                Poll::Ready(Fill::Unwanted) => {}
                Poll::Ready(Fill::Delivered) => return Poll::Ready(Input::Progress),
                Poll::Ready(Fill::Continue) => {
                    self.out.push_copied(b"HTTP/1.1 100 Continue\r\n\r\n");
                    return Poll::Ready(Input::Progress);
                }
                Poll::Ready(Fill::Ended) => {
                    self.intake = None;
                    return Poll::Ready(Input::Progress);
                }
                Poll::Ready(Fill::Failed) => {
                    self.is_broken = true;
                    self.intake = None;
                    return Poll::Ready(Input::Progress);
                }
                Poll::Ready(Fill::Gone) => return Poll::Ready(Input::Gone),
                Poll::Pending => {
                    let limit = self.settings.body_timeout;
                    let deadline = *self
                        .body_deadline
                        .get_or_insert_with(|| Instant::now() + limit);
                    ready!(self.alarm.poll(cx, deadline));
                    intake.fail(fault::timeout("body"), Some(cx));
                    self.is_broken = true;
                    self.intake = None;
                    return Poll::Ready(Input::Progress);
                }
            }
        }
        // Beyond the bound the client's end is noticed by writing to it.
        while self.inbox.len() < READ_AHEAD {
            if ready!(poll_read_into(&mut self.io, &mut self.inbox, cx)) == 0 {
                return Poll::Ready(Input::Gone);
            }
        }
        Poll::Pending
    }

    /// Writes what waits. Ready with whether the client is still there.
    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<bool> {
        self.out.moved = false;
        match self.out.poll_drain(&mut self.io, cx) {
            Poll::Ready(result) => {
                self.write_deadline = None;
                Poll::Ready(result.is_ok())
            }
            Poll::Pending => {
                if self.out.moved {
                    self.write_deadline = None;
                }
                let limit = self.settings.write_idle_timeout;
                let deadline = *self
                    .write_deadline
                    .get_or_insert_with(|| Instant::now() + limit);
                self.alarm.poll(cx, deadline).map(|()| false)
            }
        }
    }

    async fn answer<B>(&mut self, response: http::Response<B>, asked: &Asked) -> After
    where
        B: Body<Data = Bytes, Error = std::convert::Infallible>,
    {
        let (parts, body) = response.into_parts();
        let mut sending = Sending::new(parts.status, &parts.headers, &body, asked);
        sending.close |= self.is_broken || self.listener.is_set() || !self.can_discard();
        let persistence = match (sending.close, asked.version == Version::HTTP_10) {
            (true, _) => Persistence::Close,
            (false, true) => Persistence::Stated,
            (false, false) => Persistence::Implied,
        };
        // A service has no interim answers to give: the connection alone knows when they are due.
        let status = if parts.status.is_informational() {
            StatusCode::INTERNAL_SERVER_ERROR
        } else {
            parts.status
        };
        self.out
            .push_head(status, &parts.headers, sending.ending, persistence);
        drop(parts);

        let mut body = pin!(body);
        let is_sent = poll_fn(|cx| self.poll_answer(cx, body.as_mut(), &mut sending)).await;
        // A request body that is read while the answer streams can break that late.
        match (is_sent, sending.close || self.is_broken) {
            (false, _) => After::Gone,
            (true, false) => After::Next,
            // Nothing unread is left, and the client knows that this was the last answer.
            (true, true) if !asked.keep_alive && asked.watch && self.is_all_read() => After::Close,
            (true, true) => After::Linger,
        }
    }

    /// Ready with whether the answer was sent, once it was or cannot be.
    fn poll_answer<B>(
        &mut self,
        cx: &mut Context<'_>,
        mut body: Pin<&mut B>,
        sending: &mut Sending,
    ) -> Poll<bool>
    where
        B: Body<Data = Bytes, Error = std::convert::Infallible>,
    {
        loop {
            let mut waits = false;
            while !sending.ended && !waits && self.out.n_bytes() < WRITE_AHEAD {
                match body.as_mut().poll_frame(cx) {
                    Poll::Ready(Some(Ok(frame))) => {
                        sending.push(frame, &mut self.out);
                        if body.is_end_stream() {
                            sending.finish(&mut self.out);
                        }
                    }
                    Poll::Ready(Some(Err(never))) => match never {},
                    Poll::Ready(None) => sending.finish(&mut self.out),
                    Poll::Pending => waits = true,
                }
            }
            if !self.out.is_empty() {
                match self.poll_send(cx) {
                    Poll::Ready(false) => return Poll::Ready(false),
                    Poll::Ready(true) if !sending.ended && !waits => continue,
                    Poll::Ready(true) | Poll::Pending => {}
                }
            }
            if sending.ended && self.out.is_empty() {
                return Poll::Ready(true);
            }
            if !sending.watch {
                return Poll::Pending;
            }
            match ready!(self.poll_input(cx)) {
                Input::Progress => {}
                Input::Gone => return Poll::Ready(false),
            }
        }
    }

    /// Whether what the service left of the request body is little enough to be read and dropped. A client
    /// that was never told to continue may send its body or not, so the connection cannot go on.
    fn can_discard(&self) -> bool {
        self.intake.as_ref().is_none_or(|intake| {
            !intake.expects_continue && intake.left().is_none_or(|left| left <= DISCARDED as u64)
        })
    }

    fn is_all_read(&self) -> bool {
        self.intake.is_none() && !self.is_broken && self.inbox.is_empty()
    }

    async fn discard_body(&mut self) -> After {
        let Some(mut intake) = self.intake.take() else {
            return After::Next;
        };
        intake.fail(fault::exchange_over(), None);
        let mut budget = DISCARDED;
        let deadline = Instant::now() + DISCARD_TIMEOUT;
        let is_whole = poll_fn(|cx| {
            let discarded = intake.poll_discard(&mut self.io, &mut self.inbox, &mut budget, cx);
            if discarded.is_pending() {
                return self.alarm.poll(cx, deadline).map(|()| false);
            }
            discarded
        });
        if is_whole.await {
            After::Next
        } else {
            After::Linger
        }
    }

    /// Ends the connection from this side, and reads up to `budget` bytes for at most a second so that the
    /// client sees the answer instead of a reset.
    async fn close(mut self, mut budget: usize) {
        self.intake = None;
        self.inbox = BytesMut::new();
        let deadline = Instant::now() + DISCARD_TIMEOUT;
        let mut is_shut = false;
        poll_fn(|cx| {
            if !is_shut {
                match Pin::new(&mut self.io).poll_shutdown(cx) {
                    Poll::Ready(Ok(())) => is_shut = true,
                    Poll::Ready(Err(_)) => return Poll::Ready(()),
                    Poll::Pending => return self.alarm.poll(cx, deadline),
                }
            }
            while budget > 0 {
                match poll_read_into(&mut self.io, &mut self.inbox, cx) {
                    Poll::Ready(0) => return Poll::Ready(()),
                    Poll::Ready(n) => budget = budget.saturating_sub(n),
                    Poll::Pending => return self.alarm.poll(cx, deadline),
                }
                self.inbox.clear();
            }
            Poll::Ready(())
        })
        .await;
    }
}

/// What is left of read bytes becomes the inbox, without a copy where they are the inbox already.
trait IntoInbox {
    fn into_inbox(self, n_used: usize) -> BytesMut;
}

impl IntoInbox for BytesMut {
    fn into_inbox(mut self, n_used: usize) -> BytesMut {
        consume(&mut self, n_used);
        self
    }
}

impl IntoInbox for &[u8] {
    fn into_inbox(self, n_used: usize) -> BytesMut {
        BytesMut::from(&self[n_used..])
    }
}
