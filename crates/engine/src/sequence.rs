//! One generation inside the batch: what it has fed, what it still may draw, and when it ends.

use crate::answer::{Answer, Told};
use crate::constraint::{Bound, Constraint, Manner};
use crate::error::{EngineError, ErrorKind};
use crate::generation::{Event, FinishReason, Piece, Started, TokenChance, Usage};
use crate::model::{Cache, Lane, Model};
use crate::prefix::Prefix;
use crate::queue::Seat;
use crate::reply::ReplyFormat;
use crate::request::{Prompt, Request};
use crate::sampling::{Ranked, Sampler, check_numbers};
use crate::tokenizer::Tokenizer;

#[derive(Debug)]
pub(crate) struct Sequence {
    owner: String,
    /// Prompt and answer.
    tokens: Vec<u32>,
    n_prompt: usize,
    /// How many of the tokens the cache has.
    n_fed: usize,
    /// At this length of `tokens` the generation ends, for this reason.
    n_most: usize,
    reason_at_most: FinishReason,
    cache: Cache,
    /// Tokens of the prompt that an earlier sequence had computed.
    n_shared: usize,
    /// Whether it has taken part in a pass.
    has_begun: bool,
    sampler: Sampler,
    answer: Answer,
    /// Where the request says what the answer must be.
    bound: Option<Bound>,
    /// Whether the answer's markers of calls and of reasoning are looked at, and which.
    format: Option<ReplyFormat>,
    n_top: Option<u32>,
    /// The text of the prompt, where it is to come before the answer.
    echo: Option<String>,
    seat: Seat,
    /// Other answers to the same prompt. They wait here until its work is done once for all.
    siblings: Vec<Sequence>,
}

impl Sequence {
    /// The first of as many sequences as there are seats, of which there is at least one. Refuses what does not fit the
    /// window.
    pub(crate) fn new(
        model: &Model,
        request: &Request,
        seats: Vec<Seat>,
    ) -> Result<Sequence, EngineError> {
        request
            .sampling
            .check_tokens(model.tokenizer.vocabulary_size())?;
        let (tokens, manner) = model
            .read(&request.prompt)
            .map_err(|error| overflow_of(error, request))?;
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
        let constraint = request.constraint.as_ref();
        let bound = constraint
            .map(|constraint| {
                let tools = request.prompt.tools();
                Bound::new(model.vocabulary()?, constraint, manner, tools)
            })
            .transpose()?;
        let format = format_of(manner, constraint);
        let echo = request
            .echo
            .then(|| text_of(&request.prompt, &model.tokenizer, &tokens));
        let sequence = |candidate, seat| Sequence {
            owner: request.owner.clone(),
            n_shared: 0,
            has_begun: false,
            n_prompt: tokens.len(),
            n_fed: 0,
            n_most,
            reason_at_most: reason_at_most.clone(),
            cache: Cache::default(),
            sampler: Sampler::new(request.sampling.clone(), &tokens, candidate),
            answer: Answer::new(format, request.stop.clone()),
            bound: bound.as_ref().map(Bound::again),
            format: manner.map(|manner| manner.format),
            n_top: request.logprobs,
            echo: echo.clone().filter(|text| !text.is_empty()),
            seat,
            siblings: Vec::new(),
            tokens: tokens.clone(),
        };
        let mut all = (0..).zip(seats).map(|(i, seat)| sequence(i, seat));
        let mut first = all
            .next()
            .ok_or_else(|| EngineError::internal("a request without a seat"))?;
        first.siblings = all.collect();
        Ok(first)
    }

    pub(crate) fn started(&self) -> Started {
        Started {
            prompt_tokens: self.prompt_tokens(),
            format: self.format,
        }
    }

    fn prompt_tokens(&self) -> u32 {
        u32::try_from(self.n_prompt).unwrap_or(u32::MAX)
    }

    /// Whether the caller is gone, and nobody waits for another answer to the same prompt.
    pub(crate) fn is_cancelled(&self) -> bool {
        self.seat.events.is_closed() && self.siblings.iter().all(Sequence::is_cancelled)
    }

    /// The other answers to this prompt, which is computed now: each goes on from a copy of its cache.
    pub(crate) fn take_siblings(&mut self) -> Vec<Sequence> {
        let mut siblings = std::mem::take(&mut self.siblings);
        for sibling in &mut siblings {
            sibling.cache = self.cache.clone();
            sibling.n_fed = self.n_fed;
            sibling.n_shared = self.n_shared;
            sibling.has_begun = true;
        }
        siblings
    }

    pub(crate) fn owner(&self) -> &str {
        &self.owner
    }

    /// Prompt and answer.
    pub(crate) fn tokens(&self) -> &[u32] {
        &self.tokens
    }

    /// Those of them that the cache has.
    pub(crate) fn fed(&self) -> &[u32] {
        self.tokens.get(..self.n_fed).unwrap_or_default()
    }

    /// Whether nothing of it is computed.
    pub(crate) fn is_fresh(&self) -> bool {
        self.n_fed == 0
    }

    /// The cache of its first `n` tokens, which are fed.
    pub(crate) fn cache_of(&self, n: usize) -> Cache {
        let mut cache = self.cache.clone();
        cache.truncate(n);
        cache
    }

    /// Goes on from a cache of its first tokens, which may have none: then everything is computed again.
    pub(crate) fn resume(&mut self, cache: Cache) {
        self.n_fed = cache.len();
        self.cache = cache;
    }

    /// Blocks that the cache will need for so many of the waiting tokens.
    pub(crate) fn n_new_blocks(&self, at_most: usize) -> usize {
        self.cache.n_new_blocks(self.n_waiting().min(at_most))
    }

    /// What it leaves to those that begin as it did.
    pub(crate) fn into_prefix(mut self) -> Prefix {
        self.tokens.truncate(self.cache.len());
        Prefix {
            owner: self.owner,
            tokens: self.tokens,
            cache: self.cache,
        }
    }

    /// Tokens that wait to be fed: the rest of the prompt, or the one drawn last.
    pub(crate) fn n_waiting(&self) -> usize {
        self.tokens.len() - self.n_fed
    }

    /// This sequence's part in the next pass: at most so many of its waiting tokens.
    pub(crate) fn lane(&mut self, at_most: usize) -> Lane<'_> {
        // What a sequence computes a second time was not shared for that.
        if !self.has_begun {
            self.has_begun = true;
            self.n_shared = self.n_fed;
        }
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
        if let Some(prompt) = self.echo.take() {
            self.send(Event::Text(Piece::new(prompt)));
        }
        let ranked = self.n_top.map(|n| Ranked::new(&logits, n as usize));
        let token = match self.draw(model, &mut logits) {
            Ok(token) => token,
            Err(error) => return self.end(Event::Failed(error)),
        };
        self.tokens.push(token);
        if model.tokenizer.ends_answer(token) {
            return self.finish(FinishReason::EndOfText);
        }
        let bytes = self.bytes(&model.tokenizer, token);
        let chance = ranked.map(|ranked| self.chance(&model.tokenizer, &ranked, token));
        let told = self.answer.push(bytes, chance);
        if let Some(stop) = self.tell(told) {
            return self.done(FinishReason::StopSequence(stop));
        }
        match self.is_whole(model, token) {
            Ok(true) => return self.finish(FinishReason::EndOfText),
            Ok(false) => {}
            Err(error) => return self.end(Event::Failed(error)),
        }
        if self.tokens.len() >= self.n_most {
            return self.finish(self.reason_at_most.clone());
        }
        true
    }

    fn draw(&mut self, model: &Model, logits: &mut [f32]) -> Result<u32, EngineError> {
        check_numbers(logits)?;
        if let Some(bound) = &mut self.bound {
            bound.apply(model.vocabulary()?, self.format.is_some(), logits)?;
        }
        self.sampler.pick(logits)
    }

    /// Whether a constraint lets nothing follow.
    fn is_whole(&mut self, model: &Model, token: u32) -> Result<bool, EngineError> {
        match &mut self.bound {
            Some(bound) => bound.take(model.vocabulary()?, token),
            None => Ok(false),
        }
    }

    fn bytes<'a>(&self, tokenizer: &'a Tokenizer, token: u32) -> &'a [u8] {
        if self.format.is_some() {
            tokenizer.reply_bytes(token)
        } else {
            tokenizer.answer_bytes(token)
        }
    }

    fn chance(&self, tokenizer: &Tokenizer, ranked: &Ranked, token: u32) -> TokenChance {
        let one = |token, logprob| TokenChance {
            token,
            bytes: self.bytes(tokenizer, token).to_vec(),
            logprob,
            top: Vec::new(),
        };
        let top = ranked.top.iter().map(|(token, p)| one(*token, *p));
        TokenChance {
            top: top.collect(),
            ..one(token, ranked.logprob(token))
        }
    }

    /// Ends for `reason`, unless the last characters complete a stop sequence.
    fn finish(&mut self, reason: FinishReason) -> bool {
        let told = self.answer.finish();
        let reason = match self.tell(told) {
            Some(stop) => FinishReason::StopSequence(stop),
            None if reason == FinishReason::EndOfText && self.answer.has_calls() => {
                FinishReason::ToolCalls
            }
            None => reason,
        };
        self.done(reason)
    }

    /// Sends the events on; the stop sequence that ends the answer.
    fn tell(&mut self, told: Told) -> Option<String> {
        for event in told.events {
            self.send(event);
        }
        told.stop
    }

    fn done(&mut self, reason: FinishReason) -> bool {
        let output = self.tokens.len() - self.n_prompt;
        let usage = Usage {
            prompt_tokens: self.prompt_tokens(),
            cached_tokens: u32::try_from(self.n_shared).unwrap_or(u32::MAX),
            output_tokens: u32::try_from(output).unwrap_or(u32::MAX),
        };
        self.end(Event::Done { reason, usage })
    }

    fn end(&mut self, event: Event) -> bool {
        self.send(event);
        false
    }

    /// A caller that is gone is noticed before the next pass.
    fn send(&mut self, event: Event) {
        drop(self.seat.events.send(event));
    }
}

/// A text refused for its length alone: names what was asked for beside it.
fn overflow_of(error: EngineError, request: &Request) -> EngineError {
    match error.kind {
        ErrorKind::ContextOverflow {
            prompt_tokens,
            window,
            ..
        } => EngineError::context_overflow(prompt_tokens, request.max_tokens.unwrap_or(0), window),
        _ => error,
    }
}

/// Where the whole reply is to be JSON, none of it is a call.
fn format_of(manner: Option<Manner>, constraint: Option<&Constraint>) -> ReplyFormat {
    let mut format = manner.map(|manner| manner.format).unwrap_or_default();
    if constraint.is_some_and(|constraint| !constraint.has_calls()) {
        format.calls = None;
    }
    format
}

/// The prompt as the caller knows it.
fn text_of(prompt: &Prompt, tokenizer: &Tokenizer, tokens: &[u32]) -> String {
    if let Prompt::Raw(text) = prompt {
        return text.clone();
    }
    let bytes: Vec<u8> = tokens
        .iter()
        .flat_map(|token| tokenizer.answer_bytes(*token))
        .copied()
        .collect();
    String::from_utf8_lossy(&bytes).into_owned()
}
