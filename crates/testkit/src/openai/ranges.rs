//! Types and ranges of the scalar fields that chat and legacy completions share.

use serde_json::{Map, Value};

use super::check::{Checked, refuse};

const DECIMALS: &[(&str, f64, f64)] = &[
    ("temperature", 0.0, 2.0),
    ("top_p", 0.0, 1.0),
    ("frequency_penalty", -2.0, 2.0),
    ("presence_penalty", -2.0, 2.0),
];
const INTEGERS: &[(&str, i64, i64)] = &[
    ("max_tokens", 1, i64::MAX),
    ("max_completion_tokens", 1, i64::MAX),
    ("n", 1, 128),
    ("top_logprobs", 0, 20),
];

pub(super) fn check_ranges(fields: &Map<String, Value>) -> Checked<()> {
    for (name, low, high) in DECIMALS {
        if let Some(value) = present(fields, name) {
            check_decimal(name, value, *low, *high)?;
        }
    }
    for (name, low, high) in INTEGERS {
        if let Some(value) = present(fields, name) {
            check_integer(name, value, *low, *high)?;
        }
    }
    for name in ["stream", "store", "parallel_tool_calls"] {
        if present(fields, name).is_some_and(|value| !value.is_boolean()) {
            return refuse(
                name,
                "invalid_type",
                format!("Invalid type for '{name}': expected a boolean."),
            );
        }
    }
    check_stop(fields.get("stop"))?;
    if present(fields, "stream_options").is_some()
        && fields.get("stream") != Some(&Value::Bool(true))
    {
        return refuse(
            "stream_options",
            "",
            "The 'stream_options' parameter is only allowed when 'stream' is enabled.",
        );
    }
    Ok(())
}

fn present<'a>(fields: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    fields.get(name).filter(|value| !value.is_null())
}

fn check_decimal(name: &str, value: &Value, low: f64, high: f64) -> Checked<()> {
    match value.as_f64() {
        None => refuse(
            name,
            "invalid_type",
            format!("Invalid type for '{name}': expected a decimal, but got {value} instead."),
        ),
        Some(number) if number < low => refuse(
            name,
            "decimal_below_min_value",
            format!(
                "Invalid '{name}': decimal below minimum value. Expected a value >= {low}, but got {value} instead."
            ),
        ),
        Some(number) if number > high => refuse(
            name,
            "decimal_above_max_value",
            format!(
                "Invalid '{name}': decimal above maximum value. Expected a value <= {high}, but got {value} instead."
            ),
        ),
        Some(_) => Ok(()),
    }
}

fn check_integer(name: &str, value: &Value, low: i64, high: i64) -> Checked<()> {
    match value.as_i64() {
        None => refuse(
            name,
            "invalid_type",
            format!("Invalid type for '{name}': expected an integer, but got {value} instead."),
        ),
        Some(number) if number < low => refuse(
            name,
            "integer_below_min_value",
            format!(
                "Invalid '{name}': integer below minimum value. Expected a value >= {low}, but got {value} instead."
            ),
        ),
        Some(number) if number > high => refuse(
            name,
            "integer_above_max_value",
            format!(
                "Invalid '{name}': integer above maximum value. Expected a value <= {high}, but got {value} instead."
            ),
        ),
        Some(_) => Ok(()),
    }
}

fn check_stop(stop: Option<&Value>) -> Checked<()> {
    match stop {
        None | Some(Value::Null | Value::String(_)) => Ok(()),
        Some(Value::Array(stops)) if stops.len() > 4 => {
            let length = stops.len();
            refuse(
                "stop",
                "array_above_max_length",
                format!(
                    "Invalid 'stop': array too long. Expected an array with maximum length 4, but got an array with length {length} instead."
                ),
            )
        }
        Some(Value::Array(stops)) if stops.iter().all(Value::is_string) => Ok(()),
        Some(_) => refuse(
            "stop",
            "invalid_type",
            "Invalid type for 'stop': expected a string or an array of strings.",
        ),
    }
}
