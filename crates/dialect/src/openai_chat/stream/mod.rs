//! The stream of chat completions, and of legacy completions, which differ only in where the text stands:
//! the decoder. Data-only frames, ended by `data: [DONE]`.

mod answer;

use tollgate_base::{Error, Provenance, ServiceTier, Usage};

pub(super) use self::answer::CALLS_LIMIT;
use self::answer::{Answer, Shared};
use super::{
    parse_error,
    wire::{Choice, Chunk, tier},
};
use crate::{
    Decoder,
    frame::Frame,
    ir::{Answers, Event},
};

/// Reads a stream of `chat.completion.chunk` or `text_completion` objects.
#[derive(Debug, Default)]
pub(crate) struct ChatDecoder {
    state: State,
    shared: Shared,
    answers: Answers<Answer>,
    partial: Option<Usage>,
    /// The tier that serves the call, which any chunk may name.
    tier: ServiceTier,
    is_usage_only: bool,
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

// === impl ChatDecoder ===

impl Decoder for ChatDecoder {
    fn push(&mut self, frame: &Frame, out: &mut Vec<Event>) {
        self.is_usage_only = false;
        if self.is_over() {
            return;
        }
        let Some(data) = &frame.data else {
            if frame.raw.starts_with(b":") {
                out.push(Event::Ping);
            }
            return;
        };
        if data.starts_with(b"[DONE]") {
            self.end(out);
            return;
        }
        let Ok(chunk) = serde_json::from_slice::<Chunk<'_>>(data) else {
            let message = "The provider sent an event that is no chunk of a completion.";
            return self.fail(Error::upstream_invalid(message), out);
        };
        let is_error = chunk.error.is_some()
            || chunk.object.as_deref() == Some("error")
            || frame.event.as_deref() == Some(b"error");
        if is_error {
            return self.fail(parse_error(200, None, data), out);
        }
        self.is_usage_only = chunk.choices.is_list && chunk.choices.n == 0 && chunk.usage.is_some();
        self.read_chunk(&chunk, out);
    }

    fn finish(&mut self, out: &mut Vec<Event>) {
        if self.is_over() {
            return;
        }
        // Some servers omit the `[DONE]` after a finish; a stream without either was cut.
        if !self.has_finished() {
            let message = "The provider closed the stream before the reply was complete.";
            return self.fail(Error::upstream_invalid(message), out);
        }
        self.state = State::Ended;
    }

    fn is_complete(&self) -> bool {
        self.state == State::Ended
    }

    fn is_usage_only(&self) -> bool {
        self.is_usage_only
    }
}

impl ChatDecoder {
    /// Whether every answer has.
    fn has_finished(&self) -> bool {
        self.answers.all().all(|answer| answer.has_finished)
    }

    fn is_over(&self) -> bool {
        matches!(self.state, State::Ended | State::Failed)
    }

    fn read_chunk(&mut self, chunk: &Chunk<'_>, out: &mut Vec<Event>) {
        let says_something = chunk.choices.n > 0 || chunk.usage.is_some();
        if self.state == State::Waiting && says_something {
            self.state = State::Live;
            self.shared.reply_id = chunk.id.to_text();
            out.push(Event::Start {
                id: chunk.id.to_text(),
                model: chunk.model.to_text(),
            });
        }
        if let Some(name) = chunk.service_tier.filled() {
            self.tier = tier(Some(name));
        }
        let first = chunk.choices.first.iter().map(|choice| (0, choice));
        let others = chunk.choices.others.iter();
        for (index, choice) in first.chain(others.map(|(index, choice)| (*index, choice))) {
            if let Err(error) = self.read_choice(index, choice, out) {
                return self.fail(error, out);
            }
        }
        if let Some(usage) = chunk.usage.filter(|usage| usage.says_something()) {
            let mut usage = usage.to_usage();
            usage.tier = self.tier;
            if !self.has_finished() {
                usage.provenance = Provenance::Partial;
                self.partial = Some(usage);
            }
            out.push(Event::Usage(usage));
        }
    }

    fn read_choice(
        &mut self,
        index: usize,
        choice: &Choice<'_>,
        out: &mut Vec<Event>,
    ) -> Result<(), Error> {
        self.answers.tell(index, out);
        if self.answers.now.has_finished {
            return Ok(());
        }
        let answer = &mut self.answers.now;
        answer.read(index, choice, &mut self.shared, out)?;
        if self.answers.now.has_finished {
            self.tell_partial(out);
        }
        Ok(())
    }

    /// Usage that came before the end was of all of it after all.
    fn tell_partial(&mut self, out: &mut Vec<Event>) {
        if !self.has_finished() {
            return;
        }
        if let Some(partial) = self.partial.take() {
            out.push(Event::Usage(Usage {
                provenance: Provenance::Reported,
                ..partial
            }));
        }
    }

    /// `[DONE]`: the provider's word that this is all, also where it named no reason.
    fn end(&mut self, out: &mut Vec<Event>) {
        if self.state == State::Waiting {
            return self.fail(
                Error::upstream_invalid("The provider ended the stream without a reply."),
                out,
            );
        }
        if let Err(error) = self.end_answers(out) {
            return self.fail(error, out);
        }
        self.state = State::Ended;
    }

    fn end_answers(&mut self, out: &mut Vec<Event>) -> Result<(), Error> {
        if self.has_finished() {
            return Ok(());
        }
        for index in self.answers.indices() {
            self.answers.tell(index, out);
            if !self.answers.now.has_finished {
                self.answers.now.end(out)?;
            }
        }
        self.tell_partial(out);
        Ok(())
    }

    fn fail(&mut self, error: Error, out: &mut Vec<Event>) {
        self.state = State::Failed;
        self.is_usage_only = false;
        out.push(Event::Error(error));
    }
}
