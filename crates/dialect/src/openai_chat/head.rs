//! What is read and checked of a chat request before it is planned. Fields that are not named here are passed
//! on as they are to a provider of the same dialect, and are losses on the way to another.

use tollgate_base::{Error, Kind, Result};

use crate::{
    Head, RawObject, checks,
    json::{Json, Shape},
};

const ROLES: [&str; 6] = [
    "system",
    "developer",
    "user",
    "assistant",
    "tool",
    "function",
];
const SCHEMA_LIMIT: usize = 1024 * 1024;
const BIASES_LIMIT: usize = 1_024;

pub(crate) fn read_head(raw: &RawObject) -> Result<Head> {
    checks::no_overrides(raw)?;
    let model = checks::model(raw)?;
    let stream = checks::flag(raw, "stream")?.unwrap_or(false);
    let include_usage = read_include_usage(raw, stream)?;
    let max_output_tokens = read_max_tokens(raw)?;
    let candidates = checks::whole_in(raw, "n", 1..=128)?.unwrap_or(1);
    checks::number(raw, "temperature", 0.0..=2.0)?;
    checks::number(raw, "top_p", 0.0..=1.0)?;
    checks::number(raw, "frequency_penalty", -2.0..=2.0)?;
    checks::number(raw, "presence_penalty", -2.0..=2.0)?;
    checks::stops(raw, "stop", true)?;
    checks::integer(raw, "seed")?;
    read_logit_bias(raw)?;
    checks::flag(raw, "logprobs")?;
    checks::whole_in(raw, "top_logprobs", 0..=20)?;
    checks::flag(raw, "parallel_tool_calls")?;
    checks::flag(raw, "store")?;
    checks::text(raw, "reasoning_effort", 32)?;
    checks::text(raw, "service_tier", 64)?;
    checks::text(raw, "user", 256)?;
    checks::text(raw, "safety_identifier", 256)?;
    checks::metadata(raw)?;
    checks::tools(raw)?;
    checks::text_or_object(raw, "tool_choice")?;
    read_response_format(raw)?;
    checks::messages(raw, &ROLES, true)?;
    Ok(Head {
        model,
        stream,
        include_usage,
        max_output_tokens,
        candidates: u32::try_from(candidates).unwrap_or(1),
    })
}

/// `stream_options.include_usage`, which only a stream may carry.
pub(crate) fn read_include_usage(raw: &RawObject, stream: bool) -> Result<bool> {
    checks::object(raw, "stream_options")?;
    let Some(options) = raw.json("stream_options") else {
        return Ok(false);
    };
    if !stream {
        let message = "`stream_options` is only allowed together with `\"stream\": true`.";
        return Err(Error::invalid_value("stream_options", message));
    }
    match options
        .field("include_usage")
        .filter(|value| !value.is_null())
    {
        None => Ok(false),
        Some(value) => value
            .as_bool()
            .ok_or_else(|| checks::wrong_type("stream_options.include_usage", "true or false")),
    }
}

fn read_max_tokens(raw: &RawObject) -> Result<Option<u64>> {
    let old = checks::whole(raw, "max_tokens", 1)?;
    let new = checks::whole(raw, "max_completion_tokens", 1)?;
    if let (Some(old), Some(new)) = (old, new)
        && old != new
    {
        let message = "`max_tokens` and `max_completion_tokens` differ. Send one of them.";
        return Err(Error::invalid_value("max_tokens", message));
    }
    Ok(new.or(old))
}

pub(crate) fn read_logit_bias(raw: &RawObject) -> Result<()> {
    checks::object(raw, "logit_bias")?;
    let Some(biases) = raw.json("logit_bias") else {
        return Ok(());
    };
    for (i, (_, bias)) in biases.fields().enumerate() {
        let fits = bias
            .as_f64()
            .is_some_and(|bias| (-100.0..=100.0).contains(&bias));
        if i == BIASES_LIMIT || !fits {
            let message =
                format!("`logit_bias` must hold at most {BIASES_LIMIT} numbers from -100 to 100.");
            return Err(Error::invalid_value("logit_bias", message));
        }
    }
    Ok(())
}

fn read_response_format(raw: &RawObject) -> Result<()> {
    checks::object(raw, "response_format")?;
    let Some(format) = raw.json("response_format") else {
        return Ok(());
    };
    if format.field("type").map(Json::shape) != Some(Shape::String) {
        return Err(checks::wrong_type("response_format.type", "a string"));
    }
    if format.text().len() > SCHEMA_LIMIT {
        let message = "`response_format` must not be larger than 1 MiB. Send a smaller schema.";
        return Err(
            Error::new(Kind::TooLarge, "request_too_large", message).with_param("response_format")
        );
    }
    Ok(())
}
