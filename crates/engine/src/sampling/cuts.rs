//! The distribution on its way through temperature, top-k, top-p and min-p, as the module above orders them.

use crate::request::Sampling;

/// How many of the most likely tokens are looked at first for top-p. A real distribution rarely needs more, and a
/// vocabulary of 150,000 is not sorted for nothing.
const FIRST_LOOK: usize = 128;

/// Tokens that can come after each step, with their probabilities. Each list sums to one.
#[derive(Debug)]
pub(super) struct Stages {
    pub(super) temperature: Vec<(u32, f64)>,
    pub(super) top_k: Vec<(u32, f64)>,
    pub(super) top_p: Vec<(u32, f64)>,
    pub(super) min_p: Vec<(u32, f64)>,
}

impl Stages {
    /// Where the temperature is above zero. Only the last list is filled. `None` where no logit is a number that can be
    /// drawn by.
    pub(super) fn of(logits: &[f32], sampling: &Sampling) -> Option<Stages> {
        Stages::run(logits, sampling, false)
    }

    /// The same with every list kept, for those who look on.
    pub(super) fn all(logits: &[f32], sampling: &Sampling) -> Option<Stages> {
        Stages::run(logits, sampling, true)
    }

    fn run(logits: &[f32], sampling: &Sampling, keeps: bool) -> Option<Stages> {
        let kept = |list: &Vec<(u32, f64)>| if keeps { list.clone() } else { Vec::new() };
        let mut tokens = softmax(logits, f64::from(sampling.temperature))?;
        let temperature = kept(&tokens);
        top_k(&mut tokens, sampling.top_k as usize);
        let after_top_k = kept(&tokens);
        top_p(&mut tokens, f64::from(sampling.top_p));
        let after_top_p = kept(&tokens);
        min_p(&mut tokens, f64::from(sampling.min_p));
        Some(Stages {
            temperature,
            top_k: after_top_k,
            top_p: after_top_p,
            min_p: tokens,
        })
    }
}

/// The k most likely; all of them where k is zero.
fn top_k(tokens: &mut Vec<(u32, f64)>, k: usize) {
    if k > 0 && k < tokens.len() {
        tokens.select_nth_unstable_by(k, by_rank);
        tokens.truncate(k);
        normalise(tokens);
    }
}

/// The fewest of the most likely tokens whose probability reaches p.
fn top_p(tokens: &mut Vec<(u32, f64)>, p: f64) {
    if p >= 1.0 {
        return;
    }
    let mut n_looked_at = FIRST_LOOK;
    loop {
        let best = most_likely_first(tokens, n_looked_at);
        let is_all = best == tokens.len();
        let mut sum = 0.0;
        let last = tokens.iter().take(best).position(|(_, probability)| {
            sum += probability;
            sum >= p
        });
        if let Some(last) = last {
            tokens.truncate(last + 1);
            return normalise(tokens);
        }
        // Where rounding keeps the sum of all below p, all remain.
        if is_all {
            return;
        }
        n_looked_at *= 8;
    }
}

/// Brings so many of the most likely tokens to the front, in the order of their probability; how many these are.
fn most_likely_first(tokens: &mut [(u32, f64)], n: usize) -> usize {
    let n = n.min(tokens.len());
    if n < tokens.len() {
        tokens.select_nth_unstable_by(n, by_rank);
    }
    if let Some(best) = tokens.get_mut(..n) {
        best.sort_unstable_by(by_rank);
    }
    n
}

/// Those with at least this share of the best one's probability.
fn min_p(tokens: &mut Vec<(u32, f64)>, share: f64) {
    if share > 0.0 {
        let best = tokens.iter().fold(0.0, |best, (_, p)| f64::max(best, *p));
        tokens.retain(|(_, probability)| *probability >= best * share);
        normalise(tokens);
    }
}

/// By probability, then by id: a total order, so an unstable sort gives the same every time.
pub(super) fn by_rank(a: &(u32, f64), b: &(u32, f64)) -> std::cmp::Ordering {
    b.1.total_cmp(&a.1).then(a.0.cmp(&b.0))
}

/// `None` where the logits have no finite maximum, or are no numbers.
pub(super) fn softmax(logits: &[f32], temperature: f64) -> Option<Vec<(u32, f64)>> {
    let most = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    if !most.is_finite() || logits.iter().any(|logit| logit.is_nan()) {
        return None;
    }
    let mut tokens: Vec<(u32, f64)> = (0..)
        .zip(logits)
        .filter(|(_, logit)| **logit > f32::NEG_INFINITY)
        .map(|(token, logit)| (token, (f64::from(logit - most) / temperature).exp()))
        .collect();
    normalise(&mut tokens);
    Some(tokens)
}

fn normalise(tokens: &mut [(u32, f64)]) {
    let sum: f64 = tokens.iter().map(|(_, probability)| probability).sum();
    for (_, probability) in tokens {
        *probability /= sum;
    }
}
