//! Fields by name, as ProtoJSON writes them: in camelCase or in snake_case, numbers also as strings.

use std::ops::RangeInclusive;

use tollgate_base::{Error, Result};

use crate::{
    RawObject, checks,
    json::{Json, Shape},
};

/// Whether a key is this camelCase name, or its snake_case form.
pub(crate) fn is_named(key: &str, name: &str) -> bool {
    if key == name {
        return true;
    }
    let mut key = key.bytes();
    for b in name.bytes() {
        if b.is_ascii_uppercase() && key.next() != Some(b'_') {
            return false;
        }
        if key.next() != Some(b.to_ascii_lowercase()) {
            return false;
        }
    }
    key.next().is_none()
}

/// A field of this camelCase name; `null` reads as absent.
pub(crate) fn field<'a>(value: Json<'a>, name: &str) -> Option<Json<'a>> {
    value
        .fields()
        .find(|(key, value)| is_named(key, name) && !value.is_null())
        .map(|(_, value)| value)
}

/// A field of the request itself.
pub(crate) fn top<'a>(raw: &'a RawObject, name: &str) -> Option<Json<'a>> {
    raw.fields()
        .map(|(key, value)| (key, Json::new(value)))
        .find(|(key, value)| is_named(key, name) && !value.is_null())
        .map(|(_, value)| value)
}

pub(super) fn text(value: Json<'_>, name: &str) -> Option<String> {
    Some(field(value, name)?.as_str()?.into_owned())
}

pub(super) fn needed_text(value: Json<'_>, name: &str, path: &str) -> Result<String> {
    let Some(found) = field(value, name) else {
        return Err(Error::missing_field(format!("{path}.{name}")));
    };
    match found.as_str() {
        Some(text) => Ok(text.into_owned()),
        None => Err(checks::wrong_type(&format!("{path}.{name}"), "a string")),
    }
}

pub(super) fn flag(value: Json<'_>, name: &str, path: &str) -> Result<Option<bool>> {
    match field(value, name) {
        None => Ok(None),
        Some(found) => match found.as_bool() {
            Some(flag) => Ok(Some(flag)),
            None => Err(checks::wrong_type(
                &format!("{path}.{name}"),
                "true or false",
            )),
        },
    }
}

pub(super) fn integer(
    value: Json<'_>,
    name: &str,
    path: &str,
    range: RangeInclusive<i64>,
) -> Result<Option<i64>> {
    let Some(found) = field(value, name) else {
        return Ok(None);
    };
    if let Some(n) = whole(found).filter(|n| range.contains(n)) {
        return Ok(Some(n));
    }
    let path = format!("{path}.{name}");
    let (low, high) = range.into_inner();
    let message = format!("`{path}` must be a whole number from {low} to {high}.");
    Err(Error::invalid_value(path, message))
}

/// A whole number, also when it is written as `4.0` or in a string.
fn whole(value: Json<'_>) -> Option<i64> {
    let text = value.as_str();
    let number = text.as_deref().map_or(value, Json::new);
    number
        .as_u64()
        .and_then(|n| i64::try_from(n).ok())
        .or_else(|| number.text().parse().ok())
}

pub(super) fn number(
    value: Json<'_>,
    name: &str,
    path: &str,
    range: RangeInclusive<f64>,
) -> Result<Option<f64>> {
    let Some(found) = field(value, name) else {
        return Ok(None);
    };
    if let Some(n) = found.as_f64().filter(|n| range.contains(n)) {
        return Ok(Some(n));
    }
    let path = format!("{path}.{name}");
    let (low, high) = range.into_inner();
    let message = format!("`{path}` must be a number from {low} to {high}.");
    Err(Error::invalid_value(path, message))
}

/// A field that must be of this shape where it is there.
pub(super) fn shaped<'a>(
    value: Option<Json<'a>>,
    path: &str,
    shape: Shape,
) -> Result<Option<Json<'a>>> {
    match value {
        Some(value) if value.shape() != shape => {
            let wanted = if shape == Shape::Array {
                "a list"
            } else {
                "an object"
            };
            Err(checks::wrong_type(path, wanted))
        }
        value => Ok(value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_in_both_forms() {
        assert!(is_named("thinkingBudget", "thinkingBudget"));
        assert!(is_named("thinking_budget", "thinkingBudget"));
        assert!(is_named("top_k", "topK"));
        assert!(!is_named("thinkingbudget", "thinkingBudget"));
        assert!(!is_named("thinking_budget_", "thinkingBudget"));
        assert!(!is_named("thinking_", "thinkingBudget"));
    }

    #[test]
    fn whole_numbers_come_in_several_forms() {
        for (text, expect) in [
            ("7", Some(7)),
            ("7.0", Some(7)),
            ("\"7\"", Some(7)),
            ("-1", Some(-1)),
            ("7.5", None),
            ("\"x\"", None),
            ("true", None),
        ] {
            assert_eq!(whole(Json::new(text)), expect, "{text}");
        }
    }
}
