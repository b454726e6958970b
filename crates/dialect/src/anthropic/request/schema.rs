//! JSON schemas in the subset that the vendor enforces (digest section 18): limits on numbers, lengths and
//! patterns are not known there and move into the description, where the model still reads them.

use crate::json::{Json, List, Object, Shape};

/// Keywords that the vendor refuses where it enforces a schema.
const LIMITS: [&str; 12] = [
    "minimum",
    "maximum",
    "exclusiveMinimum",
    "exclusiveMaximum",
    "multipleOf",
    "minLength",
    "maxLength",
    "pattern",
    "maxItems",
    "uniqueItems",
    "minProperties",
    "maxProperties",
];
/// Keywords whose values are schemas by name.
const NAMED: [&str; 4] = ["properties", "$defs", "definitions", "patternProperties"];

/// What had to be done to a schema.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Changes {
    pub(super) moved_limits: bool,
    pub(super) closed_objects: bool,
}

/// The schema as the vendor enforces it, with every object closed to further properties.
pub(super) fn enforced(schema: &str) -> (String, Changes) {
    let mut changes = Changes::default();
    let mut out = Vec::with_capacity(schema.len() + 32);
    write_schema(Json::new(schema), Object::new(&mut out), &mut changes);
    (String::from_utf8(out).unwrap_or_default(), changes)
}

/// The schema with `"type":"object"`, which a tool's input must say and some callers leave out.
pub(super) fn of_object(schema: &str) -> Option<String> {
    let value = Json::new(schema);
    if value.field("type").is_some() {
        return None;
    }
    let rest = schema.trim_ascii().strip_prefix('{')?.trim_ascii_start();
    let comma = if rest.starts_with('}') { "" } else { "," };
    Some(format!("{{\"type\":\"object\"{comma}{rest}"))
}

fn write_schema(schema: Json<'_>, mut out: Object<'_>, changes: &mut Changes) {
    let mut limits = Vec::new();
    let mut description = None;
    let mut is_object = false;
    let mut is_closed = false;
    for (key, value) in schema.fields() {
        let is_refused_minimum = key == "minItems" && value.as_u64().is_none_or(|n| n > 1);
        if LIMITS.contains(&key) || is_refused_minimum {
            limits.push(format!("{key}: {}", value.text()));
            continue;
        }
        match key {
            "description" => {
                description = Some(value);
                continue;
            }
            "type" => is_object = value.text() == "\"object\"",
            "additionalProperties" => is_closed = value.as_bool() == Some(false),
            _ => {}
        }
        if key == "additionalProperties" {
            continue;
        }
        write_value(key, value, &mut out, changes);
    }
    if is_object || is_closed {
        changes.closed_objects |= !is_closed;
        out.put("additionalProperties", &false);
    }
    changes.moved_limits |= !limits.is_empty();
    let text = description.and_then(Json::as_str).unwrap_or_default();
    if !limits.is_empty() {
        let space = if text.is_empty() { "" } else { " " };
        out.put(
            "description",
            &format!("{text}{space}({})", limits.join(", ")),
        );
    } else if description.is_some() {
        out.put("description", &*text);
    }
}

fn write_value(key: &str, value: Json<'_>, out: &mut Object<'_>, changes: &mut Changes) {
    match value.shape() {
        Shape::Object if NAMED.contains(&key) => {
            let mut named = out.object(key);
            for (name, schema) in value.fields() {
                match schema.shape() {
                    Shape::Object => write_schema(schema, named.object(name), changes),
                    _ => named.raw(name, schema.text()),
                }
            }
        }
        Shape::Object if key == "items" || key == "not" => {
            write_schema(value, out.object(key), changes);
        }
        Shape::Array if matches!(key, "anyOf" | "oneOf" | "allOf" | "prefixItems") => {
            write_list(value, out.list(key), changes);
        }
        _ => out.raw(key, value.text()),
    }
}

fn write_list(list: Json<'_>, mut out: List<'_>, changes: &mut Changes) {
    for item in list.items() {
        match item.shape() {
            Shape::Object => write_schema(item, out.object(), changes),
            _ => out.raw(item.text()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_move_into_the_description_and_objects_are_closed() {
        let (schema, changes) = enforced(
            r#"{"type":"object","properties":{"n":{"type":"integer","minimum":1,"description":"How many."},"minimum":{"type":"string","maxLength":9}},"required":["n"]}"#,
        );
        assert_eq!(
            schema,
            r#"{"type":"object","properties":{"n":{"type":"integer","description":"How many. (minimum: 1)"},"minimum":{"type":"string","description":"(maxLength: 9)"}},"required":["n"],"additionalProperties":false}"#
        );
        assert_eq!(
            changes,
            Changes {
                moved_limits: true,
                closed_objects: true
            }
        );
    }

    #[test]
    fn a_schema_that_fits_is_left_alone() {
        let text = r##"{"type":"object","properties":{"a":{"$ref":"#/$defs/b"}},"$defs":{"b":{"enum":[1,12345678901234567890]}},"additionalProperties":false}"##;
        let (schema, changes) = enforced(text);
        assert_eq!(changes, Changes::default());
        assert_eq!(schema, text);
    }

    #[test]
    fn a_schema_without_a_type_gets_one() {
        assert_eq!(of_object("{}").as_deref(), Some(r#"{"type":"object"}"#));
        assert_eq!(
            of_object(r#"{ "properties":{}}"#).as_deref(),
            Some(r#"{"type":"object","properties":{}}"#)
        );
        assert_eq!(of_object(r#"{"type":"object"}"#), None);
    }
}
