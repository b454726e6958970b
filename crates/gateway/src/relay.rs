//! The only loop over a streamed reply: bytes or engine events in, the caller's dialect out.
//!
//! [`Flow`] is the reply while it may still fail in silence, [`Relay`] the response body that owns it
//! afterwards, together with the call's record and its timers. Nothing waits for more than one event, and
//! dropping the body drops the connection to the provider, or stops the engine.

use std::{
    collections::VecDeque,
    fmt, mem,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, header};
use http_body::Frame;
use tokio::time::{Instant, Sleep};
use tollgate_base::{Error, Kind, Provenance, Usage};
use tollgate_dialect::{
    Decoder, Dialect, Encoder, decoder, frame::SseFramer, ir::Event, render_stream_error,
};
use tollgate_upstream::ReplyBody;

use crate::{
    local::LocalStream,
    record::{Outcome, Record},
};

/// A streamed reply from its source to the bytes of the caller's dialect.
pub(crate) struct Flow {
    source: Source,
    output: Output,
    state: State,
    /// Bytes that wait to be sent.
    ready: VecDeque<Bytes>,
    /// Kept between rounds for its memory.
    events: Vec<Event>,
    /// An event of the reply itself has come.
    live: bool,
    usage: Usage,
    failure: Option<Error>,
}

enum Source {
    Provider {
        body: ReplyBody,
        framer: SseFramer,
        decoder: Box<dyn Decoder>,
    },
    Engine(LocalStream),
}

/// How a reply is written.
pub(crate) enum Output {
    /// The provider speaks the caller's dialect: its frames are forwarded as they came. A usage frame that
    /// only the gateway asked for is held back.
    Verbatim {
        hide_usage: bool,
    },
    Encoded(Box<dyn Encoder>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    // ## Open => Complete | Ended: the dialect's own end, or a failure
    Open,
    // ## Complete => Ended: what follows the end is read (so that the connection can be used again) and ignored
    Complete,
    Ended,
}

/// The body of a streamed answer.
pub struct Relay {
    dialect: Dialect,
    flow: Flow,
    pace: Pace,
    record: Record,
    /// An error event was sent; the connection ends after it.
    must_close: bool,
}

/// The timers of a stream: one sleep, armed anew when it fires rather than at each event.
struct Pace {
    timer: Pin<Box<Sleep>>,
    heartbeat: Duration,
    idle_timeout: Duration,
    /// When the whole call must be over.
    deadline: Instant,
    last_in: Instant,
    last_out: Instant,
}

/// What a timer says.
enum Beat {
    Heartbeat,
    ProviderIsIdle,
    CallIsTooLong,
}

/// How long a provider may keep the connection open after the end of its reply.
const AFTERMATH: Duration = Duration::from_millis(500);

// === impl Flow ===

impl Flow {
    pub(crate) fn from_provider(body: ReplyBody, wire: Dialect, output: Output) -> Self {
        Self::new(
            Source::Provider {
                body,
                framer: SseFramer::default(),
                decoder: decoder(wire),
            },
            output,
        )
    }

    pub(crate) fn from_engine(stream: LocalStream, output: Output) -> Self {
        Self::new(Source::Engine(stream), output)
    }

    fn new(source: Source, output: Output) -> Self {
        Self {
            source,
            output,
            state: State::Open,
            ready: VecDeque::new(),
            events: Vec::new(),
            live: false,
            usage: Usage::default(),
            failure: None,
        }
    }

    /// Waits for the reply's first event. A failure before it is the attempt's failure, and nothing has been
    /// sent. After `patience` without either, the stream is accepted as it is, so that heartbeats can begin.
    pub(crate) async fn accept(&mut self, patience: Duration) -> Result<(), Error> {
        let first = async {
            while !self.live && self.failure.is_none() && self.state != State::Ended {
                std::future::poll_fn(|cx| self.poll_more(cx)).await;
            }
        };
        if tokio::time::timeout(patience, first).await.is_err() {
            return Ok(());
        }
        self.failure.take().map_or(Ok(()), Err)
    }

    /// Reads once from the source. Ready means that something changed: bytes, a failure, or the end.
    fn poll_more(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match &mut self.source {
            Source::Engine(stream) => {
                let more = ready!(stream.poll_events(cx, &mut self.events));
                self.take_events();
                if !more {
                    self.complete();
                    self.state = State::Ended;
                }
            }
            Source::Provider { body, decoder, .. } => match ready!(body.poll_chunk(cx)) {
                Some(Ok(_)) if self.state == State::Complete => {}
                Some(Ok(chunk)) => self.take_chunk(chunk),
                Some(Err(_)) | None if self.state == State::Complete => self.state = State::Ended,
                Some(Err(error)) => self.fail(error),
                None => {
                    decoder.finish(&mut self.events);
                    self.take_events();
                    self.complete();
                    self.state = State::Ended;
                }
            },
        }
        Poll::Ready(())
    }

    fn take_chunk(&mut self, chunk: Bytes) {
        let Source::Provider {
            framer, decoder, ..
        } = &mut self.source
        else {
            return;
        };
        framer.push(chunk.clone());
        let mut forwarded = 0;
        let first = self.ready.len();
        loop {
            let frame = match framer.next_frame() {
                Ok(Some(frame)) => frame,
                Ok(None) => break,
                Err(error) => return self.fail(error),
            };
            decoder.push(&frame, &mut self.events);
            if let Output::Verbatim { hide_usage } = self.output
                && !(hide_usage && decoder.is_usage_only())
                && !matches!(self.events.last(), Some(Event::Error(_)))
            {
                forwarded += frame.raw.len();
                self.ready.push_back(frame.raw);
            }
            if decoder.is_complete() {
                break;
            }
        }
        // The usual chunk is a whole number of frames, all of them forwarded: then it goes out in one piece.
        if self.ready.len() - first > 1 && forwarded == chunk.len() {
            self.ready.truncate(first);
            self.ready.push_back(chunk);
        }
        let complete = decoder.is_complete();
        self.take_events();
        if complete {
            self.complete();
        }
    }

    /// Meters the events, and writes them where the dialects differ.
    fn take_events(&mut self) {
        let mut events = mem::take(&mut self.events);
        let mut out = BytesMut::new();
        for event in events.drain(..) {
            match &event {
                Event::Ping => {}
                Event::Usage(usage) => self.usage = *usage,
                Event::Error(error) => {
                    self.fail(error.clone());
                    break;
                }
                Event::Start { .. }
                | Event::BlockStart { .. }
                | Event::Delta { .. }
                | Event::BlockEnd { .. }
                | Event::Finish(_) => self.live = true,
            }
            if let Output::Encoded(encoder) = &mut self.output {
                encoder.push(&event, &mut out);
            }
        }
        if !out.is_empty() {
            self.ready.push_back(out.freeze());
        }
        events.clear();
        self.events = events;
    }

    fn complete(&mut self) {
        if self.state != State::Open || self.failure.is_some() {
            return;
        }
        self.state = State::Complete;
        if let Output::Encoded(encoder) = &mut self.output {
            let mut out = BytesMut::new();
            encoder.finish(&mut out);
            if !out.is_empty() {
                self.ready.push_back(out.freeze());
            }
        }
    }

    fn fail(&mut self, error: Error) {
        self.failure.get_or_insert(error);
        self.state = State::Ended;
    }
}

impl fmt::Debug for Flow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Flow")
            .field("state", &self.state)
            .field("live", &self.live)
            .finish_non_exhaustive()
    }
}

// === impl Relay ===

impl Relay {
    pub(crate) fn new(
        flow: Flow,
        record: Record,
        streaming: &tollgate_config::StreamSettings,
    ) -> Self {
        let pace = Pace::new(
            streaming,
            Instant::from_std(record.received) + streaming.total_timeout,
        );
        Self {
            dialect: record.dialect,
            flow,
            pace,
            record,
            must_close: false,
        }
    }

    /// The next frame of the body. After a failure the connection must not be used again, which trailers
    /// say to the edge: a client that overlooks the error event still sees the connection end.
    pub(crate) fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Frame<Bytes>>> {
        if let Some(bytes) = ready!(self.poll_bytes(cx)) {
            return Poll::Ready(Some(Frame::data(bytes)));
        }
        if mem::take(&mut self.must_close) {
            let close = (header::CONNECTION, HeaderValue::from_static("close"));
            return Poll::Ready(Some(Frame::trailers(HeaderMap::from_iter([close]))));
        }
        Poll::Ready(None)
    }

    /// The next bytes for the client, as soon as there are any.
    fn poll_bytes(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        loop {
            if let Some(bytes) = self.flow.ready.pop_front() {
                self.pace.last_out = self.pace.last_in;
                return Poll::Ready(Some(bytes));
            }
            if let Some(error) = self.flow.failure.take() {
                self.record.fail(&error);
                self.must_close = true;
                return Poll::Ready(Some(render_stream_error(
                    self.dialect,
                    &error,
                    &self.record.request_id,
                )));
            }
            if self.flow.state == State::Ended {
                if self.record.outcome == Outcome::Open {
                    self.record.outcome = Outcome::Complete;
                }
                return Poll::Ready(None);
            }
            if self.flow.poll_more(cx).is_ready() {
                self.pace.last_in = Instant::now();
                if self.flow.state == State::Complete {
                    self.pace.expect_end();
                }
                continue;
            }
            match ready!(self.pace.poll(cx)) {
                _ if self.flow.state == State::Complete => self.flow.state = State::Ended,
                Beat::Heartbeat => {
                    return Poll::Ready(Some(Bytes::from_static(self.dialect.heartbeat())));
                }
                Beat::ProviderIsIdle => self.flow.fail(too_slow(
                    "The provider stopped in the middle of its answer.",
                )),
                Beat::CallIsTooLong => self
                    .flow
                    .fail(too_slow("The answer took longer than a call may take.")),
            }
        }
    }
}

impl Drop for Relay {
    /// Whatever ended the stream, what was metered goes into the record.
    fn drop(&mut self) {
        self.record.usage = self.flow.usage;
        if self.record.outcome != Outcome::Complete
            && self.record.usage.provenance == Provenance::Reported
        {
            self.record.usage.provenance = Provenance::Partial;
        }
    }
}

impl fmt::Debug for Relay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Relay")
            .field("flow", &self.flow)
            .finish_non_exhaustive()
    }
}

fn too_slow(message: &str) -> Error {
    Error::new(Kind::UpstreamTimeout, "upstream_timeout", message)
}

// === impl Pace ===

impl Pace {
    fn new(streaming: &tollgate_config::StreamSettings, deadline: Instant) -> Self {
        let now = Instant::now();
        Self {
            timer: Box::pin(tokio::time::sleep(streaming.heartbeat)),
            heartbeat: streaming.heartbeat,
            idle_timeout: streaming.idle_timeout,
            deadline,
            last_in: now,
            last_out: now,
        }
    }

    /// After the reply's own end the source gets only a moment more.
    fn expect_end(&mut self) {
        self.timer.as_mut().reset(Instant::now() + AFTERMATH);
        self.heartbeat = AFTERMATH;
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Beat> {
        loop {
            ready!(self.timer.as_mut().poll(cx));
            let now = Instant::now();
            let next_beat = self.last_out + self.heartbeat;
            let idle_at = self.last_in + self.idle_timeout;
            let beat = if now >= self.deadline {
                Some(Beat::CallIsTooLong)
            } else if now >= idle_at {
                Some(Beat::ProviderIsIdle)
            } else if now >= next_beat {
                self.last_out = now;
                Some(Beat::Heartbeat)
            } else {
                None
            };
            let next = (self.last_out + self.heartbeat)
                .min(idle_at)
                .min(self.deadline);
            self.timer
                .as_mut()
                .reset(next.max(now + Duration::from_millis(1)));
            if let Some(beat) = beat {
                return Poll::Ready(beat);
            }
        }
    }
}
