//! What an object of the API consists of, as data: the check of every request and the OpenAPI document are
//! made from the same fields, so that neither can know one that the other does not.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor},
};
use serde_json::value::RawValue;
use tollgate_base::{Error, Kind as ErrorKind, Money, Result, quote};

use crate::{amount::amount_of, time::time_of};

/// An object.
#[derive(Debug, PartialEq, Eq)]
pub struct Shape {
    pub name: &'static str,
    pub doc: &'static str,
    pub fields: &'static [Field],
    /// For a request: the object that it is about. Its other fields can be read and not written.
    pub about: Option<&'static Shape>,
}

/// A field of an object, or a parameter of an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field {
    pub name: &'static str,
    pub kind: Kind,
    pub need: Need,
    pub doc: &'static str,
}

/// What stands in a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Text,
    /// One of these words.
    Word(&'static [&'static str]),
    /// A whole number from … to …
    Whole(u64, u64),
    Bool,
    /// Dollars, exact, with at most nine decimals.
    Amount,
    /// As `Amount`, below zero too.
    SignedAmount,
    /// RFC 3339.
    Time,
    Texts,
    /// Whole numbers from … to …
    Wholes(u64, u64),
    Object(&'static Shape),
    List(&'static Shape),
    /// Names with texts.
    Texted,
    /// Any object.
    Any,
}

/// Whether a field is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    Required,
    /// It may be left out; it is not null.
    Optional,
    /// It may be null. In a request it may be left out as well; in an answer it is always there.
    Nullable,
}

pub(crate) const fn required(name: &'static str, kind: Kind, doc: &'static str) -> Field {
    Field {
        name,
        kind,
        need: Need::Required,
        doc,
    }
}

pub(crate) const fn optional(name: &'static str, kind: Kind, doc: &'static str) -> Field {
    Field {
        name,
        kind,
        need: Need::Optional,
        doc,
    }
}

pub(crate) const fn nullable(name: &'static str, kind: Kind, doc: &'static str) -> Field {
    Field {
        name,
        kind,
        need: Need::Nullable,
        doc,
    }
}

impl Field {
    /// The same field where it may be left out.
    pub(crate) const fn optional(self) -> Self {
        Self {
            need: Need::Optional,
            ..self
        }
    }
}

/// The fields of a JSON object in their order, each value as it is written.
struct Fields(Vec<(String, Box<RawValue>)>);

impl<'de> Deserialize<'de> for Fields {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reading;
        impl<'de> Visitor<'de> for Reading {
            type Value = Fields;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields, A::Error> {
                let mut fields = Vec::new();
                while let Some(field) = map.next_entry()? {
                    fields.push(field);
                }
                Ok(Fields(fields))
            }
        }
        deserializer.deserialize_map(Reading)
    }
}

impl Shape {
    /// Reads a request: every field is known, of the right kind, and there once; none that is needed is missing.
    pub fn read<'de, T: Deserialize<'de>>(&self, body: &'de [u8]) -> Result<T> {
        let text = std::str::from_utf8(body).map_err(|_| not_json("it is not UTF-8"))?;
        let raw: &RawValue =
            serde_json::from_str(text).map_err(|error| not_json(&error.to_string()))?;
        self.check(raw, "")?;
        serde_json::from_str(text).map_err(|error| not_json(&error.to_string()))
    }

    fn check(&self, raw: &RawValue, path: &str) -> Result<()> {
        let Ok(Fields(found)) = serde_json::from_str(raw.get()) else {
            return Err(wrong(path, "must be a JSON object"));
        };
        for (at, (name, value)) in found.iter().enumerate() {
            let whole = join(path, name);
            let Some(field) = self.fields.iter().find(|field| field.name == name) else {
                return Err(self.unknown(name, &whole));
            };
            if found.iter().take(at).any(|(other, _)| other == name) {
                let message = format!("The field {} stands there twice.", quote(&whole));
                return Err(
                    Error::new(ErrorKind::InvalidRequest, "duplicate_field", message)
                        .with_param(whole),
                );
            }
            field.check(value, &whole)?;
        }
        let is_there = |field: &Field| found.iter().any(|(name, _)| name == field.name);
        match self
            .fields
            .iter()
            .find(|field| field.need == Need::Required && !is_there(field))
        {
            Some(field) => Err(Error::missing_field(join(path, field.name))),
            None => Ok(()),
        }
    }

    fn unknown(&self, name: &str, path: &str) -> Error {
        let is_read_only = self
            .about
            .is_some_and(|object| object.fields.iter().any(|field| field.name == name));
        let message = if is_read_only {
            format!("The field {} cannot be written here.", quote(path))
        } else {
            let known: Vec<_> = self.fields.iter().map(|field| field.name).collect();
            format!(
                "There is no field {}. The fields are: {}.",
                quote(path),
                known.join(", ")
            )
        };
        // The name is the caller's: what is quoted of it is bounded and escaped.
        let param = quote(path).trim_matches('`').to_owned();
        Error::new(ErrorKind::InvalidRequest, "unknown_field", message).with_param(param)
    }
}

impl Field {
    fn check(&self, value: &RawValue, path: &str) -> Result<()> {
        let text = value.get().trim();
        if text == "null" {
            return match self.need {
                Need::Nullable => Ok(()),
                Need::Required | Need::Optional => Err(wrong(path, "must not be null")),
            };
        }
        self.kind.check(value, path)
    }
}

impl Kind {
    fn check(self, value: &RawValue, path: &str) -> Result<()> {
        let text = value.get();
        let is = |is: bool, rule: &str| if is { Ok(()) } else { Err(wrong(path, rule)) };
        let string = || serde_json::from_str::<String>(text).ok();
        match self {
            Kind::Text => is(string().is_some(), "must be a text"),
            Kind::Word(words) => is(
                string().is_some_and(|word| words.contains(&word.as_str())),
                &format!("must be one of {}", words.join(", ")),
            ),
            Kind::Whole(from, to) => is(
                whole(text).is_some_and(|number| (from..=to).contains(&number)),
                &format!("must be a whole number from {from} to {to}"),
            ),
            Kind::Bool => is(matches!(text, "true" | "false"), "must be true or false"),
            Kind::Amount | Kind::SignedAmount => is(
                amount_of(text).is_some_and(|amount| amount >= Money::ZERO),
                "must be a number of dollars from 0 to 999999999999.999999999, written with at most nine decimals \
                 and without an exponent",
            ),
            Kind::Time => is(
                string().is_some_and(|text| time_of(&text).is_some()),
                "must be a time such as \"2026-11-21T09:30:00Z\"",
            ),
            Kind::Texts => is(
                serde_json::from_str::<Vec<String>>(text).is_ok(),
                "must be a list of texts",
            ),
            Kind::Wholes(from, to) => is(
                serde_json::from_str::<Vec<u64>>(text)
                    .is_ok_and(|all| all.iter().all(|one| (from..=to).contains(one))),
                &format!("must be a list of whole numbers from {from} to {to}"),
            ),
            Kind::Object(shape) => shape.check(value, path),
            Kind::List(shape) => {
                let Ok(items) = serde_json::from_str::<Vec<&RawValue>>(text) else {
                    return Err(wrong(path, "must be a list"));
                };
                let mut items = items.iter().enumerate();
                items.try_for_each(|(at, item)| shape.check(item, &format!("{path}[{at}]")))
            }
            Kind::Texted | Kind::Any => is(text.starts_with('{'), "must be an object"),
        }
    }
}

fn whole(text: &str) -> Option<u64> {
    // `parse` takes a sign, JSON numbers have none that is a plus.
    text.parse().ok()
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() {
        name.to_owned()
    } else {
        format!("{path}.{name}")
    }
}

fn wrong(path: &str, rule: &str) -> Error {
    if path.is_empty() {
        let message = format!("The body {rule}.");
        return Error::new(ErrorKind::InvalidRequest, "invalid_json", message);
    }
    Error::invalid_value(path, format!("`{path}` {rule}."))
}

fn not_json(fault: &str) -> Error {
    let message = format!("The body is no sound JSON: {fault}.");
    Error::new(ErrorKind::InvalidRequest, "invalid_json", message)
}
