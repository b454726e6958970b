//! The only loop over a streamed reply: bytes or engine events in, the caller's dialect out.
//!
//! [`Flow`] is the reply while it may still fail in silence, [`Relay`] the response body that owns it
//! afterwards, together with the call's record and its timers. Nothing waits for more than one event, and
//! dropping the body drops the connection to the provider, or stops the engine.

use std::{
    collections::VecDeque,
    fmt, mem,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, header};
use http_body::Frame;
use tokio::time::{Instant, Sleep};
use tollgate_base::{Error, Kind, Provenance, Usage};
use tollgate_catalog::Framing;
use tollgate_dialect::{
    Decoder, Dialect, Encoder, GeminiArray, Loss, decoder, frame::SseFramer, ir::Event,
    render_stream_error,
};
use tollgate_upstream::ReplyBody;

use crate::{
    framer::Framer,
    gateway::Shared,
    local::LocalStream,
    record::{Outcome, Record},
    responses::Keeping,
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
    /// What the provider said and the caller's dialect has no word for.
    losses: Vec<Loss>,
    /// The data of the frame that ended the reply.
    terminal: Option<Bytes>,
    failure: Option<Error>,
}

enum Source {
    Provider {
        body: ReplyBody,
        framer: Framer,
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
    keeper: Option<Keeper>,
    /// A stream that is sent as a JSON array.
    array: Option<Array>,
    /// An error event was sent; the connection ends after it.
    must_close: bool,
}

/// A stream as one JSON array.
#[derive(Default)]
struct Array {
    writer: GeminiArray,
    is_closed: bool,
}

/// Who keeps the response that a stream tells.
pub(crate) struct Keeper {
    pub(crate) keeping: Keeping,
    pub(crate) shared: Arc<Shared>,
    pub(crate) key_id: String,
    pub(crate) target: String,
}

/// What becomes of a stream on its way out.
pub(crate) struct Shape {
    pub(crate) as_array: bool,
    pub(crate) keeper: Option<Keeper>,
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
    pub(crate) fn from_provider(
        body: ReplyBody,
        wire: Dialect,
        framing: Framing,
        output: Output,
    ) -> Self {
        Self::new(
            Source::Provider {
                body,
                framer: Framer::new(framing),
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
            losses: Vec::new(),
            terminal: None,
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
                self.ready.push_back(frame.raw.clone());
            }
            if decoder.is_complete() {
                if matches!(self.output, Output::Verbatim { .. }) {
                    self.terminal = frame.data;
                }
                break;
            }
        }
        // The usual chunk is a whole number of frames, all of them forwarded: then it goes out in one piece.
        let is_verbatim = framer.is_verbatim();
        if is_verbatim && self.ready.len() - first > 1 && forwarded == chunk.len() {
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
                Event::Lost(loss) => self.losses.push(loss.clone()),
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
                let out = out.freeze();
                self.terminal = last_data(out.clone());
                self.ready.push_back(out);
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

/// The data of the last of these frames.
fn last_data(frames: Bytes) -> Option<Bytes> {
    let mut framer = SseFramer::default();
    framer.push(frames);
    framer.end();
    let mut last = None;
    while let Ok(Some(frame)) = framer.next_frame() {
        last = frame.data.or(last);
    }
    last
}

// === impl Array ===

impl Array {
    /// The elements that these events are; at their end what closes the array.
    fn push(&mut self, events: Option<Bytes>) -> Bytes {
        let mut out = BytesMut::new();
        let is_sound = match events {
            Some(events) => self.writer.push(events, &mut out).is_ok(),
            None => false,
        };
        if !is_sound {
            self.writer.finish(&mut out);
            self.is_closed = true;
        }
        out.freeze()
    }
}

// === impl Keeper ===

impl Keeper {
    /// Keeps the response that the last event of a stream carries.
    fn keep(self, terminal: &[u8]) {
        #[derive(serde::Deserialize)]
        struct Terminal<'a> {
            #[serde(borrow)]
            response: &'a serde_json::value::RawValue,
        }
        if let Ok(Terminal { response }) = serde_json::from_slice(terminal) {
            let response = response.get().as_bytes();
            self.keeping
                .keep(&self.shared, &self.key_id, &self.target, response);
        }
    }
}

// === impl Relay ===

impl Relay {
    pub(crate) fn new(
        flow: Flow,
        record: Record,
        shape: Shape,
        streaming: &tollgate_config::StreamSettings,
    ) -> Self {
        let pace = Pace::new(
            streaming,
            Instant::from_std(record.received) + streaming.total_timeout,
        );
        Self {
            dialect: record.dialect,
            keeper: shape.keeper,
            array: shape.as_array.then(Array::default),
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

    /// The next bytes for the client, in the form that it asked for.
    fn poll_bytes(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        loop {
            if self.array.as_ref().is_some_and(|array| array.is_closed) {
                return Poll::Ready(None);
            }
            let events = ready!(self.poll_events(cx));
            let Some(array) = &mut self.array else {
                return Poll::Ready(events);
            };
            let elements = array.push(events);
            if !elements.is_empty() {
                return Poll::Ready(Some(elements));
            }
        }
    }

    /// The next events, as soon as there are any.
    fn poll_events(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        loop {
            if self.flow.state != State::Open
                && let Some(keeper) = self.keeper.take()
                && let Some(terminal) = self.flow.terminal.take()
            {
                keeper.keep(&terminal);
            }
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
                // Not every dialect has a word for it.
                Beat::Heartbeat if self.dialect.heartbeat().is_empty() => {}
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
        self.record.losses.append(&mut self.flow.losses);
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
