//! What is read and checked of a Responses request before it is planned, and its same-dialect path.

use std::borrow::Cow;

use tollgate_base::{Error, Kind, Result};

use crate::{
    Head, RawObject, Rendered, Target, checks,
    ir::dropped,
    json::{Json, Shape},
    openai_chat::patch_scalars_of_responses,
};

const ITEMS_LIMIT: usize = 10_000;
const SCHEMA_LIMIT: usize = 1024 * 1024;
const TEXT_LIMIT: usize = 16 * 1024 * 1024;
/// The beginning of a seal that another vendor issued, in its envelope.
const FOREIGN_SEAL: &str = "\"tollgate.";

pub(crate) fn read_head(raw: &RawObject) -> Result<Head> {
    checks::no_overrides(raw)?;
    let model = checks::model(raw)?;
    let stream = checks::flag(raw, "stream")?.unwrap_or(false);
    let max_output_tokens = checks::whole(raw, "max_output_tokens", 1)?;
    checks::number(raw, "temperature", 0.0..=2.0)?;
    checks::number(raw, "top_p", 0.0..=1.0)?;
    checks::whole_in(raw, "top_logprobs", 0..=20)?;
    checks::whole(raw, "max_tool_calls", 0)?;
    for name in ["parallel_tool_calls", "store", "background"] {
        checks::flag(raw, name)?;
    }
    checks::text(raw, "instructions", TEXT_LIMIT)?;
    checks::text(raw, "service_tier", 64)?;
    checks::text(raw, "user", 256)?;
    checks::text(raw, "safety_identifier", 256)?;
    checks::text(raw, "previous_response_id", 256)?;
    checks::text(raw, "truncation", 64)?;
    for name in ["reasoning", "text", "stream_options"] {
        checks::object(raw, name)?;
    }
    checks::metadata(raw)?;
    checks::tools(raw)?;
    checks::text_or_object(raw, "tool_choice")?;
    checks::text_or_object(raw, "conversation")?;
    read_include(raw)?;
    read_text(raw)?;
    read_input(raw)?;
    Ok(Head {
        model,
        stream,
        include_usage: true,
        max_output_tokens,
        candidates: 1,
    })
}

fn read_include(raw: &RawObject) -> Result<()> {
    let Some(include) = raw.json("include") else {
        return Ok(());
    };
    let is_list = include.shape() == Shape::Array;
    if is_list && include.items().take(64).all(|name| name.as_str().is_some()) {
        return Ok(());
    }
    Err(checks::wrong_type("include", "a list of strings"))
}

fn read_text(raw: &RawObject) -> Result<()> {
    let Some(text) = raw.json("text") else {
        return Ok(());
    };
    if text.text().len() > SCHEMA_LIMIT {
        let message = "`text` must not be larger than 1 MiB. Send a smaller schema.";
        return Err(Error::new(Kind::TooLarge, "request_too_large", message).with_param("text"));
    }
    let Some(format) = text.field("format").filter(|format| !format.is_null()) else {
        return Ok(());
    };
    if format.field("type").map(Json::shape) != Some(Shape::String) {
        return Err(checks::wrong_type("text.format.type", "a string"));
    }
    Ok(())
}

/// `input`: a text, or items, each an object whose kind and content are said once.
fn read_input(raw: &RawObject) -> Result<()> {
    let Some(input) = raw.json("input") else {
        let is_elsewhere = ["prompt", "previous_response_id", "conversation"]
            .iter()
            .any(|name| raw.json(name).is_some());
        return if is_elsewhere {
            Ok(())
        } else {
            Err(Error::missing_field("input"))
        };
    };
    match input.shape() {
        Shape::String => return Ok(()),
        Shape::Array => {}
        _ => return Err(checks::wrong_type("input", "a string or a list of items")),
    }
    for (i, item) in input.items().enumerate() {
        if i == ITEMS_LIMIT {
            let text = format!("`input` must not hold more than {ITEMS_LIMIT} items.");
            return Err(Error::invalid_value("input", text));
        }
        read_item(item, i)?;
    }
    Ok(())
}

fn read_item(item: Json<'_>, i: usize) -> Result<()> {
    const ROLES: [&str; 4] = ["user", "assistant", "system", "developer"];
    let path = format!("input[{i}]");
    if item.shape() != Shape::Object {
        return Err(checks::wrong_type(&path, "an object"));
    }
    let mut seen = [false; 5];
    for (name, value) in item.fields() {
        let names = ["type", "role", "content", "call_id", "output"];
        let Some(at) = names.iter().position(|known| *known == name) else {
            continue;
        };
        if std::mem::replace(&mut seen[at], true) {
            // Two readers on the way might take different ones.
            let path = format!("{path}.{name}");
            let message = format!("The field `{path}` occurs twice.");
            let error = Error::new(Kind::InvalidRequest, "duplicate_field", message);
            return Err(error.with_param(path));
        }
        let path = || format!("{path}.{name}");
        match (name, value.shape()) {
            ("type" | "call_id", Shape::String) => {}
            ("type" | "call_id", _) => return Err(checks::wrong_type(&path(), "a string")),
            ("role", _) if !value.as_str().is_some_and(|role| ROLES.contains(&&*role)) => {
                let message = format!("`{}` must be one of: {}.", path(), ROLES.join(", "));
                return Err(Error::invalid_value(path(), message));
            }
            ("content" | "output", Shape::Number | Shape::Bool) => {
                return Err(checks::wrong_type(&path(), "a string or a list of parts"));
            }
            _ => {}
        }
    }
    Ok(())
}

/// The same-dialect path: the model, and what the target's quirks and traits demand. Reasoning that another
/// vendor sealed is taken out, because this one would refuse the whole request for it.
pub(crate) fn patch_request(raw: &RawObject, target: Target<'_>) -> Result<Rendered> {
    let mut rendered = patch_scalars_of_responses(raw, target)?;
    let Some(input) = raw.json("input") else {
        return Ok(rendered);
    };
    if memchr::memmem::find(input.text().as_bytes(), FOREIGN_SEAL.as_bytes()).is_none() {
        return Ok(rendered);
    }
    let mut kept = String::from("[");
    for (i, item) in input.items().enumerate() {
        if has_foreign_seal(item) {
            rendered.losses.push(dropped(
                format!("input[{i}]"),
                "Only reasoning that this provider signed can be sent to it.",
            ));
            continue;
        }
        if kept.len() > 1 {
            kept.push(',');
        }
        kept.push_str(item.text());
    }
    kept.push(']');
    if let Ok(body) = RawObject::parse(rendered.body.clone()) {
        rendered.body = body.with(&[("input", Some(&kept))]);
    }
    Ok(rendered)
}

fn has_foreign_seal(item: Json<'_>) -> bool {
    let seal = item.field("encrypted_content");
    item.field("type").and_then(Json::as_str) == Some(Cow::Borrowed("reasoning"))
        && seal.is_some_and(|seal| seal.text().starts_with(FOREIGN_SEAL))
}
