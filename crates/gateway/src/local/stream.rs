//! Running generations, told as IR events: blocks of text and reasoning as they come, calls of tools, one end for each
//! answer and one usage for all.

use std::task::{Context, Poll};

use tollgate_base::{Error, Provenance, Usage, base62};
use tollgate_dialect::ir::{BlockStart, Delta, Event, FinishReason, TokenLogprob};
use tollgate_engine::{
    Event as EngineEvent, FinishReason as EngineFinish, Generation, Piece, TokenChance,
};

use super::fault::engine_error;

/// The answers to one request.
#[derive(Debug)]
pub(crate) struct LocalStream {
    /// The model's name.
    model: String,
    answers: Vec<Answer>,
    /// Whose turn the last event was.
    turn: usize,
    shows_reasoning: bool,
    /// What the ids of calls are made of.
    seed: u64,
    n_calls: u64,
    usage: Usage,
    started: bool,
    ended: bool,
}

#[derive(Debug)]
struct Answer {
    generation: Generation,
    /// What the last block is, while it is open.
    open: Option<Kind>,
    n_blocks: usize,
    is_over: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Text,
    Reasoning,
}

impl LocalStream {
    pub(super) fn new(
        model: &str,
        generations: Vec<Generation>,
        shows_reasoning: bool,
        seed: u64,
    ) -> Self {
        let answer = |generation| Answer {
            generation,
            open: None,
            n_blocks: 0,
            is_over: false,
        };
        Self {
            model: model.to_owned(),
            answers: generations.into_iter().map(answer).collect(),
            turn: 0,
            shows_reasoning,
            seed,
            n_calls: 0,
            usage: Usage {
                cache_read: Some(0),
                provenance: Provenance::Reported,
                ..Usage::default()
            },
            started: false,
            ended: false,
        }
    }

    /// Appends the next events. `false` when all answers have ended.
    pub(crate) fn poll_events(&mut self, cx: &mut Context<'_>, out: &mut Vec<Event>) -> Poll<bool> {
        if self.ended {
            return Poll::Ready(false);
        }
        if !self.started {
            self.started = true;
            out.push(Event::Start {
                id: String::new(),
                model: self.model.clone(),
            });
            return Poll::Ready(true);
        }
        let before = out.len();
        for index in 0..self.answers.len() {
            while !self.ended
                && let Some(answer) = self.answers.get_mut(index)
                && !answer.is_over
                && let Poll::Ready(event) = answer.generation.poll_next(cx)
            {
                if self.turn != index {
                    self.turn = index;
                    out.push(Event::Choice(index));
                }
                self.tell(index, event, out);
            }
        }
        if out.len() > before {
            Poll::Ready(true)
        } else {
            Poll::Pending
        }
    }

    fn tell(&mut self, index: usize, event: Option<EngineEvent>, out: &mut Vec<Event>) {
        let Some(answer) = self.answers.get_mut(index) else {
            return;
        };
        match event {
            Some(EngineEvent::Text(piece)) => {
                let block = answer.in_block(Kind::Text, out);
                tell_piece(block, piece, Delta::Text, out);
            }
            Some(EngineEvent::Reasoning(piece)) if self.shows_reasoning => {
                let block = answer.in_block(Kind::Reasoning, out);
                out.push(Event::Delta {
                    index: block,
                    delta: Delta::Reasoning(piece.text),
                });
            }
            Some(EngineEvent::Reasoning(_)) => {}
            Some(EngineEvent::ToolCall { name, arguments }) => {
                self.n_calls += 1;
                let id = call_id(self.seed, self.n_calls);
                answer.tell_call(id, name, arguments, out);
            }
            Some(EngineEvent::Done { reason, usage }) => self.end(index, (reason, usage), out),
            Some(EngineEvent::Failed(error)) => self.fail(engine_error(&error), out),
            None => {
                let words = "The model stopped without a word.";
                self.fail(Error::internal(words), out);
            }
        }
    }

    fn end(
        &mut self,
        index: usize,
        (reason, usage): (EngineFinish, tollgate_engine::Usage),
        out: &mut Vec<Event>,
    ) {
        if let Some(answer) = self.answers.get_mut(index) {
            answer.is_over = true;
            if answer.n_blocks == 0 {
                answer.in_block(Kind::Text, out);
            }
            answer.close(out);
        }
        self.count(usage);
        if self.answers.iter().all(|answer| answer.is_over) {
            self.ended = true;
            out.push(Event::Usage(self.usage));
        }
        out.push(Event::Finish(finish_of(reason)));
    }

    /// Every answer says the whole prompt, which is read once.
    fn count(&mut self, usage: tollgate_engine::Usage) {
        let cached = u64::from(usage.cached_tokens);
        self.usage.input = u64::from(usage.prompt_tokens).saturating_sub(cached);
        self.usage.cache_read = Some(cached);
        self.usage.output += u64::from(usage.output_tokens);
    }

    fn fail(&mut self, error: Error, out: &mut Vec<Event>) {
        self.ended = true;
        // The other answers are cancelled with it.
        self.answers.clear();
        out.push(Event::Error(error));
    }
}

impl Answer {
    /// The number of the open block, which is of this kind: another one ends first.
    fn in_block(&mut self, kind: Kind, out: &mut Vec<Event>) -> usize {
        if self.open != Some(kind) {
            self.close(out);
            self.open = Some(kind);
            out.push(Event::BlockStart {
                index: self.n_blocks,
                block: match kind {
                    Kind::Text => BlockStart::Text,
                    Kind::Reasoning => BlockStart::Reasoning,
                },
            });
            self.n_blocks += 1;
        }
        self.n_blocks - 1
    }

    fn close(&mut self, out: &mut Vec<Event>) {
        if self.open.take().is_some() {
            out.push(Event::BlockEnd {
                index: self.n_blocks - 1,
            });
        }
    }

    fn tell_call(&mut self, id: String, name: String, arguments: String, out: &mut Vec<Event>) {
        self.close(out);
        let index = self.n_blocks;
        self.n_blocks += 1;
        out.push(Event::BlockStart {
            index,
            block: BlockStart::ToolCall { id, name },
        });
        out.push(Event::Delta {
            index,
            delta: Delta::Arguments(arguments),
        });
        out.push(Event::BlockEnd { index });
    }
}

fn tell_piece(index: usize, piece: Piece, of: fn(String) -> Delta, out: &mut Vec<Event>) {
    if !piece.tokens.is_empty() {
        let tokens = piece.tokens.into_iter().map(logprob).collect();
        out.push(Event::Delta {
            index,
            delta: Delta::Logprobs(tokens),
        });
    }
    out.push(Event::Delta {
        index,
        delta: of(piece.text),
    });
}

fn logprob(chance: TokenChance) -> TokenLogprob {
    let TokenChance {
        token,
        bytes,
        logprob: p,
        top,
    } = chance;
    TokenLogprob {
        top: top.into_iter().map(logprob).collect(),
        ..TokenLogprob::of_bytes(token, bytes, f64::from(p))
    }
}

fn call_id(seed: u64, n: u64) -> String {
    let mut id = "call_".to_owned();
    base62(u128::from(seed) << 64 | u128::from(n), 22, &mut id);
    id
}

fn finish_of(reason: EngineFinish) -> FinishReason {
    match reason {
        EngineFinish::EndOfText => FinishReason::EndOfTurn,
        EngineFinish::ToolCalls => FinishReason::ToolCalls,
        EngineFinish::StopSequence(text) => FinishReason::StopSequence(Some(text)),
        EngineFinish::MaxTokens => FinishReason::MaxTokens,
        EngineFinish::ContextFull => FinishReason::ContextFull,
    }
}
