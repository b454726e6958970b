//! The answer to a request that was passed through: JSON whole, so that its usage can be read; anything else
//! (sound, files, events) as it comes.

use std::{
    fmt, mem,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Response, header};
use http_body::Frame;
use tokio::time::{Instant, Sleep};
use tollgate_base::{Error, Kind, Provenance, Usage};
use tollgate_config::StreamSettings;
use tollgate_dialect::{frame::SseFramer, read_operation_usage};
use tollgate_ledger::Durable;
use tollgate_upstream::ReplyBody;

use super::{Answered, label};
use crate::{
    Body,
    provider::collect_within,
    record::{Outcome, Record},
    reply::{error_response, insert_cost},
};

/// The largest JSON answer that is read: images come in it.
const MAX_JSON: usize = 256 * 1024 * 1024;
/// The trailer that ends a body which was cut, so that nobody takes it for whole.
const CUT: HeaderName = HeaderName::from_static("x-cut");

/// An answer on its way, with the record of its call.
pub struct Passed {
    reply: ReplyBody,
    /// Watches a stream of events for usage.
    watch: Option<SseFramer>,
    /// Fires when the provider has said nothing for too long.
    idle: Pin<Box<Sleep>>,
    idle_timeout: Duration,
    record: Record,
    /// What it consumed when it does not say so itself.
    known: Usage,
    /// The booking of the call on its way to the disk: the end waits for it.
    booking: Option<Durable>,
    was_cut: bool,
    ended: bool,
}

/// The answer for the client; its record is settled when the last byte has gone out, or none follows.
pub(super) async fn respond(
    answered: Answered,
    mut record: Record,
    streaming: &StreamSettings,
) -> Response<Body> {
    let Answered {
        target,
        response,
        known,
    } = answered;
    let (head, body) = response.into_parts();
    let request_id = record.request_id.clone();
    let media = media_of(&head.headers);
    let mut answer = if media == "application/json" {
        match collect_within(streaming.first_byte_timeout, body, MAX_JSON).await {
            Ok(json) => {
                record.usage = or_known(read_operation_usage(&json), known);
                record.outcome = Outcome::Complete;
                record.settle_safely(0).await;
                let mut answer = Response::new(Body::Whole(json));
                insert_cost(answer.headers_mut(), record.cost);
                answer
            }
            Err(error) => {
                record.fail(&error);
                return error_response(super::DIALECT, &error, &request_id);
            }
        }
    } else {
        let watch = (media == "text/event-stream").then(SseFramer::default);
        record.stream = watch.is_some();
        Response::new(Body::Passed(Box::new(Passed {
            reply: body,
            watch,
            idle: Box::pin(tokio::time::sleep(streaming.idle_timeout)),
            idle_timeout: streaming.idle_timeout,
            record,
            known,
            booking: None,
            was_cut: false,
            ended: false,
        })))
    };
    *answer.status_mut() = head.status;
    label(&mut answer, &head.headers, &target, &request_id);
    answer
}

/// What the answer says of its usage, else what is known without it.
fn or_known(said: Usage, known: Usage) -> Usage {
    if said.provenance == Provenance::Unknown {
        known
    } else {
        said
    }
}

fn media_of(headers: &HeaderMap) -> String {
    let value = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let kind = value.split(';').next().unwrap_or_default();
    kind.trim().to_ascii_lowercase()
}

// === impl Passed ===

impl Passed {
    pub(crate) fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Frame<Bytes>>> {
        if mem::take(&mut self.was_cut) {
            let close = (header::CONNECTION, HeaderValue::from_static("close"));
            let cut = (CUT, HeaderValue::from_static("1"));
            return Poll::Ready(Some(Frame::trailers(HeaderMap::from_iter([close, cut]))));
        }
        if self.ended {
            if let Some(durable) = &mut self.booking {
                let outcome = ready!(Pin::new(durable).poll(cx));
                self.booking = None;
                self.record.note_safety(outcome);
            }
            if self.record.booking.is_none() {
                // Who has seen the end may come again at once: its place is free before.
                self.record.hold = None;
            }
            return Poll::Ready(None);
        }
        let Poll::Ready(chunk) = self.reply.poll_chunk(cx) else {
            ready!(self.idle.as_mut().poll(cx));
            let message = "The provider stopped in the middle of its answer.";
            let error = Error::new(Kind::UpstreamTimeout, "upstream_timeout", message);
            return self.break_off(&error, cx);
        };
        match chunk {
            Some(Ok(bytes)) => {
                let next = Instant::now() + self.idle_timeout;
                self.idle.as_mut().reset(next);
                self.meter(&bytes);
                Poll::Ready(Some(Frame::data(bytes)))
            }
            Some(Err(error)) => self.break_off(&error, cx),
            None => {
                self.ended = true;
                self.record.outcome = Outcome::Complete;
                self.record.usage = or_known(self.record.usage, self.known);
                self.booking = self.record.settle(0);
                self.poll_frame(cx)
            }
        }
    }

    /// Ends the answer in a way that nobody takes for its end.
    fn break_off(&mut self, error: &Error, cx: &mut Context<'_>) -> Poll<Option<Frame<Bytes>>> {
        self.record.fail(error);
        self.ended = true;
        self.was_cut = true;
        self.poll_frame(cx)
    }

    /// Reads the usage that events of transcriptions and images carry. A stream that cannot be framed is
    /// passed on all the same.
    fn meter(&mut self, bytes: &Bytes) {
        let Some(framer) = &mut self.watch else {
            return;
        };
        framer.push(bytes.clone());
        loop {
            match framer.next_frame() {
                Ok(Some(frame)) => {
                    let usage = frame
                        .data
                        .as_deref()
                        .map(read_operation_usage)
                        .unwrap_or_default();
                    if usage.provenance != Provenance::Unknown {
                        self.record.usage = usage;
                    }
                }
                Ok(None) => return,
                Err(_) => {
                    self.watch = None;
                    return;
                }
            }
        }
    }
}

impl fmt::Debug for Passed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Passed")
            .field("record", &self.record)
            .finish_non_exhaustive()
    }
}
