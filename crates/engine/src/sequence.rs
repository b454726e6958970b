//! One generation inside the batch: what it has fed, what it still may draw, and when it ends.

use tokio::sync::mpsc::UnboundedSender;

use crate::error::{EngineError, ErrorKind};
use crate::generation::{Event, FinishReason, Usage};
use crate::model::{Cache, Lane, Model};
use crate::queue::Place;
use crate::request::Request;
use crate::sampling::Sampler;
use crate::text::{AnswerText, Released};

#[derive(Debug)]
pub(crate) struct Sequence {
    /// Prompt and answer.
    tokens: Vec<u32>,
    n_prompt: usize,
    /// How many of the tokens the cache has.
    n_fed: usize,
    /// At this length of `tokens` the generation ends, for this reason.
    n_most: usize,
    reason_at_most: FinishReason,
    cache: Cache,
    sampler: Sampler,
    text: AnswerText,
    events: UnboundedSender<Event>,
    /// Held for its drop, which frees the place in the queue.
    _place: Place,
}

impl Sequence {
    /// Refuses what does not fit the window.
    pub(crate) fn new(
        model: &Model,
        request: Request,
        events: UnboundedSender<Event>,
        place: Place,
    ) -> Result<Sequence, EngineError> {
        let tokens = model
            .tokenize(&request.prompt)
            .map_err(|error| match error.kind {
                // A text refused for its length alone: name what was asked for beside it.
                ErrorKind::ContextOverflow {
                    prompt_tokens,
                    window,
                    ..
                } => EngineError::context_overflow(
                    prompt_tokens,
                    request.max_tokens.unwrap_or(0),
                    window,
                ),
                _ => error,
            })?;
        let window = model.window();
        let n_prompt = u32::try_from(tokens.len()).unwrap_or(u32::MAX);
        let wished = request.max_tokens.unwrap_or(1);
        if n_prompt.checked_add(wished).is_none_or(|all| all > window) {
            let max_output = request.max_tokens.unwrap_or(0);
            return Err(EngineError::context_overflow(n_prompt, max_output, window));
        }
        let (n_most, reason_at_most) = match request.max_tokens {
            Some(most) => (tokens.len() + most as usize, FinishReason::MaxTokens),
            None => (window as usize, FinishReason::ContextFull),
        };
        Ok(Sequence {
            n_prompt: tokens.len(),
            n_fed: 0,
            n_most,
            reason_at_most,
            cache: Cache::default(),
            sampler: Sampler::new(request.sampling, &tokens),
            text: AnswerText::new(request.stop),
            events,
            tokens,
            _place: place,
        })
    }

    pub(crate) fn prompt_tokens(&self) -> u32 {
        u32::try_from(self.n_prompt).unwrap_or(u32::MAX)
    }

    /// Whether the caller is gone.
    pub(crate) fn is_cancelled(&self) -> bool {
        self.events.is_closed()
    }

    /// Tokens that wait to be fed: the rest of the prompt, or the one drawn last.
    pub(crate) fn n_waiting(&self) -> usize {
        self.tokens.len() - self.n_fed
    }

    /// This sequence's part in the next pass: at most so many of its waiting tokens.
    pub(crate) fn lane(&mut self, at_most: usize) -> Lane<'_> {
        let to = self.tokens.len().min(self.n_fed + at_most);
        let from = std::mem::replace(&mut self.n_fed, to);
        Lane {
            cache: &mut self.cache,
            tokens: &self.tokens[from..to],
            wants_logits: to == self.tokens.len(),
        }
    }

    /// Takes the logits of a pass. False when the generation is over, its last event sent.
    pub(crate) fn advance(&mut self, model: &Model, mut logits: Vec<f32>) -> bool {
        let Some(token) = self.sampler.pick(&mut logits) else {
            let error = EngineError::corrupt("its network computes values that are no numbers");
            return self.end(Event::Failed(error));
        };
        self.tokens.push(token);
        if model.tokenizer.ends_answer(token) {
            return self.finish(FinishReason::EndOfText);
        }
        match self.text.push(model.tokenizer.answer_bytes(token)) {
            Released::Text(text) => self.send_text(text),
            Released::Stopped(text, stop) => {
                self.send_text(text);
                return self.done(FinishReason::StopSequence(stop));
            }
        }
        if self.tokens.len() >= self.n_most {
            return self.finish(self.reason_at_most.clone());
        }
        true
    }

    /// Ends for `reason`, unless the last characters complete a stop sequence.
    fn finish(&mut self, reason: FinishReason) -> bool {
        match self.text.finish() {
            Released::Text(text) => {
                self.send_text(text);
                self.done(reason)
            }
            Released::Stopped(text, stop) => {
                self.send_text(text);
                self.done(FinishReason::StopSequence(stop))
            }
        }
    }

    fn done(&mut self, reason: FinishReason) -> bool {
        let output = self.tokens.len() - self.n_prompt;
        let usage = Usage {
            prompt_tokens: self.prompt_tokens(),
            cached_tokens: 0,
            output_tokens: u32::try_from(output).unwrap_or(u32::MAX),
        };
        self.end(Event::Done { reason, usage })
    }

    fn send_text(&mut self, text: String) {
        if !text.is_empty() {
            self.send(Event::Text(text));
        }
    }

    fn end(&mut self, event: Event) -> bool {
        self.send(event);
        false
    }

    /// A caller that is gone is noticed before the next pass.
    fn send(&mut self, event: Event) {
        drop(self.events.send(event));
    }
}
