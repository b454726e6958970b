//! Log probabilities of tokens under the model itself: the softmax of its logits as they come out of the network, before
//! bias, penalties, temperature and cuts.
//!
//! OpenAI's reference says of `logprobs` only that they are the tokens' log probabilities. What the model thought is
//! the reading of vLLM (`raw_logprobs`, its default) and of llama.cpp's server.

/// What the model thought of the place of one token.
#[derive(Debug)]
pub(crate) struct Ranked {
    most: f32,
    /// The logarithm of the sum of the exponentials of all logits less `most`.
    log_sum: f64,
    /// The most likely tokens, most likely first.
    pub(crate) top: Vec<(u32, f32)>,
    logits: Vec<f32>,
}

impl Ranked {
    /// `logits` as the network gave them.
    pub(crate) fn new(logits: &[f32], n_top: usize) -> Ranked {
        let most = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let sum: f64 = logits.iter().map(|l| f64::from(l - most).exp()).sum();
        let mut ranked = Ranked {
            most,
            log_sum: sum.ln(),
            top: Vec::new(),
            logits: logits.to_vec(),
        };
        let top = most_likely_of(logits, n_top).into_iter();
        ranked.top = top.map(|token| (token, ranked.logprob(token))).collect();
        ranked
    }

    #[expect(
        clippy::cast_possible_truncation,
        reason = "a log probability is told in single precision"
    )]
    pub(crate) fn logprob(&self, token: u32) -> f32 {
        let logit = self.logits.get(token as usize).copied();
        logit.map_or(f32::NEG_INFINITY, |logit| {
            (f64::from(logit - self.most) - self.log_sum) as f32
        })
    }
}

/// So many tokens, most likely first, equals by their id.
fn most_likely_of(logits: &[f32], n: usize) -> Vec<u32> {
    let mut tokens: Vec<(u32, f32)> = (0..).zip(logits.iter().copied()).collect();
    let by_rank = |a: &(u32, f32), b: &(u32, f32)| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0));
    if n < tokens.len() {
        tokens.select_nth_unstable_by(n, by_rank);
        tokens.truncate(n);
    }
    tokens.sort_unstable_by(by_rank);
    tokens.into_iter().map(|(token, _)| token).collect()
}
