//! What is read and checked of a generateContent request before it is planned, and the same-dialect path,
//! which changes nothing but how long the answer may get: the model is in the path.

use bytes::Bytes;
use tollgate_base::{Error, Kind, Result};

use super::fields::{flag, integer, is_named, number, shaped, top};
use crate::{
    Head, RawObject, Rendered, Target, checks,
    json::{Json, Shape},
};

/// The fields of a request.
const FIELDS: [&str; 9] = [
    "contents",
    "systemInstruction",
    "tools",
    "toolConfig",
    "safetySettings",
    "generationConfig",
    "cachedContent",
    "serviceTier",
    "store",
];
const COUNT_LIMIT: i64 = i32::MAX as i64;

/// The model and the stream are left to whoever knows the path.
pub(crate) fn read_head(raw: &RawObject) -> Result<Head> {
    checks::no_overrides(raw)?;
    no_field_twice(raw, &FIELDS)?;
    for name in ["systemInstruction", "toolConfig"] {
        shaped(top(raw, name), name, Shape::Object)?;
    }
    for name in ["tools", "safetySettings"] {
        shaped(top(raw, name), name, Shape::Array)?;
    }
    check_contents(raw)?;
    let path = "generationConfig";
    let config = shaped(top(raw, path), path, Shape::Object)?.unwrap_or(Json::new("{}"));
    for name in ["maxOutputTokens", "candidateCount", "thinkingConfig"] {
        if config
            .fields()
            .filter(|(key, _)| is_named(key, name))
            .count()
            > 1
        {
            return Err(twice(&format!("{path}.{name}")));
        }
    }
    let max_output_tokens = integer(config, "maxOutputTokens", path, 1..=COUNT_LIMIT)?;
    let candidates = integer(config, "candidateCount", path, 1..=128)?.unwrap_or(1);
    number(config, "temperature", path, 0.0..=2.0)?;
    number(config, "topP", path, 0.0..=1.0)?;
    integer(config, "topK", path, 0..=COUNT_LIMIT)?;
    integer(
        config,
        "seed",
        path,
        i64::from(i32::MIN)..=i64::from(i32::MAX),
    )?;
    integer(config, "logprobs", path, 0..=20)?;
    flag(config, "responseLogprobs", path)?;
    Ok(Head {
        include_usage: true,
        max_output_tokens: max_output_tokens.and_then(|n| u64::try_from(n).ok()),
        candidates: u32::try_from(candidates).unwrap_or(1),
        ..Head::default()
    })
}

/// The two forms of a name are one field, of which two readers might take different ones.
pub(super) fn no_field_twice(raw: &RawObject, names: &[&str]) -> Result<()> {
    for name in names {
        if raw.fields().filter(|(key, _)| is_named(key, name)).count() > 1 {
            return Err(twice(name));
        }
    }
    Ok(())
}

fn twice(path: &str) -> Error {
    let message = format!("The field `{path}` occurs twice.");
    Error::new(Kind::InvalidRequest, "duplicate_field", message).with_param(path)
}

fn check_contents(raw: &RawObject) -> Result<()> {
    let Some(contents) = shaped(top(raw, "contents"), "contents", Shape::Array)? else {
        return Err(Error::missing_field("contents"));
    };
    let mut n = 0;
    for (i, content) in contents.items().enumerate() {
        if i == checks::MESSAGES_LIMIT {
            let text = format!(
                "`contents` must not hold more than {} contents.",
                checks::MESSAGES_LIMIT
            );
            return Err(Error::invalid_value("contents", text));
        }
        check_content(content, i)?;
        n += 1;
    }
    if n == 0 {
        let text = "`contents` must hold at least one content.";
        return Err(Error::invalid_value("contents", text));
    }
    Ok(())
}

fn check_content(content: Json<'_>, i: usize) -> Result<()> {
    let path = format!("contents[{i}]");
    if content.shape() != Shape::Object {
        return Err(checks::wrong_type(&path, "an object"));
    }
    let [role, parts] = content.pick(["role", "parts"]);
    // Some clients leave the role of a lone question out; `function` is the old role of results.
    let is_known = role.is_none_or(|role| {
        matches!(
            role.as_str().as_deref(),
            Some("user" | "model" | "function" | "")
        )
    });
    if !is_known {
        let path = format!("{path}.role");
        let message = format!("`{path}` must be one of: user, model.");
        return Err(Error::invalid_value(path, message));
    }
    let path = format!("{path}.parts");
    let parts = shaped(parts, &path, Shape::Array)?;
    for (j, part) in parts.into_iter().flat_map(Json::items).enumerate() {
        if part.shape() != Shape::Object {
            return Err(checks::wrong_type(&format!("{path}[{j}]"), "an object"));
        }
    }
    Ok(())
}

pub(crate) fn patch_request(raw: &RawObject, target: Target<'_>) -> Result<Rendered> {
    Ok(Rendered {
        body: limit(raw, target)?.unwrap_or_else(|| raw.bytes().clone()),
        ..Rendered::default()
    })
}

/// The request within what its answer may cost; nothing where it is already.
fn limit(raw: &RawObject, target: Target<'_>) -> Result<Option<Bytes>> {
    const PATH: &str = "generationConfig";
    const NAME: &str = "maxOutputTokens";
    let config = top(raw, PATH).unwrap_or(Json::new("{}"));
    let asked = integer(config, NAME, PATH, 1..=COUNT_LIMIT)?;
    let asked = asked.and_then(|n| u64::try_from(n).ok());
    let limited = target.limited(asked, &format!("{PATH}.{NAME}"), 1)?;
    let Some(most) = limited.filter(|_| limited != asked) else {
        return Ok(None);
    };
    let most = most.min(COUNT_LIMIT.unsigned_abs()).to_string();
    let config = RawObject::parse(Bytes::from(config.text().to_owned()))?;
    let named = |raw: &RawObject, name: &str| {
        let found = raw.fields().find(|(key, _)| is_named(key, name));
        found.map_or(name.to_owned(), |(key, _)| key.to_owned())
    };
    let config_with = config.with(&[(&named(&config, NAME), Some(&most))]);
    let config_with = String::from_utf8_lossy(&config_with);
    Ok(Some(raw.with(&[(&named(raw, PATH), Some(&config_with))])))
}
