//! What each kind of setting does with a written value: read it, show it, describe it.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::PathBuf;
use std::time::Duration;

use http::{HeaderName, HeaderValue};
use serde_json::Value;
use tollgate_base::{Money, Rate, Secret};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::json_schema::object;
use crate::reference::push;
use crate::schema::Kind;
use crate::value::{self, Fault};

/// Headers that carry the message, the key or the connection: they are not the user's to set.
const RESERVED_HEADERS: [&str; 13] = [
    "accept-encoding",
    "authorization",
    "connection",
    "content-length",
    "content-type",
    "expect",
    "host",
    "keep-alive",
    "proxy-authorization",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// A fault, and the part of the value that it is about.
pub(crate) type Located = (Range<usize>, Fault);

// === impl Kind ===

impl<D> Kind<D> {
    /// Fills the field, or says all that is wrong with the value.
    pub(crate) fn read(
        &self,
        written: &Spanned<DeValue<'_>>,
        draft: &mut D,
    ) -> Result<(), Vec<Located>> {
        let at = |fault| vec![(written.span(), fault)];
        let value = written.get_ref();
        match self {
            Self::Flag(slot) => {
                slot(draft).put(value.as_bool().ok_or_else(|| at(self.not(value)))?);
            }
            Self::Count { min, max, slot } => {
                let number = integer(value).ok_or_else(|| at(self.not(value)))?;
                let range = i128::from(*min)..=i128::from(*max);
                match u64::try_from(number) {
                    Ok(count) if range.contains(&number) => slot(draft).put(count),
                    _ => return Err(at(out_of_range(min.to_string(), &max.to_string()))),
                }
            }
            Self::Size { min, max, slot } => {
                let size = value::parse_size(self.text(value).map_err(at)?).map_err(at)?;
                if !(*min..=*max).contains(&size) {
                    return Err(at(out_of_range(
                        value::render_size(*min),
                        &value::render_size(*max),
                    )));
                }
                slot(draft).put(size);
            }
            Self::Time { min, max, slot } => {
                let time = value::parse_duration(self.text(value).map_err(at)?).map_err(at)?;
                if !(*min..=*max).contains(&time) {
                    return Err(at(out_of_range(
                        value::render_duration(*min),
                        &value::render_duration(*max),
                    )));
                }
                slot(draft).put(time);
            }
            Self::Address(slot) => {
                let address = value::parse_address(self.text(value).map_err(at)?).map_err(at)?;
                slot(draft).put(address);
            }
            Self::Text(slot) | Self::Variable(slot) | Self::Url(slot) => {
                let text = self.text(value).map_err(at)?;
                slot(draft).put(text.to_owned());
            }
            Self::Path(slot) => slot(draft).put(PathBuf::from(self.text(value).map_err(at)?)),
            Self::Secret(slot) => slot(draft).put(Secret::new(self.text(value).map_err(at)?)),
            Self::Amount(slot) => {
                let amount = Money::parse(&decimal(value).ok_or_else(|| at(self.not(value)))?);
                slot(draft).put(amount.ok_or_else(|| at(not_dollars()))?);
            }
            Self::Rate(slot) => {
                let rate = Rate::per_million(&decimal(value).ok_or_else(|| at(self.not(value)))?);
                slot(draft).put(rate.ok_or_else(|| at(not_dollars()))?);
            }
            Self::Choice { names, slot } => {
                let text = self.text(value).map_err(at)?;
                let name = names.iter().find(|name| **name == text).ok_or_else(|| {
                    at(Fault::new(
                        "is not one of its values",
                        crate::suggest::hint(text, names.iter().copied()),
                    ))
                })?;
                slot(draft).put(name);
            }
            Self::List(slot) => slot(draft).put(self.list(written)?),
            Self::Headers(slot) => {
                let table = value.as_table().ok_or_else(|| at(self.not(value)))?;
                slot(draft).put(headers(table)?);
            }
        }
        Ok(())
    }

    fn text<'v>(&self, value: &'v DeValue<'_>) -> Result<&'v str, Fault> {
        match value.as_str() {
            Some("") => Err(Fault::new("is empty", "write a value, or remove the line")),
            Some(text) => Ok(text),
            None => Err(self.not(value)),
        }
    }

    fn list(&self, written: &Spanned<DeValue<'_>>) -> Result<Vec<String>, Vec<Located>> {
        let value = written.get_ref();
        let array = value
            .as_array()
            .ok_or_else(|| vec![(written.span(), self.not(value))])?;
        let mut texts: Vec<String> = Vec::new();
        let mut faults = Vec::new();
        for element in array {
            let fault = match element.get_ref().as_str() {
                None => Fault::new(
                    format!("must hold texts, not {}", a_type(element.get_ref())),
                    "write [\"one\", \"two\"]",
                ),
                Some(text) if text.trim() != text || text.is_empty() => {
                    Fault::new("holds an empty text or one with blanks around it", "")
                }
                Some(text) if texts.iter().any(|known| known == text) => {
                    Fault::new(format!("holds `{text}` twice"), "remove one of them")
                }
                Some(text) => {
                    texts.push(text.to_owned());
                    continue;
                }
            };
            faults.push((element.span(), fault));
        }
        if faults.is_empty() {
            Ok(texts)
        } else {
            Err(faults)
        }
    }

    /// The fault of a value of another type.
    fn not(&self, value: &DeValue<'_>) -> Fault {
        let hint = match self {
            Self::Flag(_) => "write true or false",
            Self::Count { .. } => "write a whole number without quotes",
            Self::Amount(_) | Self::Rate(_) => "write dollars, such as 2.50",
            Self::Size { .. } => "write a number with a unit, such as \"32MiB\"",
            Self::Time { .. } => "write a number with a unit, such as \"5s\"",
            Self::List(_) => "write [\"one\", \"two\"]",
            Self::Headers(_) => "write { name = \"value\" }",
            _ => "write it in quotes",
        };
        Fault::new(
            format!("must be {}, not {}", self.noun(), a_type(value)),
            hint,
        )
    }

    /// What the value is, for people.
    pub(crate) fn noun(&self) -> &'static str {
        match self {
            Self::Flag(_) => "true or false",
            Self::Count { .. } => "a number",
            Self::Size { .. } => "a size",
            Self::Time { .. } => "a duration",
            Self::Address(_) => "an address",
            Self::Text(_) => "a text",
            Self::Variable(_) => "the name of an environment variable",
            Self::Url(_) => "a URL",
            Self::Path(_) => "a path",
            Self::Secret(_) => "a secret",
            Self::Amount(_) | Self::Rate(_) => "an amount in dollars",
            Self::Choice { .. } => "one of its values",
            Self::List(_) => "a list of texts",
            Self::Headers(_) => "a table of texts",
        }
    }

    /// The range, where the kind has one.
    pub(crate) fn range(&self) -> Option<(String, String)> {
        match self {
            Self::Count { min, max, .. } => Some((min.to_string(), max.to_string())),
            Self::Size { min, max, .. } => {
                Some((value::render_size(*min), value::render_size(*max)))
            }
            Self::Time { min, max, .. } => {
                Some((value::render_duration(*min), value::render_duration(*max)))
            }
            _ => None,
        }
    }

    pub(crate) fn is_secret(&self) -> bool {
        matches!(self, Self::Secret(_) | Self::Headers(_))
    }

    /// What the field holds, as it would be written, secrets masked; `None` when it holds nothing.
    pub(crate) fn written(&self, draft: &mut D) -> Option<String> {
        match self {
            Self::Flag(slot) => slot(draft).held().map(|flag: bool| flag.to_string()),
            Self::Count { slot, .. } => slot(draft).held().map(|count: u64| count.to_string()),
            Self::Size { slot, .. } => slot(draft)
                .held()
                .map(|size| quoted(&value::render_size(size))),
            Self::Time { slot, .. } => slot(draft)
                .held()
                .map(|time: Duration| quoted(&value::render_duration(time))),
            Self::Address(slot) => slot(draft)
                .held()
                .map(|address| quoted(&address.to_string())),
            Self::Text(slot) | Self::Variable(slot) | Self::Url(slot) => {
                slot(draft).held().map(|text: String| quoted(&text))
            }
            Self::Path(slot) => slot(draft)
                .held()
                .map(|path| quoted(&path.to_string_lossy())),
            Self::Secret(slot) => slot(draft).held().map(|_| quoted("…")),
            Self::Amount(slot) => slot(draft).held().map(Money::to_decimal),
            Self::Rate(slot) => slot(draft).held().map(Rate::to_decimal),
            Self::Choice { slot, .. } => slot(draft).held().map(quoted),
            Self::List(slot) => slot(draft).held().map(|texts| list_of(&texts)),
            Self::Headers(slot) => slot(draft)
                .held()
                .filter(|headers| !headers.is_empty())
                .map(|headers| {
                    let pairs: Vec<_> = headers
                        .keys()
                        .map(|name| format!("{} = \"…\"", key(name)))
                        .collect();
                    format!("{{ {} }}", pairs.join(", "))
                }),
        }
    }

    /// The JSON Schema of the value.
    pub(crate) fn json_schema(&self) -> Value {
        let text =
            |name: &'static str, value: Value| object([("type", "string".into()), (name, value)]);
        match self {
            Self::Flag(_) => object([("type", "boolean".into())]),
            Self::Count { min, max, .. } => object([
                ("type", "integer".into()),
                ("minimum", (*min).into()),
                ("maximum", (*max).into()),
            ]),
            Self::Amount(_) | Self::Rate(_) => {
                object([("type", "number".into()), ("minimum", 0.into())])
            }
            Self::Size { .. } => text("pattern", "^[0-9]+(B|KiB|MiB|GiB|KB|MB|GB)$".into()),
            Self::Time { .. } => text("pattern", "^[0-9]+(ms|s|m|h|d)$".into()),
            Self::Choice { names, .. } => text("enum", names.to_vec().into()),
            Self::List(_) => object([
                ("type", "array".into()),
                ("items", text("minLength", 1.into())),
                ("uniqueItems", true.into()),
            ]),
            Self::Headers(_) => object([
                ("type", "object".into()),
                ("additionalProperties", object([("type", "string".into())])),
            ]),
            Self::Variable(_) => text("pattern", "^[A-Za-z_][A-Za-z0-9_]*$".into()),
            Self::Url(_) => text("pattern", "^[Hh][Tt][Tt][Pp][Ss]?://".into()),
            Self::Address(_) | Self::Text(_) | Self::Path(_) | Self::Secret(_) => {
                text("minLength", 1.into())
            }
        }
    }
}

fn headers(table: &DeTable<'_>) -> Result<BTreeMap<String, Secret>, Vec<Located>> {
    let mut headers = BTreeMap::new();
    let mut faults = Vec::new();
    for (name, value) in table {
        let lower = name.get_ref().to_ascii_lowercase();
        match header_value(&lower, value.get_ref()) {
            Err(fault) => faults.push((name.span(), fault)),
            Ok(text) => {
                if headers.insert(lower.clone(), text).is_some() {
                    let fault = Fault::new(
                        format!("sets `{lower}` twice"),
                        "header names are the same in capitals",
                    );
                    faults.push((name.span(), fault));
                }
            }
        }
    }
    if faults.is_empty() {
        Ok(headers)
    } else {
        Err(faults)
    }
}

fn header_value(name: &str, value: &DeValue<'_>) -> Result<Secret, Fault> {
    if HeaderName::from_bytes(name.as_bytes()).is_err() {
        return Err(Fault::new(
            "has a header name that is not valid",
            "write letters, digits and `-`",
        ));
    }
    if RESERVED_HEADERS.contains(&name) {
        return Err(Fault::new(
            format!("sets `{name}`, which is not yours to set"),
            "a key goes into `api_key_env` or `api_key_file`",
        ));
    }
    let Some(text) = value.as_str() else {
        return Err(Fault::new(
            format!("has {} for `{name}`", a_type(value)),
            "write it in quotes",
        ));
    };
    if HeaderValue::from_str(text).is_err() {
        return Err(Fault::new(
            format!("has a value for `{name}` that no header can carry"),
            "remove line breaks and control characters",
        ));
    }
    Ok(Secret::new(text))
}

/// A decimal number as it was written: no float comes between the file and the money.
fn decimal(value: &DeValue<'_>) -> Option<String> {
    match value {
        DeValue::Integer(number) if number.radix() == 10 => Some(number.as_str().to_owned()),
        DeValue::Float(number) => Some(number.as_str().to_owned()),
        DeValue::String(text) => Some(text.to_string()),
        _ => None,
    }
}

fn not_dollars() -> Fault {
    Fault::new(
        "is no amount in dollars",
        "write digits and at most nine decimals, such as 2.50; it cannot be negative",
    )
}

fn integer(value: &DeValue<'_>) -> Option<i128> {
    let integer = value.as_integer()?;
    i128::from_str_radix(integer.as_str(), integer.radix()).ok()
}

fn out_of_range(min: impl AsRef<str>, max: &str) -> Fault {
    let min = min.as_ref();
    Fault::new(
        "is out of range",
        format!("write a value from {min} to {max}"),
    )
}

fn a_type(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a text",
        DeValue::Integer(_) => "a number",
        DeValue::Float(_) => "a number with a point",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}

/// A TOML string.
pub(crate) fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            c if c.is_control() => push(&mut out, format_args!("\\u{:04X}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// A TOML list of strings.
pub(crate) fn list_of(texts: &[String]) -> String {
    let quoted: Vec<_> = texts.iter().map(|text| quoted(text)).collect();
    format!("[{}]", quoted.join(", "))
}

/// A TOML key, quoted where it must be.
pub(crate) fn key(name: &str) -> String {
    let bare = !name.is_empty()
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_');
    if bare { name.to_owned() } else { quoted(name) }
}
