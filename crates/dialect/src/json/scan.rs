//! The one pass that decides whether a body is JSON that may be passed on, where its top-level fields are, and
//! which words are in it that mean files, media or tools. Iterative, so that no nesting can exhaust the stack.

use std::ops::Range;

use bytes::Bytes;
use tollgate_base::{Error, Kind, Result};

use super::strings::{End, cross, escape_len};
use crate::marks::Marks;

/// Containers inside containers, the outermost object included.
const DEPTH_LIMIT: u32 = 64;
/// Top-level fields; no dialect has a quarter of them.
const FIELD_LIMIT: usize = 256;

/// A top-level field: where its key (without quotes) and its value stand.
#[derive(Clone, Debug)]
pub(crate) struct Field {
    pub(crate) key: Range<usize>,
    /// The key's text where it is written with escapes.
    pub(crate) unescaped: Option<Box<str>>,
    pub(crate) value: Range<usize>,
}

/// What the pass found.
#[derive(Debug)]
pub(crate) struct Scanned {
    pub(crate) fields: Vec<Field>,
    pub(crate) marks: Marks,
}

struct Scanner<'a> {
    text: &'a str,
    bytes: &'a [u8],
    at: usize,
    marks: Marks,
}

/// The body as text.
pub(crate) fn text(body: Bytes) -> Result<String> {
    if body.starts_with(b"\xef\xbb\xbf") {
        return Err(invalid_json("a byte order mark is not allowed", 0));
    }
    // Takes the memory over when nobody else holds it.
    String::from_utf8(body.into()).map_err(|fault| {
        let at = fault.utf8_error().valid_up_to();
        encoding(format!("The body is not valid UTF-8 at byte {at}."))
    })
}

/// Checks the whole text and finds the fields of the object it must be.
pub(crate) fn object(text: &str) -> Result<Scanned> {
    let mut scanner = Scanner {
        text,
        bytes: text.as_bytes(),
        at: 0,
        marks: Marks::default(),
    };
    scanner.blank();
    match scanner.peek() {
        None => Err(invalid_json("the body is empty", 0)),
        Some(b'{') => {
            let fields = scanner.object()?;
            Ok(Scanned {
                fields,
                marks: scanner.marks,
            })
        }
        Some(_) => {
            scanner.value(0)?;
            scanner.end()?;
            Err(Error::new(
                Kind::InvalidRequest,
                "invalid_value",
                "The body must be a JSON object.",
            ))
        }
    }
}

impl Scanner<'_> {
    fn object(&mut self) -> Result<Vec<Field>> {
        let mut fields: Vec<Field> = Vec::with_capacity(12);
        self.at += 1;
        self.blank();
        if self.peek() == Some(b'}') {
            self.at += 1;
            return self.end().map(|()| fields);
        }
        loop {
            let field = self.field()?;
            let name = self.name(&field);
            if fields.iter().any(|earlier| self.name(earlier) == name) {
                let message = format!("The field {} occurs twice.", tollgate_base::quote(name));
                return Err(Error::new(Kind::InvalidRequest, "duplicate_field", message)
                    .with_param(name.chars().take(64).collect::<String>()));
            }
            if fields.len() == FIELD_LIMIT {
                return Err(Error::new(
                    Kind::InvalidRequest,
                    "invalid_value",
                    format!("The body has more than {FIELD_LIMIT} top-level fields."),
                ));
            }
            fields.push(field);
            self.blank();
            match self.peek() {
                Some(b',') => {
                    self.at += 1;
                    self.blank();
                }
                Some(b'}') => {
                    self.at += 1;
                    return self.end().map(|()| fields);
                }
                _ => return Err(self.unexpected("`,` or `}`")),
            }
        }
    }

    fn field(&mut self) -> Result<Field> {
        let (key, escaped) = self.key()?;
        let start = self.at;
        self.value(1)?;
        let unescaped = if escaped {
            let quoted = &self.text[key.start - 1..=key.end];
            let name: String = serde_json::from_str(quoted)
                .map_err(|_| invalid_json("a field name is broken", key.start))?;
            Some(name.into_boxed_str())
        } else {
            None
        };
        Ok(Field {
            key,
            unescaped,
            value: start..self.at,
        })
    }

    fn name<'f>(&'f self, field: &'f Field) -> &'f str {
        field
            .unescaped
            .as_deref()
            .unwrap_or(&self.text[field.key.clone()])
    }

    /// Crosses one value. `stack` has one bit for each container that is open: 1 for an object.
    fn value(&mut self, outside: u32) -> Result<()> {
        let mut stack = 0_u64;
        let mut open = 0_u32;
        loop {
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    self.string()?;
                }
                Some(opener @ (b'{' | b'[')) => {
                    let is_object = opener == b'{';
                    if outside + open >= DEPTH_LIMIT {
                        let message = format!(
                            "The body is nested deeper than {DEPTH_LIMIT} levels at byte {}.",
                            self.at
                        );
                        return Err(Error::new(Kind::InvalidRequest, "invalid_value", message));
                    }
                    self.at += 1;
                    self.blank();
                    if self.peek() == Some(if is_object { b'}' } else { b']' }) {
                        self.at += 1;
                    } else {
                        stack = stack << 1 | u64::from(is_object);
                        open += 1;
                        if is_object {
                            self.key()?;
                        }
                        continue;
                    }
                }
                Some(b't') => self.word("true")?,
                Some(b'f') => self.word("false")?,
                Some(b'n') => self.word("null")?,
                Some(b'-' | b'0'..=b'9') => self.number()?,
                _ => return Err(self.unexpected("a value")),
            }
            loop {
                if open == 0 {
                    return Ok(());
                }
                self.blank();
                let in_object = stack & 1 == 1;
                match (self.peek(), in_object) {
                    (Some(b','), _) => {
                        self.at += 1;
                        self.blank();
                        if in_object {
                            self.key()?;
                        }
                        break;
                    }
                    (Some(b'}'), true) | (Some(b']'), false) => {
                        self.at += 1;
                        stack >>= 1;
                        open -= 1;
                    }
                    (_, true) => return Err(self.unexpected("`,` or `}`")),
                    (_, false) => return Err(self.unexpected("`,` or `]`")),
                }
            }
        }
    }

    /// Crosses a key and its colon; the cursor stands on the value.
    fn key(&mut self) -> Result<(Range<usize>, bool)> {
        if self.peek() != Some(b'"') {
            return Err(self.unexpected("a field name in double quotes"));
        }
        self.at += 1;
        let start = self.at;
        let escaped = self.string()?;
        let key = start..self.at - 1;
        self.blank();
        if self.peek() != Some(b':') {
            return Err(self.unexpected("`:`"));
        }
        self.at += 1;
        self.blank();
        Ok((key, escaped))
    }

    /// Crosses the rest of a string, its closing quote included. True when it holds an escape.
    fn string(&mut self) -> Result<bool> {
        let (start, bytes, mut escaped) = (self.at, self.bytes, false);
        let end = cross(bytes, start, |at| {
            escaped = true;
            whole_escape_len(bytes, at)
        })?;
        match end {
            End::Quote(at) => {
                self.marks.note(&bytes[start..at], escaped);
                self.at = at + 1;
                Ok(escaped)
            }
            End::Control(at) => Err(invalid_json("a control character stands in a string", at)),
            End::Cut => {
                self.at = bytes.len();
                Err(self.unexpected("the end of a string"))
            }
        }
    }

    fn number(&mut self) -> Result<()> {
        let start = self.at;
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        let integer = self.at;
        let whole = self.digits()?;
        if whole > 1 && self.bytes[integer] == b'0' {
            return Err(invalid_json("a number starts with a zero", start));
        }
        let mut is_plain = true;
        if self.peek() == Some(b'.') {
            is_plain = false;
            self.at += 1;
            self.digits()?;
        }
        if let Some(b'e' | b'E') = self.peek() {
            is_plain = false;
            self.at += 1;
            if let Some(b'+' | b'-') = self.peek() {
                self.at += 1;
            }
            self.digits()?;
        }
        let text = &self.text[start..self.at];
        // Readers disagree on these: infinity, an error, or another number.
        let is_agreed = if is_plain && text.len() < 300 {
            text != "-0"
        } else {
            text.parse::<f64>().is_ok_and(f64::is_finite)
        };
        if is_agreed {
            return Ok(());
        }
        let message = format!(
            "The number {} at byte {start} cannot be represented.",
            tollgate_base::quote(text)
        );
        Err(Error::new(Kind::InvalidRequest, "invalid_value", message))
    }

    fn digits(&mut self) -> Result<usize> {
        let n = self.bytes[self.at..]
            .iter()
            .take_while(|b| b.is_ascii_digit())
            .count();
        self.at += n;
        if n == 0 {
            Err(self.unexpected("a digit"))
        } else {
            Ok(n)
        }
    }

    fn word(&mut self, word: &'static str) -> Result<()> {
        if !self.bytes[self.at..].starts_with(word.as_bytes()) {
            return Err(self.unexpected("a value"));
        }
        self.at += word.len();
        Ok(())
    }

    fn end(&mut self) -> Result<()> {
        self.blank();
        match self.peek() {
            None => Ok(()),
            Some(_) => Err(self.unexpected("the end of the body")),
        }
    }

    fn blank(&mut self) {
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.peek() {
            self.at += 1;
        }
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn unexpected(&self, wanted: &str) -> Error {
        if self.at >= self.bytes.len() {
            return invalid_json(&format!("it ends where {wanted} is expected"), self.at);
        }
        invalid_json(&format!("{wanted} is expected"), self.at)
    }
}

/// The bytes of the escape at `at`, with its other half where it is one of a pair.
#[inline]
fn whole_escape_len(text: &[u8], at: usize) -> Result<usize> {
    match escape_len(&text[at..]) {
        Some(2) => Ok(2),
        Some(first) => numbered_len(text, at, first),
        None if text.get(at + 1) == Some(&b'u') => Err(few_digits(at)),
        None => Err(invalid_json("an escape is unknown", at)),
    }
}

fn numbered_len(text: &[u8], at: usize, first: usize) -> Result<usize> {
    let (unit, next) = (code_unit(text, at), at + first);
    if !(0xd800..0xe000).contains(&unit) {
        return Ok(first);
    }
    if unit < 0xdc00 && text[next..].starts_with(b"\\u") {
        let second = escape_len(&text[next..]).ok_or_else(|| few_digits(next))?;
        if (0xdc00..0xe000).contains(&code_unit(text, next)) {
            return Ok(first + second);
        }
    }
    Err(encoding(format!(
        "The escape at byte {at} is half of a surrogate pair; the other half is missing."
    )))
}

/// What the four digits of the escape at `at` say.
fn code_unit(text: &[u8], at: usize) -> u32 {
    let digits = text.get(at + 2..at + 6).unwrap_or_default();
    let digit = |byte: &u8| char::from(*byte).to_digit(16).unwrap_or(0);
    digits.iter().fold(0, |unit, byte| unit << 4 | digit(byte))
}

fn few_digits(at: usize) -> Error {
    invalid_json("an escape needs four hexadecimal digits", at)
}

fn invalid_json(what: &str, at: usize) -> Error {
    Error::new(
        Kind::InvalidRequest,
        "invalid_json",
        format!("The body is not valid JSON: {what} (byte {at})."),
    )
}

fn encoding(message: String) -> Error {
    Error::new(Kind::InvalidRequest, "invalid_encoding", message)
}
