//! A reader of JSON text that was already checked: values are slices of the text, and what nobody asks for
//! is skipped. On text that was not checked it yields nonsense or nothing, and never panics.

use std::{borrow::Cow, convert::Infallible};

use super::strings::{End, cross};

/// The text of one value, without blanks around it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Json<'a>(&'a str);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    Null,
    Bool,
    Number,
    String,
    Array,
    Object,
}

/// The elements of an array.
#[derive(Debug)]
pub(crate) struct Items<'a> {
    rest: &'a str,
}

/// The fields of an object: the key's text as written, and the value.
#[derive(Debug)]
pub(crate) struct Fields<'a> {
    rest: &'a str,
}

/// A place in the text, for reading nested values in one pass: [`Items`] and [`Fields`] look for the end of
/// each value first, and so read what is nested twice.
#[derive(Debug)]
pub(crate) struct Cursor<'a> {
    rest: &'a str,
}

impl<'a> Cursor<'a> {
    /// Stands on a value.
    pub(crate) fn new(value: Json<'a>) -> Self {
        Self { rest: value.0 }
    }

    /// The shape of the value it stands on.
    pub(crate) fn shape(&self) -> Shape {
        Json(self.rest).shape()
    }

    /// Goes into the list or object that it stands on.
    pub(crate) fn enter(&mut self) {
        self.rest = self.rest.get(1..).unwrap_or("").trim_ascii_start();
    }

    /// Goes on behind the list or object that it is in, if it stands at its end.
    pub(crate) fn leave(&mut self) -> bool {
        let Some(rest) = self.rest.strip_prefix([']', '}']) else {
            return self.rest.is_empty();
        };
        self.rest = next_value(rest);
        true
    }

    /// Reads a field's name; it stands on the field's value then.
    pub(crate) fn key(&mut self) -> &'a str {
        let Some((key, rest)) = split_value(self.rest) else {
            self.rest = "";
            return "";
        };
        let rest = rest.trim_ascii_start();
        self.rest = rest.strip_prefix(':').unwrap_or("").trim_ascii_start();
        key.0.trim_matches('"')
    }

    /// Reads the value it stands on, whole.
    pub(crate) fn value(&mut self) -> Json<'a> {
        let (value, rest) = split_value(self.rest).unwrap_or((Json("null"), ""));
        self.rest = next_value(rest);
        value
    }
}

impl<'a> Json<'a> {
    pub(crate) fn new(text: &'a str) -> Self {
        Self(text.trim_ascii())
    }

    pub(crate) fn text(self) -> &'a str {
        self.0
    }

    pub(crate) fn shape(self) -> Shape {
        match self.0.as_bytes().first() {
            Some(b'{') => Shape::Object,
            Some(b'[') => Shape::Array,
            Some(b'"') => Shape::String,
            Some(b't' | b'f') => Shape::Bool,
            Some(b'n') | None => Shape::Null,
            Some(_) => Shape::Number,
        }
    }

    pub(crate) fn is_null(self) -> bool {
        self.shape() == Shape::Null
    }

    pub(crate) fn as_bool(self) -> Option<bool> {
        match self.0 {
            "true" => Some(true),
            "false" => Some(false),
            _ => None,
        }
    }

    pub(crate) fn as_f64(self) -> Option<f64> {
        if self.shape() == Shape::Number {
            self.0.parse().ok()
        } else {
            None
        }
    }

    /// A whole number that is not negative, also when it is written as `4.0`.
    pub(crate) fn as_u64(self) -> Option<u64> {
        if self.shape() != Shape::Number {
            return None;
        }
        if let Some((whole, zeros)) = self.0.split_once('.')
            && !zeros.is_empty()
            && zeros.bytes().all(|b| b == b'0')
        {
            return whole.parse().ok();
        }
        self.0.parse().ok()
    }

    /// A string's text, borrowed when it holds no escape.
    pub(crate) fn as_str(self) -> Option<Cow<'a, str>> {
        let inner = self.0.strip_prefix('"')?.strip_suffix('"')?;
        if memchr::memchr(b'\\', inner.as_bytes()).is_none() {
            return Some(Cow::Borrowed(inner));
        }
        serde_json::from_str(self.0).ok().map(Cow::Owned)
    }

    /// The elements, or none when this is no array.
    pub(crate) fn items(self) -> Items<'a> {
        Items {
            rest: self.0.strip_prefix('[').unwrap_or("").trim_ascii_start(),
        }
    }

    /// The fields, or none when this is no object.
    pub(crate) fn fields(self) -> Fields<'a> {
        Fields {
            rest: self.0.strip_prefix('{').unwrap_or("").trim_ascii_start(),
        }
    }

    /// Several fields in one pass, in the order of their names; `null` reads as absent.
    pub(crate) fn pick<const N: usize>(self, names: [&str; N]) -> [Option<Json<'a>>; N] {
        let mut found = [None; N];
        for (key, value) in self.fields() {
            if let Some(i) = names.iter().position(|name| *name == key)
                && found[i].is_none()
                && !value.is_null()
            {
                found[i] = Some(value);
            }
        }
        found
    }

    /// The first field of this name that is written without escapes.
    pub(crate) fn field(self, name: &str) -> Option<Json<'a>> {
        self.fields()
            .find(|(key, _)| *key == name)
            .map(|(_, value)| value)
    }
}

impl<'a> Iterator for Items<'a> {
    type Item = Json<'a>;

    fn next(&mut self) -> Option<Json<'a>> {
        let (value, rest) = split_value(self.rest)?;
        self.rest = after_comma(rest);
        Some(value)
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = (&'a str, Json<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        let (key, rest) = split_value(self.rest)?;
        let key = key.0.strip_prefix('"')?.strip_suffix('"')?;
        let rest = rest
            .trim_ascii_start()
            .strip_prefix(':')?
            .trim_ascii_start();
        let (value, rest) = split_value(rest)?;
        self.rest = after_comma(rest);
        Some((key, value))
    }
}

/// Cuts the value off that `text` starts with.
fn split_value(text: &str) -> Option<(Json<'_>, &str)> {
    let len = value_len(text.as_bytes())?;
    let (value, rest) = text.split_at_checked(len)?;
    Some((Json(value), rest))
}

fn after_comma(rest: &str) -> &str {
    let rest = rest.trim_ascii_start();
    rest.strip_prefix(',').map_or("", str::trim_ascii_start)
}

/// The next value, or the end of what surrounds it.
fn next_value(rest: &str) -> &str {
    let rest = rest.trim_ascii_start();
    rest.strip_prefix(',').map_or(rest, str::trim_ascii_start)
}

fn value_len(text: &[u8]) -> Option<usize> {
    match text.first()? {
        b'"' => string_len(text),
        b'{' | b'[' => {
            let mut open = 0_u32;
            let mut at = 0;
            loop {
                match text.get(at)? {
                    b'"' => at += string_len(&text[at..])?,
                    b'{' | b'[' => {
                        open += 1;
                        at += 1;
                    }
                    b'}' | b']' => {
                        open -= 1;
                        at += 1;
                        if open == 0 {
                            return Some(at);
                        }
                    }
                    _ => at += 1,
                }
            }
        }
        b'}' | b']' | b',' | b':' => None,
        _ => {
            let len = text
                .iter()
                .position(|b| matches!(b, b',' | b'}' | b']' | b' ' | b'\n' | b'\r' | b'\t'));
            Some(len.unwrap_or(text.len()))
        }
    }
}

/// The length of a string with both of its quotes.
fn string_len(text: &[u8]) -> Option<usize> {
    match cross::<Infallible>(text, 1, |_| Ok(2)) {
        Ok(End::Quote(at)) => Some(at + 1),
        // No checked text has one in a string.
        Ok(End::Control(_) | End::Cut) => None,
    }
}
