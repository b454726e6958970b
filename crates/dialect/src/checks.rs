//! The checks of a request's scalars that every dialect shares: one function for each shape of rule, so that
//! a dialect's head reads as a list of its fields. `null` counts as absent everywhere.

use std::{borrow::Cow, ops::RangeInclusive};

use tollgate_base::{Error, Kind, Result};

use crate::{
    RawObject,
    json::{Cursor, Json, Shape},
};

const MODEL_LIMIT: usize = 512;
pub(crate) const MESSAGES_LIMIT: usize = 5_000;
const TOOLS_LIMIT: usize = 1_024;
const STOPS_LIMIT: usize = 256;
/// The largest whole number that every JSON reader holds exactly.
const WHOLE_LIMIT: u64 = (1 << 53) - 1;

/// Names that other gateways take for settings of their own. Passing one on could point a server behind
/// this one at another address, so they are never passed on (reliability J20).
const OVERRIDES: [&str; 8] = [
    "api_base",
    "base_url",
    "api_key",
    "custom_llm_provider",
    "extra_headers",
    "timeout",
    "mock_response",
    "callbacks",
];

pub(crate) fn no_overrides(raw: &RawObject) -> Result<()> {
    match raw
        .fields()
        .map(|(name, _)| name)
        .find(|name| OVERRIDES.contains(name))
    {
        Some(name) => Err(unknown_field(name)),
        None => Ok(()),
    }
}

pub(crate) fn unknown_field(name: &str) -> Error {
    Error::new(
        Kind::InvalidRequest,
        "unknown_field",
        format!("Unknown field `{name}`. Remove it."),
    )
    .with_param(name)
}

pub(crate) fn model(raw: &RawObject) -> Result<String> {
    let Some(value) = raw.json("model") else {
        return Err(Error::missing_field("model"));
    };
    let Some(name) = value.as_str() else {
        return Err(wrong_type("model", "a string"));
    };
    let fits = !name.is_empty() && name.len() <= MODEL_LIMIT && !name.chars().any(char::is_control);
    if !fits {
        let message = format!(
            "`model` must be a name of 1 to {MODEL_LIMIT} bytes without control characters."
        );
        return Err(Error::invalid_value("model", message));
    }
    Ok(name.into_owned())
}

pub(crate) fn flag(raw: &RawObject, name: &str) -> Result<Option<bool>> {
    let Some(value) = raw.json(name) else {
        return Ok(None);
    };
    match value.as_bool() {
        Some(flag) => Ok(Some(flag)),
        None => Err(wrong_type(name, "true or false")),
    }
}

/// A whole number of tokens or the like, within what JSON readers hold exactly.
pub(crate) fn whole(raw: &RawObject, name: &str, at_least: u64) -> Result<Option<u64>> {
    whole_in(raw, name, at_least..=WHOLE_LIMIT)
}

pub(crate) fn whole_in(
    raw: &RawObject,
    name: &str,
    range: RangeInclusive<u64>,
) -> Result<Option<u64>> {
    let Some(value) = raw.json(name) else {
        return Ok(None);
    };
    let Some(n) = value.as_u64().filter(|n| range.contains(n)) else {
        let (low, high) = range.into_inner();
        let message = format!("`{name}` must be a whole number from {low} to {high}.");
        return Err(Error::invalid_value(name, message));
    };
    Ok(Some(n))
}

/// A whole number of 64 bits with its sign.
pub(crate) fn integer(raw: &RawObject, name: &str) -> Result<()> {
    match raw.json(name).map(|value| value.text().parse::<i64>()) {
        None | Some(Ok(_)) => Ok(()),
        Some(Err(_)) => Err(wrong_type(name, "a whole number of at most 64 bits")),
    }
}

pub(crate) fn number(raw: &RawObject, name: &str, range: RangeInclusive<f64>) -> Result<()> {
    let Some(value) = raw.json(name) else {
        return Ok(());
    };
    if value.as_f64().is_some_and(|n| range.contains(&n)) {
        return Ok(());
    }
    let (low, high) = range.into_inner();
    Err(Error::invalid_value(
        name,
        format!("`{name}` must be a number from {low} to {high}."),
    ))
}

pub(crate) fn text(raw: &RawObject, name: &str, limit: usize) -> Result<()> {
    raw.json(name)
        .map_or(Ok(()), |value| text_value(value, name, limit))
}

pub(crate) fn text_value(value: Json<'_>, path: &str, limit: usize) -> Result<()> {
    let Some(text) = value.as_str() else {
        return Err(wrong_type(path, "a string"));
    };
    if text.len() > limit {
        return Err(Error::invalid_value(
            path,
            format!("`{path}` must not be longer than {limit} bytes."),
        ));
    }
    Ok(())
}

pub(crate) fn object(raw: &RawObject, name: &str) -> Result<()> {
    match raw.json(name).map(Json::shape) {
        None | Some(Shape::Object) => Ok(()),
        Some(_) => Err(wrong_type(name, "an object")),
    }
}

/// `stop`, `stop_sequences`: strings, none of them empty; with `single`, one string alone may stand for a list.
pub(crate) fn stops(raw: &RawObject, name: &str, single: bool) -> Result<()> {
    let Some(value) = raw.json(name) else {
        return Ok(());
    };
    let texts: Vec<Cow<'_, str>> = match value.shape() {
        Shape::String if single => value.as_str().into_iter().collect(),
        Shape::Array => {
            let texts: Option<Vec<_>> = value
                .items()
                .take(STOPS_LIMIT + 1)
                .map(Json::as_str)
                .collect();
            texts.ok_or_else(|| wrong_type(name, "a list of strings"))?
        }
        _ => {
            return Err(wrong_type(
                name,
                if single {
                    "a string or a list of strings"
                } else {
                    "a list of strings"
                },
            ));
        }
    };
    if texts.len() > STOPS_LIMIT {
        return Err(Error::invalid_value(
            name,
            format!("`{name}` must not hold more than {STOPS_LIMIT} sequences."),
        ));
    }
    if texts.iter().any(|text| text.is_empty()) {
        return Err(Error::invalid_value(
            name,
            format!("`{name}` must not hold an empty sequence."),
        ));
    }
    Ok(())
}

/// `tools`: a list of objects.
pub(crate) fn tools(raw: &RawObject) -> Result<()> {
    let Some(value) = raw.json("tools") else {
        return Ok(());
    };
    if value.shape() != Shape::Array {
        return Err(wrong_type("tools", "a list"));
    }
    for (i, tool) in value.items().enumerate() {
        if i == TOOLS_LIMIT {
            let message = format!("`tools` must not hold more than {TOOLS_LIMIT} tools.");
            return Err(Error::invalid_value("tools", message));
        }
        if tool.shape() != Shape::Object {
            return Err(wrong_type(&format!("tools[{i}]"), "an object"));
        }
    }
    Ok(())
}

/// `tool_choice` and its like: a string or an object.
pub(crate) fn text_or_object(raw: &RawObject, name: &str) -> Result<()> {
    match raw.json(name).map(Json::shape) {
        None | Some(Shape::String | Shape::Object) => Ok(()),
        Some(_) => Err(wrong_type(name, "a string or an object")),
    }
}

/// `metadata`: a few short pairs, never a setting of the gateway.
pub(crate) fn metadata(raw: &RawObject) -> Result<()> {
    const PAIRS: usize = 16;
    object(raw, "metadata")?;
    let Some(value) = raw.json("metadata") else {
        return Ok(());
    };
    for (i, (key, value)) in value.fields().enumerate() {
        if key == "spend" {
            return Err(unknown_field("metadata.spend"));
        }
        if i == PAIRS {
            return Err(Error::invalid_value(
                "metadata",
                format!("`metadata` must not hold more than {PAIRS} pairs."),
            ));
        }
        if key.len() > 64 {
            return Err(Error::invalid_value(
                "metadata",
                "A key of `metadata` must not be longer than 64 bytes.",
            ));
        }
        if !value.is_null() {
            text_value(value, "metadata", 512)?;
        }
    }
    Ok(())
}

/// Walks `messages` once: each an object with a role of `roles` and, where there is a content, one of the
/// right shape. What stands inside of the parts is left to whoever parses the request.
pub(crate) fn messages(raw: &RawObject, roles: &[&str], content_may_be_null: bool) -> Result<()> {
    let Some(value) = raw.json("messages") else {
        return Err(Error::missing_field("messages"));
    };
    if value.shape() != Shape::Array {
        return Err(wrong_type("messages", "a list"));
    }
    let mut cursor = Cursor::new(value);
    cursor.enter();
    let mut n = 0;
    while !cursor.leave() {
        if n == MESSAGES_LIMIT {
            let text = format!("`messages` must not hold more than {MESSAGES_LIMIT} messages.");
            return Err(Error::invalid_value("messages", text));
        }
        check_message(&mut cursor, n, roles, content_may_be_null)?;
        n += 1;
    }
    if n == 0 {
        return Err(Error::invalid_value(
            "messages",
            "`messages` must hold at least one message.",
        ));
    }
    Ok(())
}

fn check_message(
    cursor: &mut Cursor<'_>,
    i: usize,
    roles: &[&str],
    content_may_be_null: bool,
) -> Result<()> {
    if cursor.shape() != Shape::Object {
        return Err(wrong_type(&format!("messages[{i}]"), "an object"));
    }
    let (mut role, mut content) = (None, None);
    cursor.enter();
    while !cursor.leave() {
        let key = cursor.key();
        let is_again = match key {
            "role" => role.replace(cursor.value()).is_some(),
            "content" => {
                let shape = cursor.shape();
                check_content(cursor, shape, i)?;
                content.replace(shape).is_some()
            }
            _ => {
                cursor.value();
                false
            }
        };
        if is_again {
            // Two readers on the way might take different ones.
            let path = format!("messages[{i}].{key}");
            let message = format!("The field `{path}` occurs twice.");
            return Err(
                Error::new(Kind::InvalidRequest, "duplicate_field", message).with_param(path)
            );
        }
    }
    check_role(role, i, roles)?;
    match content {
        None | Some(Shape::Null) if content_may_be_null => Ok(()),
        None => Err(Error::missing_field(format!("messages[{i}].content"))),
        Some(Shape::String | Shape::Array) => Ok(()),
        Some(_) => Err(wrong_type(
            &format!("messages[{i}].content"),
            "a string or a list of parts",
        )),
    }
}

fn check_role(role: Option<Json<'_>>, i: usize, roles: &[&str]) -> Result<()> {
    let path = || format!("messages[{i}].role");
    let Some(role) = role else {
        return Err(Error::missing_field(path()));
    };
    if role.as_str().is_some_and(|role| roles.contains(&&*role)) {
        return Ok(());
    }
    let message = format!("`{}` must be one of: {}.", path(), roles.join(", "));
    Err(Error::invalid_value(path(), message))
}

/// Crosses a content; of a list, every part must be an object with a type.
fn check_content(cursor: &mut Cursor<'_>, shape: Shape, i: usize) -> Result<()> {
    if shape != Shape::Array {
        cursor.value();
        return Ok(());
    }
    cursor.enter();
    let mut j = 0;
    while !cursor.leave() {
        let mut is_part = false;
        if cursor.shape() == Shape::Object {
            cursor.enter();
            while !cursor.leave() {
                let is_type = cursor.key() == "type";
                let value = cursor.value();
                is_part |= is_type && value.shape() == Shape::String;
            }
        }
        if !is_part {
            let path = format!("messages[{i}].content[{j}]");
            return Err(wrong_type(&path, "an object with a `type`"));
        }
        j += 1;
    }
    Ok(())
}

pub(crate) fn wrong_type(path: &str, wanted: &str) -> Error {
    Error::invalid_value(path, format!("`{path}` must be {wanted}."))
}
