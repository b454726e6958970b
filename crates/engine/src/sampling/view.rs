//! The distribution of the next token as a table, for people who want to see what the parameters do.

use super::cuts::{Stages, by_rank, softmax};
use super::{Sampler, check_numbers, most_likely, nothing_left};
use crate::error::EngineError;
use crate::request::Sampling;

/// What can come next after a prompt.
#[derive(Debug, Clone, PartialEq)]
pub struct Table {
    /// The most likely tokens under the model, most likely first.
    pub rows: Vec<Candidate>,
    pub vocabulary_size: usize,
    /// How many tokens can still come after each cut.
    pub n_after_top_k: usize,
    pub n_after_top_p: usize,
    pub n_after_min_p: usize,
}

/// One token on its way through the steps of `sampling`. Probabilities are zero where a step cut it.
#[derive(Debug, Clone, PartialEq)]
pub struct Candidate {
    pub token: u32,
    /// Whole characters; what is none is U+FFFD.
    pub text: String,
    /// As the network gave it.
    pub logit: f32,
    /// Under the model itself.
    pub before: f64,
    /// After bias, penalties and temperature. At temperature 0 the most likely token has it all.
    pub after_temperature: f64,
    pub after_top_k: f64,
    pub after_top_p: f64,
    /// What the token is drawn by.
    pub after_min_p: f64,
}

/// `text` gives the text of a token.
pub(crate) fn table(
    logits: &[f32],
    prompt: &[u32],
    sampling: &Sampling,
    top: usize,
    text: impl Fn(u32) -> String,
) -> Result<Table, EngineError> {
    check_numbers(logits)?;
    let mut processed = logits.to_vec();
    Sampler::new(sampling.clone(), prompt, 0).process(&mut processed);
    let stages = stages(&processed, sampling).ok_or_else(nothing_left)?;
    let by_token = |list: &[(u32, f64)]| {
        let mut all = vec![0.0; logits.len()];
        for (token, probability) in list {
            all[*token as usize] = *probability;
        }
        all
    };
    let after_temperature = by_token(&stages.temperature);
    let after_top_k = by_token(&stages.top_k);
    let after_top_p = by_token(&stages.top_p);
    let after_min_p = by_token(&stages.min_p);
    let mut before = softmax(logits, 1.0).ok_or_else(nothing_left)?;
    before.sort_unstable_by(by_rank);
    let rows = before.iter().take(top).map(|(token, probability)| {
        let at = *token as usize;
        Candidate {
            token: *token,
            text: text(*token),
            logit: logits[at],
            before: *probability,
            after_temperature: after_temperature[at],
            after_top_k: after_top_k[at],
            after_top_p: after_top_p[at],
            after_min_p: after_min_p[at],
        }
    });
    Ok(Table {
        rows: rows.collect(),
        vocabulary_size: logits.len(),
        n_after_top_k: stages.top_k.len(),
        n_after_top_p: stages.top_p.len(),
        n_after_min_p: stages.min_p.len(),
    })
}

/// At temperature 0 every step leaves the most likely token alone.
fn stages(processed: &[f32], sampling: &Sampling) -> Option<Stages> {
    if sampling.temperature > 0.0 {
        return Stages::all(processed, sampling);
    }
    let only = vec![(most_likely(processed)?, 1.0)];
    Some(Stages {
        temperature: only.clone(),
        top_k: only.clone(),
        top_p: only.clone(),
        min_p: only,
    })
}
