//! Log-probabilities as legacy completions write them: lists side by side, and of each token the place where it
//! begins in the text.

use crate::{ir::TokenLogprob, json::Object};

/// Writes `logprobs` of a choice: null where nothing is told. `offset` is the number of characters of the text
/// before these tokens, and afterwards of the text with them.
pub(super) fn put(choice: &mut Object<'_>, tokens: &[TokenLogprob], offset: &mut u64) {
    if tokens.is_empty() {
        return choice.put("logprobs", &());
    }
    let texts: Vec<&str> = tokens.iter().map(|token| &*token.token).collect();
    let values: Vec<f64> = tokens.iter().map(TokenLogprob::finite).collect();
    let mut offsets = Vec::with_capacity(tokens.len());
    for token in tokens {
        offsets.push(*offset);
        *offset += characters(token);
    }
    let mut logprobs = choice.object("logprobs");
    logprobs.put("tokens", &texts);
    logprobs.put("token_logprobs", &values);
    {
        let mut tops = logprobs.list("top_logprobs");
        for token in tokens {
            put_top(&mut tops.object(), token);
        }
    }
    logprobs.put("text_offset", &offsets);
}

/// The likeliest tokens, and the token itself: the vendor always tells it. Of two that read alike the likelier
/// one has the name.
fn put_top(out: &mut Object<'_>, token: &TokenLogprob) {
    let mut told: Vec<&str> = Vec::with_capacity(token.top.len() + 1);
    for one in token.top.iter().chain([token]) {
        if !told.contains(&&*one.token) {
            told.push(&one.token);
            out.put(&one.token, &one.finite());
        }
    }
}

/// The characters that begin in a token; one that adds nothing to the text has none.
fn characters(token: &TokenLogprob) -> u64 {
    let bytes = token.bytes.iter().flatten();
    let begun = bytes.filter(|byte| **byte & 0xc0 != 0x80).count();
    u64::try_from(begun).unwrap_or(u64::MAX)
}
