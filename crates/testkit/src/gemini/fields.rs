//! The fields of a request, at every depth: ProtoJSON takes camelCase and snake_case, and refuses what no
//! message knows. The table comes from the v1beta discovery document.

use std::sync::LazyLock;

use serde_json::{Map, Value};

use super::errors::Refused;

pub(super) type Checked<T> = Result<T, Box<Refused>>;

pub(super) fn refuse<T>(message: impl Into<String>) -> Checked<T> {
    Err(Box::new(Refused::bad(message)))
}

static TYPES: LazyLock<Value> = LazyLock::new(|| {
    serde_json::from_str(include_str!("../../schemas/gemini-requests.json"))
        .expect("the vendored table is JSON")
});

/// Fields that Vertex has beyond AI Studio, by message.
const VERTEX: &[(&str, &str)] = &[
    ("GenerateContentRequest", "labels"),
    ("GenerateContentRequest", "modelArmorConfig"),
    ("GenerationConfig", "audioTimestamp"),
    ("GenerationConfig", "routingConfig"),
];

/// The body with camelCase names and upper-case enumerations, or the vendor's refusal of what it does not know.
pub(super) fn canonical(body: &Value, message: &str, is_vertex: bool) -> Checked<Value> {
    read(body, message, "", is_vertex)
}

fn read(value: &Value, message: &str, at: &str, is_vertex: bool) -> Checked<Value> {
    let Some(fields) = value.as_object() else {
        return refuse(format!(
            "Invalid value at '{at}' (type.googleapis.com/google.ai.generativelanguage.v1beta.{message}), {value}"
        ));
    };
    let mut out = Map::new();
    for (name, inner) in fields {
        let camel = camel(name);
        let kind = match &TYPES[message][camel.as_str()] {
            Value::Null if is_vertex && VERTEX.contains(&(message, camel.as_str())) => {
                &Value::String(String::new())
            }
            Value::Null => return refuse(unknown(name, at)),
            kind => kind,
        };
        if inner.is_null() {
            continue;
        }
        let place = if at.is_empty() {
            snake(name)
        } else {
            format!("{at}.{}", snake(name))
        };
        out.insert(camel, field(inner, kind, &place, is_vertex)?);
    }
    Ok(Value::Object(out))
}

fn field(value: &Value, kind: &Value, at: &str, is_vertex: bool) -> Checked<Value> {
    let Some(kind) = kind.as_str() else {
        return enumeration(value, kind, at);
    };
    match (kind.strip_prefix('*'), value) {
        (Some(kind), Value::Array(items)) => {
            let items: Checked<Vec<Value>> = items
                .iter()
                .enumerate()
                .map(|(index, item)| match kind {
                    "" => Ok(item.clone()),
                    kind => read(item, kind, &format!("{at}[{index}]"), is_vertex),
                })
                .collect();
            items.map(Value::Array)
        }
        (Some(_), other) => refuse(format!(
            "Invalid value at '{at}': expected a list, but got {other}"
        )),
        (None, Value::Array(_)) if !kind.is_empty() => refuse(format!(
            "Invalid JSON payload received. Unknown name \"{}\" at '{at}': Proto field is not repeating, cannot start list.",
            at.rsplit('.').next().unwrap_or_default()
        )),
        (None, value) => match kind {
            "" => Ok(value.clone()),
            kind => read(value, kind, at, is_vertex),
        },
    }
}

fn enumeration(value: &Value, names: &Value, at: &str) -> Checked<Value> {
    match value {
        Value::Array(items) => {
            let items: Checked<Vec<Value>> = items
                .iter()
                .map(|item| enumeration(item, names, at))
                .collect();
            items.map(Value::Array)
        }
        Value::String(text) => {
            let fits = names.as_array().into_iter().flatten().find(|name| {
                name.as_str()
                    .is_some_and(|name| name.eq_ignore_ascii_case(text))
            });
            match fits {
                Some(name) => Ok(name.clone()),
                None => refuse(format!("Invalid value at '{at}' (enum), \"{text}\"")),
            }
        }
        other => refuse(format!("Invalid value at '{at}' (enum), {other}")),
    }
}

fn unknown(name: &str, at: &str) -> String {
    if at.is_empty() {
        format!("Invalid JSON payload received. Unknown name \"{name}\": Cannot find field.")
    } else {
        format!(
            "Invalid JSON payload received. Unknown name \"{name}\" at '{at}': Cannot find field."
        )
    }
}

fn camel(name: &str) -> String {
    let mut out = String::new();
    let mut upper = false;
    for letter in name.chars() {
        match letter {
            '_' => upper = true,
            letter if upper => {
                out.push(letter.to_ascii_uppercase());
                upper = false;
            }
            letter => out.push(letter),
        }
    }
    out
}

fn snake(name: &str) -> String {
    let mut out = String::new();
    for letter in name.chars() {
        if letter.is_ascii_uppercase() {
            out.push('_');
        }
        out.push(letter.to_ascii_lowercase());
    }
    out
}
