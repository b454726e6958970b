//! The stream of streamGenerateContent: the decoder. Every frame is a whole reply with a piece of the text;
//! calls come whole; nothing but the end of the stream says that it is over, and only after a `finishReason`
//! was it a complete one.

mod answer;

use tollgate_base::{Error, Provenance, Result, Usage};

use self::answer::{Answer, Shared};
use super::{
    parse_error,
    wire::{Candidate, Reply},
};
use crate::{
    Decoder,
    frame::Frame,
    ir::{ANSWERS_LIMIT, Answers, Event, FinishReason},
};

/// Reads a stream of replies.
#[derive(Debug, Default)]
pub(crate) struct GenerateDecoder {
    state: State,
    shared: Shared,
    answers: Answers<Answer>,
    usage: Option<Usage>,
}

/// How far the stream is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Waiting,
    Live,
    Ended,
    Failed,
}

// === impl GenerateDecoder ===

impl Decoder for GenerateDecoder {
    fn push(&mut self, frame: &Frame, out: &mut Vec<Event>) {
        if matches!(self.state, State::Ended | State::Failed) {
            return;
        }
        let Some(data) = &frame.data else {
            if frame.raw.starts_with(b":") {
                out.push(Event::Ping);
            } else if frame.raw.trim_ascii_start().starts_with(b"{") {
                // An error of the front end comes without the form of an event.
                self.fail(parse_error(200, None, &frame.raw), out);
            }
            return;
        };
        self.read(data, out);
    }

    fn finish(&mut self, out: &mut Vec<Event>) {
        if matches!(self.state, State::Ended | State::Failed) {
            return;
        }
        let has_finished = self.answers.all().all(|answer| answer.finish.is_some());
        if !has_finished {
            let message = "The provider closed the stream before the reply was complete.";
            return self.fail(Error::upstream_invalid(message), out);
        }
        for index in self.answers.indices() {
            self.answers.tell(index, out);
            let finish = self.answers.now.end(&mut self.shared, out);
            if let Some(usage) = self.usage.take() {
                out.push(Event::Usage(Usage {
                    provenance: Provenance::Reported,
                    ..usage
                }));
            }
            out.extend(finish.map(Event::Finish));
        }
        self.state = State::Ended;
    }

    fn is_complete(&self) -> bool {
        self.state == State::Ended
    }

    fn is_usage_only(&self) -> bool {
        // This dialect reports usage unasked.
        false
    }
}

impl GenerateDecoder {
    /// Reads one piece of a stream, or a whole reply.
    pub(super) fn read(&mut self, data: &[u8], out: &mut Vec<Event>) {
        // Errors may come in a list of one.
        if data.trim_ascii_start().starts_with(b"[") {
            return self.fail(parse_error(200, None, data), out);
        }
        let Ok(reply) = serde_json::from_slice::<Reply<'_>>(data) else {
            let message = "The provider sent an event that is no piece of a reply.";
            return self.fail(Error::upstream_invalid(message), out);
        };
        if reply.error.is_some() {
            return self.fail(parse_error(200, None, data), out);
        }
        if let Err(error) = self.read_reply(&reply, out) {
            self.fail(error, out);
        }
    }

    fn read_reply(&mut self, reply: &Reply<'_>, out: &mut Vec<Event>) -> Result<()> {
        if self.state == State::Waiting {
            self.state = State::Live;
            self.shared.reply_id = reply.response_id.to_text();
            out.push(Event::Start {
                id: self.shared.reply_id.clone(),
                model: reply.model_version.to_text(),
            });
        }
        let candidates = reply.candidates.as_deref().unwrap_or_default();
        for (n, candidate) in candidates.iter().enumerate() {
            let number = |candidate: &Candidate<'_>| candidate.index.0.unwrap_or(0);
            let index = number(candidate);
            let is_new = candidates[..n].iter().all(|other| number(other) != index);
            let index = usize::try_from(index).unwrap_or(ANSWERS_LIMIT);
            if is_new && index < ANSWERS_LIMIT {
                self.answers.tell(index, out);
                let answer = &mut self.answers.now;
                answer.read(index, candidate, &mut self.shared, out)?;
            }
        }
        let blocked = reply
            .prompt_feedback
            .as_ref()
            .and_then(|feedback| feedback.block_reason.filled());
        if blocked.is_some() && candidates.is_empty() {
            self.answers.tell(0, out);
            self.answers.now.finish = Some(FinishReason::Refusal);
        }
        if let Some(usage) = &reply.usage_metadata {
            let usage = usage.to_usage(Provenance::Partial);
            if self.usage != Some(usage) {
                self.usage = Some(usage);
                out.push(Event::Usage(usage));
            }
        }
        Ok(())
    }

    fn fail(&mut self, error: Error, out: &mut Vec<Event>) {
        self.state = State::Failed;
        out.push(Event::Error(error));
    }
}
