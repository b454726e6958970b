//! From logits to the next token. The order is fixed and is what the parameters mean:
//!
//! 1. repetition penalty, over the tokens of prompt and answer: a positive logit is divided by it, a negative one
//!    multiplied; frequency penalty times the count, and presence penalty once, over the answer's tokens: subtracted;
//! 2. temperature: logits are divided by it; at 0 the most likely token is taken, and nothing below acts;
//! 3. `top_k`: the k most likely tokens remain;
//! 4. `top_p`: of those, renormalised, the smallest set whose probability reaches p;
//! 5. `min_p`: of those, the ones with at least `min_p` times the probability of the best;
//! 6. one is drawn by what remains of the distribution.
//!
//! Equal probabilities rank by token id, lowest first. Every draw takes one number from the seed's sequence.

use std::collections::BTreeMap;

use crate::random::Random;
use crate::request::Sampling;

#[derive(Debug)]
pub(crate) struct Sampler {
    sampling: Sampling,
    random: Random,
    seen: BTreeMap<u32, u32>,
}

/// A token and its probability.
pub(crate) type Candidate = (u32, f64);

// === impl Sampler ===

impl Sampler {
    pub(crate) fn new(sampling: Sampling, prompt: &[u32]) -> Sampler {
        let random = sampling
            .seed
            .map_or_else(Random::unseeded, Random::from_seed);
        Sampler {
            sampling,
            random,
            seen: prompt.iter().map(|token| (*token, 0)).collect(),
        }
    }

    /// The next token, which counts as part of the answer from now on. `None` where the logits are no numbers.
    pub(crate) fn pick(&mut self, logits: &mut [f32]) -> Option<u32> {
        self.penalise(logits);
        let token = if self.sampling.temperature == 0.0 {
            most_likely(logits)?
        } else {
            let remaining = distribution(logits, &self.sampling)?;
            draw(&remaining, self.random.unit())?
        };
        *self.seen.entry(token).or_insert(0) += 1;
        Some(token)
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
        for (token, count) in &self.seen {
            let Some(logit) = logits.get_mut(*token as usize) else {
                continue;
            };
            if *logit > 0.0 {
                *logit /= repetition_penalty;
            } else {
                *logit *= repetition_penalty;
            }
            *logit -= frequency_penalty * *count as f32;
            if *count > 0 {
                *logit -= presence_penalty;
            }
        }
    }
}

/// What steps 2 to 5 leave, with probabilities that sum to one.
pub(crate) fn distribution(logits: &[f32], sampling: &Sampling) -> Option<Vec<Candidate>> {
    let mut candidates = softmax(logits, f64::from(sampling.temperature))?;
    let is_cut = sampling.top_k > 0 || sampling.top_p < 1.0;
    if is_cut {
        // By probability, then by id: a total order, so an unstable sort gives the same every time.
        candidates.sort_unstable_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    }
    if sampling.top_k > 0 {
        candidates.truncate(sampling.top_k as usize);
        normalise(&mut candidates);
    }
    if sampling.top_p < 1.0 {
        let mut sum = 0.0;
        let needed = candidates.iter().position(|(_, probability)| {
            sum += probability;
            sum >= f64::from(sampling.top_p)
        });
        if let Some(last) = needed {
            candidates.truncate(last + 1);
        }
    }
    if sampling.min_p > 0.0 {
        let best = candidates
            .iter()
            .fold(0.0, |best, (_, p)| f64::max(best, *p));
        candidates.retain(|(_, probability)| *probability >= best * f64::from(sampling.min_p));
    }
    normalise(&mut candidates);
    Some(candidates)
}

fn softmax(logits: &[f32], temperature: f64) -> Option<Vec<Candidate>> {
    let most = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    if !most.is_finite() || logits.iter().any(|logit| logit.is_nan()) {
        return None;
    }
    let mut candidates: Vec<Candidate> = (0..)
        .zip(logits)
        .map(|(token, logit)| (token, (f64::from(logit - most) / temperature).exp()))
        .collect();
    normalise(&mut candidates);
    Some(candidates)
}

fn normalise(candidates: &mut [Candidate]) {
    let sum: f64 = candidates.iter().map(|(_, probability)| probability).sum();
    for (_, probability) in candidates {
        *probability /= sum;
    }
}

/// `unit` is evenly over [0, 1).
fn draw(candidates: &[Candidate], unit: f64) -> Option<u32> {
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
        .map(|(token, _)| token)
}

#[cfg(test)]
mod tests;
