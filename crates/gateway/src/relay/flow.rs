//! A streamed reply while it may still fail in silence: bytes or engine events in, the caller's dialect out.

use std::{
    collections::VecDeque,
    fmt, mem,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use tollgate_base::{Error, Usage};
use tollgate_catalog::Framing;
use tollgate_dialect::{Decoder, Dialect, Encoder, Loss, decoder, frame::SseFramer, ir::Event};
use tollgate_tokens::Counter;
use tollgate_upstream::ReplyBody;

use crate::{admit::Meter, framer::Framer, local::LocalStream};

/// A streamed reply from its source to the bytes of the caller's dialect.
pub(crate) struct Flow {
    source: Source,
    output: Output,
    pub(super) state: State,
    /// Bytes that wait to be sent.
    pub(super) ready: VecDeque<Bytes>,
    /// Kept between rounds for its memory.
    events: Vec<Event>,
    /// An event of the reply itself has come.
    live: bool,
    pub(super) usage: Usage,
    /// What was said, for a provider that does not say how much it was.
    pub(super) meter: Meter,
    /// What the provider said and the caller's dialect has no word for.
    pub(super) losses: Vec<Loss>,
    /// The provider's own id of the reply.
    id: Option<String>,
    /// The data of the frame that ended the reply.
    pub(super) terminal: Option<Bytes>,
    pub(super) failure: Option<Error>,
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
pub(super) enum State {
    // ## Open => Complete | Ended: the dialect's own end, or a failure
    Open,
    // ## Complete => Ended: what follows the end is read (so that the connection can be used again) and ignored
    Complete,
    Ended,
}

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

    /// Counts what goes out as this model does, where the provider does not say.
    pub(crate) fn count_as(&mut self, counter: Counter) {
        self.meter.count_as(counter);
    }

    /// The provider's own id of the reply, once it has said it.
    pub(crate) fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    /// What the reply said of its usage so far, and the tokens of what it said.
    pub(crate) fn metered(self) -> (Usage, u64) {
        (self.usage, self.meter.total())
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
            meter: Meter::default(),
            losses: Vec::new(),
            id: None,
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
    pub(super) fn poll_more(&mut self, cx: &mut Context<'_>) -> Poll<()> {
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
            self.meter.push(&event);
            match &event {
                Event::Ping => {}
                Event::Lost(loss) => self.losses.push(loss.clone()),
                Event::Usage(usage) => self.usage = *usage,
                Event::Error(error) => {
                    self.fail(error.clone());
                    break;
                }
                Event::Start { id, .. } => {
                    self.live = true;
                    if !id.is_empty() {
                        self.id.get_or_insert_with(|| id.clone());
                    }
                }
                Event::Choice(_)
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

    pub(super) fn fail(&mut self, error: Error) {
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
