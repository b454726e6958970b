//! The only loop over a streamed reply: bytes or engine events in, the caller's dialect out.
//!
//! [`flow`] is the reply while it may still fail in silence, [`Relay`] the response body that owns it
//! afterwards, together with the call's record ([`metered`]) and its timers ([`pace`]). Nothing waits for more
//! than one event, and dropping the body drops the connection to the provider, or stops the engine. The last
//! bytes wait until the call is booked.

mod array;
mod flow;
mod keeper;
mod metered;
mod pace;

use std::{
    fmt, mem,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, header};
use http_body::Frame;
use tokio::time::Instant;
use tollgate_base::{Error, Kind, crash_point};
use tollgate_config::StreamSettings;
use tollgate_dialect::{Dialect, render_stream_error};
use tollgate_ledger::Durable;

use self::{
    array::Array,
    flow::State,
    metered::Metered,
    pace::{Beat, Pace},
};
pub(crate) use self::{
    flow::{Flow, Output},
    keeper::Keeper,
    metered::Farewell,
};
use crate::{record::Record, responses::Follow};

/// The body of a streamed answer.
pub struct Relay {
    dialect: Dialect,
    /// `None` when the body is dropped.
    call: Option<Metered>,
    pace: Pace,
    /// The booking of the call on its way to the disk.
    booking: Option<Durable>,
    farewell: Farewell,
    keeper: Option<Keeper>,
    /// A stream that is sent as a JSON array.
    array: Option<Array>,
    /// An error event was sent; the connection ends after it.
    must_close: bool,
}

/// What becomes of a stream on its way out.
pub(crate) struct Shape {
    pub(crate) as_array: bool,
    pub(crate) keeper: Option<Keeper>,
    pub(crate) farewell: Farewell,
    pub(crate) follow: Option<Follow>,
}

// === impl Relay ===

impl Relay {
    pub(crate) fn new(
        flow: Flow,
        record: Record,
        shape: Shape,
        streaming: &StreamSettings,
    ) -> Self {
        let pace = Pace::new(
            streaming,
            Instant::from_std(record.received) + streaming.total_timeout,
        );
        Self {
            dialect: record.dialect,
            call: Some(Metered::new(flow, record, shape.follow)),
            pace,
            booking: None,
            farewell: shape.farewell,
            keeper: shape.keeper,
            array: shape.as_array.then(Array::default),
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
            ready!(self.poll_booked(cx));
            let Some(Metered {
                flow,
                record,
                follow,
                ..
            }) = &mut self.call
            else {
                return Poll::Ready(None);
            };
            if let Some(follow) = follow {
                ready!(follow.poll_promise(flow.id(), cx));
            }
            if let Some(bytes) = flow.ready.pop_front() {
                crash_point("mid-stream");
                self.pace.last_out = self.pace.last_in;
                return Poll::Ready(Some(bytes));
            }
            if let Some(error) = flow.failure.take() {
                self.must_close = true;
                let event = render_stream_error(self.dialect, &error, &record.request_id);
                return Poll::Ready(Some(event));
            }
            if flow.state == State::Ended {
                crash_point("after-client-fin");
                return Poll::Ready(None);
            }
            if flow.poll_more(cx).is_ready() {
                self.pace.last_in = Instant::now();
                if flow.state == State::Complete {
                    self.pace.expect_end();
                }
                continue;
            }
            match ready!(self.pace.poll(cx)) {
                _ if flow.state == State::Complete => flow.state = State::Ended,
                // Not every dialect has a word for it.
                Beat::Heartbeat if self.dialect.heartbeat().is_empty() => {}
                Beat::Heartbeat => {
                    return Poll::Ready(Some(Bytes::from_static(self.dialect.heartbeat())));
                }
                Beat::ProviderIsIdle => flow.fail(too_slow(
                    "The provider stopped in the middle of its answer.",
                )),
                Beat::CallIsTooLong => {
                    flow.fail(too_slow("The answer took longer than a call may take."));
                }
            }
        }
    }

    /// Ready while the reply goes on, and again when its end is booked: what the caller sees whole is on the disk
    /// before.
    fn poll_booked(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(call) = &mut self.call else {
            return Poll::Ready(());
        };
        if call.flow.state != State::Open && !call.is_booked() {
            if let Some(keeper) = self.keeper.take()
                && let Some(terminal) = call.flow.terminal.take()
            {
                keeper.keep(&terminal);
            }
            self.booking = call.book();
        }
        if let Some(durable) = &mut self.booking {
            let outcome = ready!(Pin::new(durable).poll(cx));
            self.booking = None;
            call.record.note_safety(outcome);
        }
        if call.is_booked() {
            // Who has seen the end may come again at once: its place is free before.
            call.record.hold = None;
        }
        Poll::Ready(())
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        if let Some(call) = self.call.take() {
            call.leave(&self.farewell);
        }
    }
}

impl fmt::Debug for Relay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Relay")
            .field("call", &self.call)
            .finish_non_exhaustive()
    }
}

fn too_slow(message: &str) -> Error {
    Error::new(Kind::UpstreamTimeout, "upstream_timeout", message)
}
