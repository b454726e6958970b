//! A JSON object of which only the top level is read.

use std::{ops::Range, sync::Arc};

use bytes::Bytes;
use tollgate_base::Result;

use crate::{
    json::{
        Json,
        scan::{self, Field, Scanned},
    },
    marks::Marks,
};

/// A JSON object kept as the bytes it came in: its top-level fields are found once, a few may be read or
/// replaced, and everything else is emitted again byte for byte.
///
/// Parsing refuses what must not be passed on: text that is not JSON or not UTF-8 (with the byte offset),
/// anything but an object, a top-level key that occurs twice (also when one of them is escaped), nesting
/// deeper than 64, lone surrogates and numbers no reader agrees on (`1e400`).
#[derive(Clone, Debug)]
pub struct RawObject {
    text: Text,
    /// The same memory as `text`.
    body: Bytes,
    fields: Vec<Field>,
    names: Names,
    marks: Marks,
}

/// A bit for each field's name, so that most names that are not there are known by one look. A request is asked
/// for some forty names and has five.
#[derive(Clone, Copy, Debug, Default)]
struct Names(u64);

/// The body as text that was checked once, shared with the bytes that go out.
#[derive(Clone, Debug)]
struct Text(Arc<String>);

impl AsRef<[u8]> for Text {
    fn as_ref(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl RawObject {
    pub fn parse(body: Bytes) -> Result<Self> {
        let text = scan::text(body)?;
        let Scanned { fields, marks } = scan::object(&text)?;
        let mut names = Names::default();
        for field in &fields {
            match &field.unescaped {
                None => names.add(&text[field.key.clone()]),
                Some(unescaped) => names.add(unescaped),
            }
        }
        let text = Text(Arc::new(text));
        Ok(Self {
            body: Bytes::from_owner(text.clone()),
            text,
            fields,
            names,
            marks,
        })
    }

    /// The JSON text of a field's value.
    #[inline]
    pub fn get(&self, key: &str) -> Option<&str> {
        if self.names.may_have(key) {
            self.find(key)
        } else {
            None
        }
    }

    fn find(&self, key: &str) -> Option<&str> {
        let field = self.fields.iter().find(|field| self.is_named(field, key))?;
        Some(self.text(field.value.clone()))
    }

    /// The top-level fields in order: name and JSON text of the value.
    pub fn fields(&self) -> impl Iterator<Item = (&str, &str)> {
        self.fields
            .iter()
            .map(|field| (self.name(field), self.text(field.value.clone())))
    }

    /// The body as it came.
    pub fn bytes(&self) -> &Bytes {
        &self.body
    }

    /// The words in it that mean files, media, or what a provider keeps and runs.
    pub fn marks(&self) -> Marks {
        self.marks
    }

    /// The body with some top-level fields set (`Some`: replaced in place or appended) or removed (`None`).
    pub fn with(&self, changes: &[(&str, Option<&str>)]) -> Bytes {
        let added: usize = changes
            .iter()
            .map(|(key, value)| key.len() + value.map_or(0, str::len) + 8)
            .sum();
        let mut out = Vec::with_capacity(self.body.len() + added);
        // Text between `{` and the first key, kept for whichever field comes first.
        let lead = self.fields.first().map(|field| field.key.start - 1);
        let open = memchr::memchr(b'{', &self.body).map_or(0, |at| at + 1);
        out.extend_from_slice(&self.body[..lead.unwrap_or(open)]);
        let mut is_empty = true;
        let mut end = lead.unwrap_or(open);
        for field in &self.fields {
            let change = changes.iter().find(|(key, _)| self.is_named(field, key));
            let gap = end..field.key.start - 1;
            end = field.value.end;
            if let Some((_, None)) = change {
                continue;
            }
            if !is_empty {
                out.extend_from_slice(&self.body[gap]);
            }
            is_empty = false;
            if let Some((_, Some(value))) = change {
                out.extend_from_slice(&self.body[field.key.start - 1..field.value.start]);
                out.extend_from_slice(value.as_bytes());
            } else {
                out.extend_from_slice(&self.body[field.key.start - 1..field.value.end]);
            }
        }
        for (key, value) in changes {
            let (Some(value), None) = (value, self.get(key)) else {
                continue;
            };
            if !is_empty {
                out.push(b',');
            }
            is_empty = false;
            out.push(b'"');
            out.extend_from_slice(key.as_bytes());
            out.extend_from_slice(b"\":");
            out.extend_from_slice(value.as_bytes());
        }
        out.extend_from_slice(&self.body[end..]);
        out.into()
    }

    /// A field's value, to be read without building anything. `null` reads as absent.
    pub(crate) fn json(&self, key: &str) -> Option<Json<'_>> {
        self.get(key)
            .map(Json::new)
            .filter(|value| !value.is_null())
    }

    fn is_named(&self, field: &Field, name: &str) -> bool {
        match &field.unescaped {
            None => &self.body[field.key.clone()] == name.as_bytes(),
            Some(unescaped) => **unescaped == *name,
        }
    }

    fn name<'a>(&'a self, field: &'a Field) -> &'a str {
        field
            .unescaped
            .as_deref()
            .unwrap_or_else(|| self.text(field.key.clone()))
    }

    fn text(&self, range: Range<usize>) -> &str {
        &self.text.0[range]
    }
}

// === impl Names ===

impl Names {
    fn add(&mut self, name: &str) {
        self.0 |= Self::bit(name);
    }

    #[inline]
    fn may_have(self, name: &str) -> bool {
        self.0 & Self::bit(name) != 0
    }

    /// The length and both ends tell nearly all names of the dialects apart.
    #[inline]
    fn bit(name: &str) -> u64 {
        let [first, last] = [name.as_bytes().first(), name.as_bytes().last()]
            .map(|byte| byte.copied().map_or(0, usize::from));
        1 << ((first * 5 + last * 3 + name.len() * 7) % 64)
    }
}
