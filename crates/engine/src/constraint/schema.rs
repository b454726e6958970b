//! JSON Schemas from requests: read, limited, and refused where a keyword cannot be kept.
//!
//! llguidance ignores what it does not know and refuses some of what it does without a place; here every keyword that
//! validates and cannot be kept is refused with its path. Names that JSON Schema does not have are annotations, as the
//! standard says, and stand for nothing.

use serde_json::{Map, Value};

use crate::error::EngineError;

const MOST_BYTES: usize = 256 * 1024;
const DEEPEST: usize = 48;
/// Longer runs of white space between the parts of an answer are not drawn: some models find no end there.
const WHITE_SPACE: &str = r"[\x20\x0A\x0D\x09]{1,20}";
/// 2^53 - 1.
const LARGEST: i64 = 9_007_199_254_740_991;
/// The field in which llguidance takes options.
const OPTIONS: &str = "x-guidance";

/// Keywords that validate and are not kept.
const NOT_KEPT: [&str; 22] = [
    "not",
    "if",
    "then",
    "else",
    "contains",
    "minContains",
    "maxContains",
    "uniqueItems",
    "propertyNames",
    "dependencies",
    "dependentRequired",
    "dependentSchemas",
    "unevaluatedItems",
    "unevaluatedProperties",
    "$dynamicRef",
    "$dynamicAnchor",
    "$recursiveRef",
    "$recursiveAnchor",
    "$id",
    "id",
    "$anchor",
    OPTIONS,
];

/// Formats that are kept.
const FORMATS: [&str; 10] = [
    "date-time",
    "time",
    "date",
    "duration",
    "email",
    "hostname",
    "ipv4",
    "ipv6",
    "uuid",
    "uri",
];

/// Keywords whose value is a schema, a list of schemas, or an object with schemas as its values.
const SCHEMAS: [&str; 3] = ["items", "additionalItems", "additionalProperties"];
const LISTS: [&str; 5] = ["anyOf", "oneOf", "allOf", "prefixItems", "items"];
const MAPS: [&str; 4] = ["properties", "patternProperties", "$defs", "definitions"];

/// Any JSON object.
pub(super) fn any_object() -> Value {
    with_options(Map::from_iter([("type".to_owned(), Value::from("object"))]))
}

/// A schema of a request's field, checked.
pub(super) fn read(param: &'static str, text: &str) -> Result<Value, EngineError> {
    with_root(param, text).map(with_options)
}

/// The schema of a tool's arguments, which are always an object.
pub(super) fn read_arguments(tool: &str, text: Option<&str>) -> Result<Value, EngineError> {
    let mut root = with_root("tools", text.unwrap_or("{}"))?;
    let kind = root.entry("type").or_insert_with(|| Value::from("object"));
    if kind.as_str() != Some("object") {
        return Err(EngineError::invalid(
            "tools",
            format!("the parameters of the tool {tool:?} must be of the type \"object\""),
        ));
    }
    Ok(with_options(root))
}

fn with_root(param: &'static str, text: &str) -> Result<Map<String, Value>, EngineError> {
    if text.len() > MOST_BYTES {
        return Err(EngineError::invalid(
            param,
            format!("a schema may have {MOST_BYTES} bytes"),
        ));
    }
    let mut schema: Value = serde_json::from_str(text)
        .map_err(|error| EngineError::invalid(param, format!("the schema is no JSON: {error}")))?;
    Check { param, depth: 0 }.schema(&schema, "#")?;
    bound_multiples(&mut schema);
    match schema {
        Value::Object(root) => Ok(root),
        Value::Bool(true) => Ok(Map::new()),
        _ => Err(EngineError::invalid(
            param,
            "the schema must be an object, and not one that nothing satisfies",
        )),
    }
}

fn with_options(mut root: Map<String, Value>) -> Value {
    root.insert(
        OPTIONS.to_owned(),
        Value::Object(Map::from_iter([(
            "whitespace_pattern".to_owned(),
            Value::from(WHITE_SPACE),
        )])),
    );
    Value::Object(root)
}

/// Multiples get an end where the schema has none: the largest whole numbers that every reader of JSON takes as they are.
/// Whether a reference points at the schema itself or at a place that the check goes through.
fn is_checked(to: &str) -> bool {
    let entry = ["#/$defs/", "#/definitions/", "#/properties/"]
        .iter()
        .find_map(|place| to.strip_prefix(place));
    to == "#" || entry.is_some_and(|name| !name.contains('/'))
}

/// Only some lengths of digits end in a multiple, so that a number could not be told to end.
fn bound_multiples(schema: &mut Value) {
    let Value::Object(schema) = schema else {
        return;
    };
    if schema.contains_key("multipleOf") {
        for (keywords, bound) in [
            (["minimum", "exclusiveMinimum"], -LARGEST),
            (["maximum", "exclusiveMaximum"], LARGEST),
        ] {
            let has_one = keywords.iter().any(|keyword| schema.contains_key(*keyword));
            if !has_one {
                schema.insert(keywords[0].to_owned(), Value::from(bound));
            }
        }
    }
    for (keyword, value) in schema {
        match value {
            Value::Array(list) if LISTS.contains(&keyword.as_str()) => {
                list.iter_mut().for_each(bound_multiples);
            }
            Value::Object(map) if MAPS.contains(&keyword.as_str()) => {
                map.values_mut().for_each(bound_multiples);
            }
            schema if SCHEMAS.contains(&keyword.as_str()) => bound_multiples(schema),
            _ => {}
        }
    }
}

/// A walk over the places where schemas are.
struct Check {
    param: &'static str,
    depth: usize,
}

// === impl Check ===

impl Check {
    fn schema(&mut self, schema: &Value, path: &str) -> Result<(), EngineError> {
        let Value::Object(schema) = schema else {
            return match schema {
                Value::Bool(_) => Ok(()),
                _ => Err(self.invalid(path, "is no schema")),
            };
        };
        if self.depth == DEEPEST {
            return Err(self.invalid(path, &format!("is deeper than {DEEPEST} schemas")));
        }
        self.depth += 1;
        for (keyword, value) in schema {
            self.keyword(keyword, value, path)?;
        }
        self.least_properties(schema, path)?;
        self.depth -= 1;
        Ok(())
    }

    fn keyword(&mut self, keyword: &str, value: &Value, path: &str) -> Result<(), EngineError> {
        // Nothing is asked for by these.
        let is_idle = match keyword {
            "uniqueItems" => value.as_bool() == Some(false),
            "$id" | "id" => path == "#",
            _ => false,
        };
        if NOT_KEPT.contains(&keyword) && !is_idle {
            return Err(self.unsupported(keyword, path, "is not supported"));
        }
        match (keyword, value) {
            ("format", Value::String(format)) if !FORMATS.contains(&format.as_str()) => {
                let what = format!("{format:?} is not supported");
                return Err(self.unsupported(keyword, path, &what));
            }
            ("$ref", Value::String(to)) if !is_checked(to) => {
                let what = "must be # or point at an entry of $defs, definitions or properties (#/$defs/…)";
                return Err(self.unsupported(keyword, path, what));
            }
            ("$schema", _) if path != "#" => {
                return Err(self.unsupported(keyword, path, "is not supported below the root"));
            }
            _ => {}
        }
        let at = format!("{path}/{}", pointer(keyword));
        match value {
            Value::Array(list) if LISTS.contains(&keyword) => {
                for (i, schema) in list.iter().enumerate() {
                    self.schema(schema, &format!("{at}/{i}"))?;
                }
            }
            Value::Object(map) if MAPS.contains(&keyword) => {
                for (name, schema) in map {
                    self.schema(schema, &format!("{at}/{}", pointer(name)))?;
                }
            }
            schema if SCHEMAS.contains(&keyword) => self.schema(schema, &at)?,
            _ => {}
        }
        Ok(())
    }

    /// Names that are not listed can come twice, and count once for who reads them.
    fn least_properties(&self, schema: &Map<String, Value>, path: &str) -> Result<(), EngineError> {
        let least = schema.get("minProperties").and_then(Value::as_u64);
        let required = schema.get("required").and_then(Value::as_array);
        let n_required = required.map_or(0, Vec::len) as u64;
        match least {
            Some(least) if least > n_required => Err(self.unsupported(
                "minProperties",
                path,
                "is supported up to the number of required properties",
            )),
            _ => Ok(()),
        }
    }

    fn unsupported(&self, keyword: &str, path: &str, what: &str) -> EngineError {
        EngineError::unsupported(
            self.param,
            format!("the schema's keyword {keyword:?} at {path} {what}; leave it out"),
        )
    }

    fn invalid(&self, path: &str, what: &str) -> EngineError {
        EngineError::invalid(self.param, format!("the schema at {path} {what}"))
    }
}

/// A name as a JSON Pointer has it.
fn pointer(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}
