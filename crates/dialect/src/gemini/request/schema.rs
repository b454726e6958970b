//! JSON schemas, both ways: the subset of JSON Schema that the vendor reads, with every key that is not in it
//! named as a loss, and the vendor's own form (types in capitals, `nullable`) as JSON Schema.

use std::collections::BTreeSet;

use crate::{
    Loss,
    gemini::fields::{field, is_named},
    ir::changed,
    json::{Json, List, Object, Shape},
};

/// Keywords that are passed as they are (digest section 18).
const KEPT: [&str; 12] = [
    "$id",
    "$anchor",
    "type",
    "format",
    "title",
    "description",
    "minItems",
    "maxItems",
    "minimum",
    "maximum",
    "required",
    "propertyOrdering",
];
/// Keywords that say nothing of a value.
const SILENT: [&str; 2] = ["$schema", "$comment"];

/// The schema as the vendor reads it.
pub(super) fn for_gemini(schema: &str, path: &str, losses: &mut Vec<Loss>) -> String {
    let mut removed = BTreeSet::new();
    let mut out = Vec::with_capacity(schema.len());
    write_schema(Json::new(schema), Object::new(&mut out), &mut removed);
    for key in removed {
        let reason = format!("The provider's schemas do not know `{key}`, so it was left out.");
        losses.push(changed(path, reason));
    }
    String::from_utf8(out).unwrap_or_default()
}

/// Whether a schema asks for an object with nothing in it, for which the vendor wants none at all.
pub(super) fn is_empty_object(schema: &str) -> bool {
    Json::new(schema).fields().all(|(key, value)| match key {
        "type" => value.text() == "\"object\"",
        "properties" | "required" => {
            value.fields().next().is_none() && value.items().next().is_none()
        }
        "additionalProperties" => value.as_bool() == Some(false),
        _ => false,
    })
}

fn write_schema(schema: Json<'_>, mut out: Object<'_>, removed: &mut BTreeSet<String>) {
    // Beside a reference the vendor takes nothing else.
    let is_reference = field(schema, "$ref").is_some();
    let has = |name: &str| schema.field(name).is_some();
    for (key, value) in schema.fields() {
        let is_beside = is_reference && !key.starts_with('$');
        match (key, value.shape()) {
            _ if SILENT.contains(&key) => {}
            _ if is_beside => lose(key, removed),
            ("$ref", Shape::String) => {
                let target = value.as_str().unwrap_or_default();
                out.put("$ref", &target.replacen("#/definitions/", "#/$defs/", 1));
            }
            ("$defs" | "definitions", Shape::Object) => {
                if key == "$defs" || !has("$defs") {
                    write_named(value, out.object("$defs"), removed);
                } else {
                    lose(key, removed);
                }
            }
            ("properties", Shape::Object) => write_named(value, out.object(key), removed),
            ("items" | "additionalProperties", Shape::Object) => {
                write_schema(value, out.object(key), removed);
            }
            ("additionalProperties", Shape::Bool) => out.raw(key, value.text()),
            ("anyOf" | "oneOf" | "prefixItems", Shape::Array) => {
                write_list(value, out.list(key), removed);
            }
            ("allOf", Shape::Array) if is_lone(value) => {
                let keys = |name: &str| has(name) || matches!(name, "$defs" | "definitions");
                merge(value, &mut out, &keys, removed);
            }
            ("enum", Shape::Array) => write_enum(value.items(), &mut out, removed),
            ("const", _) if !has("enum") => {
                write_enum(std::iter::once(value), &mut out, removed);
            }
            _ if KEPT.contains(&key) => out.raw(key, value.text()),
            _ => lose(key, removed),
        }
    }
}

/// One schema of which all must hold is that schema.
fn is_lone(list: Json<'_>) -> bool {
    let mut items = list.items();
    items
        .next()
        .is_some_and(|item| item.shape() == Shape::Object && item.field("$ref").is_none())
        && items.next().is_none()
}

fn merge(
    list: Json<'_>,
    out: &mut Object<'_>,
    is_taken: &dyn Fn(&str) -> bool,
    removed: &mut BTreeSet<String>,
) {
    let Some(schema) = list.items().next() else {
        return;
    };
    let mut inner = Vec::new();
    write_schema(schema, Object::new(&mut inner), removed);
    let text = String::from_utf8(inner).unwrap_or_default();
    for (key, value) in Json::new(&text).fields() {
        if is_taken(key) {
            lose("allOf", removed);
        } else {
            out.raw(key, value.text());
        }
    }
}

/// Only texts and numbers may be listed.
fn write_enum<'j>(
    values: impl Iterator<Item = Json<'j>>,
    out: &mut Object<'_>,
    removed: &mut BTreeSet<String>,
) {
    let values: Vec<Json<'_>> = values.collect();
    let fits = |value: &Json<'_>| matches!(value.shape(), Shape::String | Shape::Number);
    if values.iter().all(fits) {
        let texts: Vec<&str> = values.iter().map(|value| value.text()).collect();
        out.raw("enum", &format!("[{}]", texts.join(",")));
    } else {
        lose("enum", removed);
    }
}

fn write_named(schemas: Json<'_>, mut out: Object<'_>, removed: &mut BTreeSet<String>) {
    for (name, schema) in schemas.fields() {
        // Names are as they are written, escapes included.
        let Ok(name) = serde_json::from_str::<String>(&format!("\"{name}\"")) else {
            continue;
        };
        if schema.shape() == Shape::Object {
            write_schema(schema, out.object(&name), removed);
        } else {
            // `true` and `false` stand for any value and for none.
            out.object(&name);
            lose(schema.text(), removed);
        }
    }
}

fn write_list(list: Json<'_>, mut out: List<'_>, removed: &mut BTreeSet<String>) {
    for item in list.items() {
        if item.shape() == Shape::Object {
            write_schema(item, out.object(), removed);
        } else {
            out.object();
            lose(item.text(), removed);
        }
    }
}

fn lose(key: &str, removed: &mut BTreeSet<String>) {
    removed.insert(key.to_owned());
}

/// The vendor's own form of a schema as JSON Schema.
pub(super) fn to_json_schema(schema: Json<'_>) -> String {
    let mut out = Vec::with_capacity(schema.text().len());
    write_own(schema, Object::new(&mut out));
    String::from_utf8(out).unwrap_or_default()
}

fn write_own(schema: Json<'_>, mut out: Object<'_>) {
    let is_nullable = field(schema, "nullable").and_then(Json::as_bool) == Some(true);
    for (key, value) in schema.fields().filter(|(_, value)| !value.is_null()) {
        let is = |name: &str| is_named(key, name);
        if key == "type" {
            let name = value.as_str().unwrap_or_default().to_ascii_lowercase();
            match (&*name, is_nullable) {
                ("type_unspecified", _) => {}
                ("null", _) | (_, false) => out.put("type", &name),
                (_, true) => out.put("type", &[&*name, "null"]),
            }
        } else if key == "items" {
            write_own(value, out.object("items"));
        } else if key == "properties" {
            write_properties(
                value,
                field(schema, "propertyOrdering"),
                out.object("properties"),
            );
        } else if is("anyOf") {
            let mut list = out.list("anyOf");
            for item in value.items() {
                write_own(item, list.object());
            }
            if is_nullable && field(schema, "type").is_none() {
                list.object().put("type", "null");
            }
        } else if key == "enum" {
            let mut texts: Vec<&str> = value.items().map(Json::text).collect();
            if is_nullable {
                texts.push("null");
            }
            out.raw("enum", &format!("[{}]", texts.join(",")));
        } else if key == "example" {
            out.raw("examples", &format!("[{}]", value.text()));
        } else if let Some(name) = COUNTS.iter().find(|name| is(name)) {
            // 64-bit numbers are written as texts.
            let text = value.as_str();
            out.raw(name, text.as_deref().unwrap_or(value.text()));
        } else if !is("propertyOrdering") && key != "nullable" {
            out.raw(key, value.text());
        }
    }
}

const COUNTS: [&str; 6] = [
    "minItems",
    "maxItems",
    "minLength",
    "maxLength",
    "minProperties",
    "maxProperties",
];

/// The properties in the order that is asked for: other vendors' models keep to the order they see.
fn write_properties(properties: Json<'_>, ordering: Option<Json<'_>>, mut out: Object<'_>) {
    let order: Vec<String> = ordering
        .into_iter()
        .flat_map(Json::items)
        .filter_map(|name| Some(name.as_str()?.into_owned()))
        .collect();
    let mut fields: Vec<_> = properties.fields().collect();
    fields.sort_by_key(|(name, _)| {
        let place = order.iter().position(|ordered| ordered == name);
        place.unwrap_or(order.len())
    });
    for (name, schema) in fields {
        if let Ok(name) = serde_json::from_str::<String>(&format!("\"{name}\"")) {
            write_own(schema, out.object(&name));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(schema: &str) -> (String, Vec<String>) {
        let mut losses = Vec::new();
        let text = for_gemini(schema, "p", &mut losses);
        let keys = losses.iter().filter_map(|loss| {
            let key = loss.reason.split('`').nth(1)?;
            Some(key.to_owned())
        });
        (text, keys.collect())
    }

    #[test]
    fn t51_keys_the_vendor_does_not_know_are_removed_and_named() {
        let (text, lost) = kept(
            r##"{"$schema":"x","type":"object","properties":{"pattern":{"type":"string","pattern":"a","default":"b"},"k":{"const":5},"r":{"$ref":"#/definitions/d","description":"x"}},"definitions":{"d":{"type":"array","items":{"type":"string","minLength":1},"minItems":1}},"additionalProperties":false,"not":{}}"##,
        );
        assert_eq!(
            text,
            r##"{"type":"object","properties":{"pattern":{"type":"string"},"k":{"enum":[5]},"r":{"$ref":"#/$defs/d"}},"$defs":{"d":{"type":"array","items":{"type":"string"},"minItems":1}},"additionalProperties":false}"##
        );
        assert_eq!(
            lost,
            ["default", "description", "minLength", "not", "pattern"]
        );
    }

    #[test]
    fn a_schema_that_fits_is_left_alone() {
        let schema = r#"{"type":"object","properties":{"a":{"anyOf":[{"type":"integer","minimum":12345678901234567890},{"type":"null"}]},"b":{"type":"array","prefixItems":[{"type":"string"}]}},"required":["a"],"additionalProperties":{"type":"string"},"propertyOrdering":["b","a"]}"#;
        assert_eq!(kept(schema), (schema.to_owned(), Vec::new()));
    }

    #[test]
    fn one_of_all_is_merged_and_a_flag_is_no_value_to_list() {
        let (text, lost) = kept(r#"{"title":"t","allOf":[{"type":"string","title":"u"}]}"#);
        assert_eq!(text, r#"{"title":"t","type":"string"}"#);
        assert_eq!(lost, ["allOf"]);
        let (text, lost) = kept(r#"{"enum":[true,"a"]}"#);
        assert_eq!((text.as_str(), lost), ("{}", vec!["enum".to_owned()]));
    }

    #[test]
    fn the_vendors_own_form_becomes_json_schema() {
        let text = to_json_schema(Json::new(
            r#"{"type":"OBJECT","properties":{"a":{"type":"STRING","nullable":true,"enum":["x"],"format":"enum"},"b":{"type":"ARRAY","items":{"type":"INTEGER"},"min_items":"2"},"c":{"anyOf":[{"type":"NUMBER"}],"nullable":true,"example":1}},"required":["a"],"property_ordering":["b","a"]}"#,
        ));
        assert_eq!(
            text,
            r#"{"type":"object","properties":{"b":{"type":"array","items":{"type":"integer"},"minItems":2},"a":{"type":["string","null"],"enum":["x",null],"format":"enum"},"c":{"anyOf":[{"type":"number"},{"type":"null"}],"examples":[1]}},"required":["a"]}"#
        );
    }

    #[test]
    fn an_object_with_nothing_in_it_needs_no_schema() {
        assert!(is_empty_object(r#"{"type":"object","properties":{}}"#));
        assert!(is_empty_object("{}"));
        assert!(!is_empty_object(
            r#"{"type":"object","properties":{"a":{}}}"#
        ));
    }
}
