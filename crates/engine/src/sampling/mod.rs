//! From logits to the next token. Tokens that a constraint forbids have lost their logits before (`constraint`). The order
//! is fixed and is what the parameters mean:
//!
//! 1. `logit_bias` is added; at -100 the token cannot come, and where tokens have 100 only those can;
//! 2. repetition penalty, over the last tokens of prompt and answer (`repetition_window`): a positive logit is divided
//!    by it, a negative one multiplied;
//! 3. frequency penalty times the count, and presence penalty once, over the answer's tokens: subtracted;
//! 4. temperature: logits are divided by it; at 0 the most likely token is taken, and nothing below acts;
//! 5. `top_k`: the k most likely tokens remain;
//! 6. `top_p`: of those, renormalised, the smallest set whose probability reaches p;
//! 7. `min_p`: of those, the ones with at least `min_p` times the probability of the best;
//! 8. one is drawn by what remains of the distribution.
//!
//! This is the order of Hugging Face transformers (`GenerationMixin._get_logits_processor`: bias, repetition penalty,
//! temperature, top-k, top-p, min-p), with OpenAI's two penalties where vLLM has them, behind the repetition penalty and
//! before the temperature. llama.cpp applies the temperature last instead, so that its cuts do not see it; the order here
//! is the one that users of most servers know.
//!
//! Equal probabilities rank by token id, lowest first. Every draw takes one number from the seed's sequence.

mod cuts;
mod logprobs;
mod view;

use std::collections::BTreeMap;

use self::cuts::Stages;
pub(crate) use self::logprobs::Ranked;
pub(crate) use self::view::table;
pub use self::view::{Candidate, Table};
use crate::error::EngineError;
use crate::random::Random;
use crate::request::Sampling;

/// A `logit_bias` from here on means only these tokens, and at its negative the token is banned.
const ABSOLUTE_BIAS: f32 = 100.0;

#[derive(Debug)]
pub(crate) struct Sampler {
    sampling: Sampling,
    random: Random,
    /// Prompt and answer.
    history: Vec<u32>,
    /// How often a token is in the part of the history that the repetition penalty looks at.
    recent: BTreeMap<u32, u32>,
    /// How often a token is in the answer.
    answered: BTreeMap<u32, u32>,
}

// === impl Sampler ===

impl Sampler {
    /// `candidate` is the number of the answer among those to one prompt; each draws its own numbers.
    pub(crate) fn new(sampling: Sampling, prompt: &[u32], candidate: u32) -> Sampler {
        let random = sampling.seed.map_or_else(Random::unseeded, |seed| {
            Random::from_seed(seed.wrapping_add(u64::from(candidate) << 32))
        });
        let mut sampler = Sampler {
            sampling,
            random,
            history: Vec::with_capacity(prompt.len()),
            recent: BTreeMap::new(),
            answered: BTreeMap::new(),
        };
        for token in prompt {
            sampler.see(*token);
        }
        sampler
    }

    /// The next token, which counts as part of the answer from now on. Fails where the request leaves none.
    pub(crate) fn pick(&mut self, logits: &mut [f32]) -> Result<u32, EngineError> {
        self.process(logits);
        let token = self.choose(logits).ok_or_else(nothing_left)?;
        self.answer(token);
        Ok(token)
    }

    /// Steps 1 to 3.
    fn process(&self, logits: &mut [f32]) {
        self.bias(logits);
        self.penalise(logits);
    }

    /// The steps behind them.
    fn choose(&mut self, logits: &[f32]) -> Option<u32> {
        if self.sampling.temperature == 0.0 {
            return most_likely(logits);
        }
        let stages = Stages::of(logits, &self.sampling)?;
        draw(&stages.min_p, self.random.unit())
    }

    fn bias(&self, logits: &mut [f32]) {
        let biases = &self.sampling.logit_bias;
        let forced: Vec<(usize, f32)> = biases
            .iter()
            .filter(|(_, bias)| *bias >= ABSOLUTE_BIAS)
            .filter_map(|(token, _)| Some((*token as usize, *logits.get(*token as usize)?)))
            .collect();
        if !forced.is_empty() {
            logits.fill(f32::NEG_INFINITY);
            for (token, logit) in forced {
                logits[token] = logit;
            }
            return;
        }
        for (token, bias) in biases {
            let Some(logit) = logits.get_mut(*token as usize) else {
                continue;
            };
            if *bias <= -ABSOLUTE_BIAS {
                *logit = f32::NEG_INFINITY;
            } else {
                *logit += bias;
            }
        }
    }

    #[expect(
        clippy::cast_precision_loss,
        reason = "counts are below the window's length"
    )]
    fn penalise(&self, logits: &mut [f32]) {
        let Sampling {
            repetition_penalty,
            frequency_penalty,
            presence_penalty,
            ..
        } = self.sampling;
        for token in self.recent.keys() {
            let Some(logit) = logits.get_mut(*token as usize) else {
                continue;
            };
            if *logit > 0.0 {
                *logit /= repetition_penalty;
            } else {
                *logit *= repetition_penalty;
            }
        }
        for (token, count) in &self.answered {
            if let Some(logit) = logits.get_mut(*token as usize) {
                *logit -= frequency_penalty * *count as f32 + presence_penalty;
            }
        }
    }

    fn answer(&mut self, token: u32) {
        self.see(token);
        *self.answered.entry(token).or_insert(0) += 1;
    }

    fn see(&mut self, token: u32) {
        self.history.push(token);
        *self.recent.entry(token).or_insert(0) += 1;
        let Some(window) = self.sampling.repetition_window else {
            return;
        };
        let leaving = self.history.len().checked_sub(window as usize + 1);
        if let Some(gone) = leaving.and_then(|at| self.history.get(at))
            && let Some(count) = self.recent.get_mut(gone)
        {
            *count -= 1;
            if *count == 0 {
                self.recent.remove(gone);
            }
        }
    }
}

/// Whether there is something to draw by, as the network gave it.
pub(crate) fn check_numbers(logits: &[f32]) -> Result<(), EngineError> {
    let most = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    if most.is_finite() && !logits.iter().any(|logit| logit.is_nan()) {
        return Ok(());
    }
    Err(EngineError::corrupt(
        "its network computes values that are no numbers",
    ))
}

fn nothing_left() -> EngineError {
    EngineError::invalid(
        "logit_bias",
        "logit_bias and the penalties leave no token that can come; ban fewer, or use penalties nearer to 1",
    )
}

/// `unit` is evenly over [0, 1).
fn draw(candidates: &[(u32, f64)], unit: f64) -> Option<u32> {
    let mut left = unit;
    for (token, probability) in candidates {
        if left < *probability {
            return Some(*token);
        }
        left -= probability;
    }
    // Rounding can leave a crumb behind; it belongs to the last token that can occur.
    candidates
        .iter()
        .rev()
        .find(|(_, p)| *p > 0.0)
        .map(|(token, _)| *token)
}

fn most_likely(logits: &[f32]) -> Option<u32> {
    if logits.iter().any(|logit| logit.is_nan()) {
        return None;
    }
    (0..)
        .zip(logits)
        .reduce(|best, next| if next.1 > best.1 { next } else { best })
        .filter(|(_, logit)| **logit > f32::NEG_INFINITY)
        .map(|(token, _)| token)
}

#[cfg(test)]
mod tests;
