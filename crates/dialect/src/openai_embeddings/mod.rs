//! OpenAI embeddings: <https://platform.openai.com/docs/api-reference/embeddings>. No conversation, so
//! nothing here goes through the IR: a request is checked and patched, a reply is read for its usage.

use serde::Deserialize;
use tollgate_base::{Error, Result};

use crate::{
    Head, RawObject, Reading, checks,
    json::{Json, Shape},
    openai_chat::{self, wire::WireUsage},
};

const INPUTS_LIMIT: usize = 2_048;
const TOKENS_LIMIT: usize = 300_000;

#[derive(Deserialize)]
struct Reply {
    #[serde(default)]
    data: Option<serde::de::IgnoredAny>,
    #[serde(default)]
    error: Option<serde::de::IgnoredAny>,
    #[serde(default)]
    usage: Option<WireUsage>,
}

pub(crate) fn read_head(raw: &RawObject) -> Result<Head> {
    checks::no_overrides(raw)?;
    let model = checks::model(raw)?;
    checks::whole(raw, "dimensions", 1)?;
    checks::text(raw, "user", 256)?;
    checks::text(raw, "encoding_format", 32)?;
    check_input(raw)?;
    Ok(Head {
        model,
        candidates: 1,
        ..Head::default()
    })
}

fn check_input(raw: &RawObject) -> Result<()> {
    let Some(input) = raw.json("input") else {
        return Err(Error::missing_field("input"));
    };
    let wrong = || {
        checks::wrong_type(
            "input",
            "a string, a list of strings, or a list of token numbers",
        )
    };
    match input.shape() {
        Shape::String if input.text() != "\"\"" => return Ok(()),
        Shape::Array => {}
        Shape::String => return Err(Error::invalid_value("input", "`input` must not be empty.")),
        _ => return Err(wrong()),
    }
    let Some(first) = input.items().next() else {
        return Err(Error::invalid_value("input", "`input` must not be empty."));
    };
    let shape = first.shape();
    let limit = if shape == Shape::Number {
        TOKENS_LIMIT
    } else {
        INPUTS_LIMIT
    };
    for (i, item) in input.items().enumerate() {
        if i == limit {
            let message = format!("`input` must not hold more than {limit} items.");
            return Err(Error::invalid_value("input", message));
        }
        if item.shape() != shape || !is_input_item(item) {
            return Err(wrong());
        }
    }
    Ok(())
}

fn is_input_item(item: Json<'_>) -> bool {
    match item.shape() {
        Shape::String => item.text() != "\"\"",
        Shape::Number => item.as_u64().is_some(),
        Shape::Array => {
            item.items().next().is_some() && item.items().all(|token| token.as_u64().is_some())
        }
        Shape::Null | Shape::Bool | Shape::Object => false,
    }
}

pub(crate) fn read_reply(body: &[u8]) -> Result<Reading> {
    let reply: Reply = serde_json::from_slice(body).map_err(|_| openai_chat::not_a_reply())?;
    if reply.error.is_some() {
        return Err(openai_chat::parse_error(200, None, body));
    }
    if reply.data.is_none() {
        return Err(openai_chat::not_a_reply());
    }
    Ok(Reading {
        usage: reply.usage.map(WireUsage::to_usage).unwrap_or_default(),
        finish: None,
    })
}
