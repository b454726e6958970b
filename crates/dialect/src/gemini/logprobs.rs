//! Log-probabilities of a candidate: <https://ai.google.dev/api/generate-content#LogprobsResult>. This dialect
//! names tokens by their text and their number, and tells no bytes.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::{
    ir::{TokenLogprob, UNLIKELY},
    json::{Count, Object, Text},
};

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Wire<'a> {
    #[serde(borrow)]
    chosen_candidates: Vec<Chance<'a>>,
    #[serde(borrow)]
    top_candidates: Vec<Top<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Top<'a> {
    #[serde(borrow)]
    candidates: Vec<Chance<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Chance<'a> {
    #[serde(borrow)]
    token: Text<'a>,
    token_id: Count,
    log_probability: Option<f64>,
}

/// Reads `logprobsResult`. One in a form of the server's own is `None`.
pub(super) fn read(raw: &RawValue) -> Option<Vec<TokenLogprob>> {
    let wire: Wire<'_> = serde_json::from_str(raw.get()).ok()?;
    let mut tops = wire.top_candidates.into_iter();
    let tokens = wire.chosen_candidates.iter().map(|token| {
        let top = tops.next().unwrap_or_default();
        TokenLogprob {
            top: top.candidates.iter().map(Chance::to_token).collect(),
            ..token.to_token()
        }
    });
    Some(tokens.collect())
}

/// Writes `logprobsResult` of a candidate, or of a piece of one; nothing where nothing is told.
pub(super) fn put(candidate: &mut Object<'_>, tokens: &[TokenLogprob]) {
    if tokens.is_empty() {
        return;
    }
    let mut result = candidate.object("logprobsResult");
    {
        let mut chosen = result.list("chosenCandidates");
        for token in tokens {
            put_token(&mut chosen.object(), token);
        }
    }
    let mut tops = result.list("topCandidates");
    for token in tokens {
        let mut top = tops.object();
        let mut candidates = top.list("candidates");
        for token in &token.top {
            put_token(&mut candidates.object(), token);
        }
    }
}

fn put_token(out: &mut Object<'_>, token: &TokenLogprob) {
    out.put("token", &token.token);
    out.put_some("tokenId", token.id);
    out.put("logProbability", &token.finite());
}

/// The mean of the tokens' log-probabilities, as a reply's end has it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Mean {
    sum: f64,
    n: u32,
}

// === impl Mean ===

impl Mean {
    pub(super) fn add(&mut self, tokens: &[TokenLogprob]) {
        for token in tokens {
            self.sum += token.finite();
            self.n = self.n.saturating_add(1);
        }
    }

    pub(super) fn put(self, candidate: &mut Object<'_>) {
        if self.n > 0 {
            candidate.put("avgLogprobs", &(self.sum / f64::from(self.n)));
        }
    }
}

// === impl Chance ===

impl Chance<'_> {
    fn to_token(&self) -> TokenLogprob {
        let logprob = self.log_probability.unwrap_or(UNLIKELY);
        TokenLogprob {
            id: self.token_id.0.and_then(|id| u32::try_from(id).ok()),
            ..TokenLogprob::of_text(self.token.to_text(), logprob)
        }
    }
}
