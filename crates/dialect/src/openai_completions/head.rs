//! What is read and checked of a legacy completion before it is planned.

use tollgate_base::{Error, Result};

use crate::{
    Head, RawObject, checks,
    json::{Json, Shape},
    openai_chat,
};

/// Prompts in one request; each is answered on its own.
const PROMPTS_LIMIT: usize = 2_048;

pub(crate) fn read_head(raw: &RawObject) -> Result<Head> {
    checks::no_overrides(raw)?;
    let model = checks::model(raw)?;
    let stream = checks::flag(raw, "stream")?.unwrap_or(false);
    let include_usage = openai_chat::read_include_usage(raw, stream)?;
    // Zero asks for the log-probabilities of the prompt alone (with `echo`).
    let max_output_tokens = checks::whole(raw, "max_tokens", 0)?;
    let n = checks::whole_in(raw, "n", 1..=128)?;
    let best_of = checks::whole_in(raw, "best_of", 0..=128)?;
    checks::number(raw, "temperature", 0.0..=2.0)?;
    checks::number(raw, "top_p", 0.0..=1.0)?;
    checks::number(raw, "frequency_penalty", -2.0..=2.0)?;
    checks::number(raw, "presence_penalty", -2.0..=2.0)?;
    checks::stops(raw, "stop", true)?;
    checks::integer(raw, "seed")?;
    openai_chat::read_logit_bias(raw)?;
    // The vendor tells 5 at most, other servers of the dialect more.
    checks::whole_in(raw, "logprobs", 0..=100)?;
    checks::flag(raw, "echo")?;
    checks::text(raw, "user", 256)?;
    let prompts = read_prompt(raw)?;
    // The provider writes `best_of` answers for each prompt, and all of them are paid for.
    let each = n.unwrap_or(1).max(best_of.unwrap_or(1));
    Ok(Head {
        model,
        stream,
        include_usage,
        max_output_tokens,
        candidates: u32::try_from(each.saturating_mul(prompts)).unwrap_or(u32::MAX),
    })
}

/// Checks `prompt` (a string, strings, tokens, or lists of tokens) and counts the prompts in it.
fn read_prompt(raw: &RawObject) -> Result<u64> {
    let Some(prompt) = raw.json("prompt") else {
        return Ok(1);
    };
    let wrong = || {
        checks::wrong_type(
            "prompt",
            "a string, a list of strings, or a list of token numbers",
        )
    };
    match prompt.shape() {
        Shape::String => return Ok(1),
        Shape::Array => {}
        _ => return Err(wrong()),
    }
    let Some(first) = prompt.items().next() else {
        return Err(Error::invalid_value(
            "prompt",
            "`prompt` must not be empty.",
        ));
    };
    let shape = first.shape();
    let are_alike = prompt
        .items()
        .all(|item| item.shape() == shape && is_prompt_item(item));
    if !are_alike {
        return Err(wrong());
    }
    if shape == Shape::Number {
        return Ok(1);
    }
    let n = prompt.items().take(PROMPTS_LIMIT + 1).count();
    if n > PROMPTS_LIMIT {
        let message = format!("`prompt` must not hold more than {PROMPTS_LIMIT} prompts.");
        return Err(Error::invalid_value("prompt", message));
    }
    Ok(n as u64)
}

fn is_prompt_item(item: Json<'_>) -> bool {
    match item.shape() {
        Shape::String => true,
        Shape::Number => item.as_u64().is_some(),
        Shape::Array => item.items().all(|token| token.as_u64().is_some()),
        Shape::Null | Shape::Bool | Shape::Object => false,
    }
}
