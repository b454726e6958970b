//! One call of a tool in a reply: where it ends, and what it says.
//!
//! The text grows at its end and is read again from its beginning, but for the JSON value, which may be long: where its
//! scan stands is kept.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::format::CallFormat;

/// May stand before a bare call.
pub(super) const PYTHON_TAG: &str = "<|python_tag|>";

/// White space around a tag belongs to it as far as this, and names are shorter: a model that writes on and on is read in
/// linear time.
pub(super) const MOST_SKIPPED: usize = 256;

/// What the text after a call's marker is.
pub(super) enum Reading {
    /// More text decides.
    Wait,
    /// No call.
    Malformed,
    Calls {
        calls: Vec<Call>,
        /// Where the text goes on behind them.
        end: usize,
    },
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Call {
    pub(super) name: String,
    /// A JSON object, as the model wrote it.
    pub(super) arguments: String,
}

/// Finds the end of a JSON value. It checks only what it needs to stop early at what is none.
#[derive(Debug, Default)]
pub(super) struct Scan {
    at: usize,
    depth: usize,
    in_string: bool,
    is_escaped: bool,
}

enum Scanned {
    Open,
    Broken,
    End(usize),
}

/// What stands before the JSON value.
enum Header {
    Wait,
    Malformed,
    /// The value begins there; the name is known where it does not stand in the value.
    Json(usize, Option<String>),
}

#[derive(Deserialize)]
struct Written<'a> {
    #[serde(borrow)]
    name: Cow<'a, str>,
    #[serde(borrow)]
    arguments: Option<&'a RawValue>,
    #[serde(borrow)]
    parameters: Option<&'a RawValue>,
}

/// Reads the text after a call's marker. `is_last`: no more text comes.
pub(super) fn read(format: CallFormat, text: &str, scan: &mut Scan, is_last: bool) -> Reading {
    let (start, name) = match header(format, text) {
        Header::Wait => return Reading::Wait,
        Header::Malformed => return Reading::Malformed,
        Header::Json(start, name) => (start, name),
    };
    let end = match scan.run(text, start) {
        Scanned::Open => return Reading::Wait,
        Scanned::Broken => return Reading::Malformed,
        Scanned::End(end) => end,
    };
    // Looked for first: what comes in the meantime must not have the value parsed again.
    let closed_at = match closed(format, text, end, is_last) {
        Closed::Wait => return Reading::Wait,
        Closed::No => return Reading::Malformed,
        Closed::At(closed_at) => closed_at,
    };
    let json = text.get(start..end).unwrap_or_default();
    let calls = match name {
        Some(name) => object(json).map(|arguments| vec![Call { name, arguments }]),
        None if json.starts_with('[') => serde_json::from_str::<Vec<Written<'_>>>(json)
            .ok()
            .and_then(|calls| calls.iter().map(|call| call.read(format)).collect()),
        None => serde_json::from_str::<Written<'_>>(json)
            .ok()
            .and_then(|call| Some(vec![call.read(format)?])),
    };
    match calls {
        Some(calls) if !calls.is_empty() => Reading::Calls {
            calls,
            end: closed_at,
        },
        _ => Reading::Malformed,
    }
}

enum Closed {
    Wait,
    No,
    At(usize),
}

/// Where the call ends, with its closing tag. A reply that ends before the tag has said all of the call.
fn closed(format: CallFormat, text: &str, end: usize, is_last: bool) -> Closed {
    let Some(tag) = format.closing() else {
        return Closed::At(end);
    };
    let rest = text.get(end..).unwrap_or_default();
    let Some(trimmed) = behind(rest, char::is_whitespace) else {
        return Closed::No;
    };
    if trimmed.starts_with(tag) {
        return Closed::At(text.len() - trimmed.len() + tag.len());
    }
    match (tag.starts_with(trimmed), is_last) {
        (true, true) => Closed::At(text.len()),
        (true, false) => Closed::Wait,
        (false, _) => Closed::No,
    }
}

/// What stands between bare calls.
pub(super) fn parts_bare_calls(c: char) -> bool {
    c == ';' || c.is_whitespace()
}

/// The text without what it begins with, where that is not too long.
pub(super) fn behind(text: &str, skipped: impl Fn(char) -> bool) -> Option<&str> {
    let mut rest = text;
    while let Some(after) = rest.strip_prefix(&skipped) {
        rest = after;
        if text.len() - rest.len() > MOST_SKIPPED {
            return None;
        }
    }
    Some(rest)
}

fn header(format: CallFormat, text: &str) -> Header {
    let trimmed = match format {
        CallFormat::Tagged | CallFormat::Mistral => behind(text, char::is_whitespace),
        CallFormat::Bare => behind(text, parts_bare_calls).and_then(|call| {
            let tagged = call.strip_prefix(PYTHON_TAG).unwrap_or(call);
            behind(tagged, char::is_whitespace)
        }),
    };
    let Some(trimmed) = trimmed else {
        return Header::Malformed;
    };
    let start = text.len() - trimmed.len();
    if trimmed.is_empty() {
        return Header::Wait;
    }
    if trimmed.starts_with('{') || format == CallFormat::Mistral && trimmed.starts_with('[') {
        return Header::Json(start, None);
    }
    if format == CallFormat::Mistral {
        named(trimmed, text.len())
    } else {
        Header::Malformed
    }
}

/// `name[CALL_ID]id[ARGS]{`, of which the parts in brackets may be missing.
fn named(trimmed: &str, text_end: usize) -> Header {
    let is_name = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | ':' | '/');
    let Some(after_name) = behind(trimmed, is_name) else {
        return Header::Malformed;
    };
    let name = &trimmed[..trimmed.len() - after_name.len()];
    if name.is_empty() {
        return Header::Malformed;
    }
    let mut rest = after_name;
    for (tag, has_value) in [("[CALL_ID]", true), ("[ARGS]", false)] {
        if let Some(after) = rest.strip_prefix(tag) {
            let value = if has_value {
                behind(after, is_name)
            } else {
                Some(after)
            };
            let Some(after) = value else {
                return Header::Malformed;
            };
            rest = after;
        } else if tag.starts_with(rest) {
            return Header::Wait;
        }
    }
    match behind(rest, char::is_whitespace) {
        Some("") => Header::Wait,
        Some(json) if json.starts_with('{') => {
            Header::Json(text_end - json.len(), Some(name.to_owned()))
        }
        _ => Header::Malformed,
    }
}

/// A JSON object as it is written, or the one that is written inside of a JSON text.
fn object(json: &str) -> Option<String> {
    let parsed: &RawValue = serde_json::from_str(json).ok()?;
    let json = parsed.get().trim();
    if json.starts_with('{') {
        return Some(json.to_owned());
    }
    let inner: String = serde_json::from_str(json).ok()?;
    let value: &RawValue = serde_json::from_str(&inner).ok()?;
    value.get().starts_with('{').then(|| value.get().to_owned())
}

// === impl Written ===

impl Written<'_> {
    fn read(&self, format: CallFormat) -> Option<Call> {
        if self.name.is_empty() {
            return None;
        }
        let arguments = match self.arguments.or(self.parameters) {
            Some(json) => object(json.get())?,
            // An answer in JSON may well have a name; only together with arguments is it a call.
            None if format == CallFormat::Bare => return None,
            None => "{}".to_owned(),
        };
        Some(Call {
            name: self.name.clone().into_owned(),
            arguments,
        })
    }
}

// === impl Scan ===

impl Scan {
    /// Goes on where it stands in the text, whose value begins at `start`.
    fn run(&mut self, text: &str, start: usize) -> Scanned {
        self.at = self.at.max(start);
        while let Some(byte) = text.as_bytes().get(self.at) {
            if self.in_string {
                match byte {
                    _ if self.is_escaped => self.is_escaped = false,
                    b'\\' => self.is_escaped = true,
                    b'"' => self.in_string = false,
                    0..b' ' => return Scanned::Broken,
                    _ => {}
                }
            } else {
                match byte {
                    b'"' => self.in_string = true,
                    b'{' | b'[' => self.depth += 1,
                    b'}' | b']' => {
                        self.depth = self.depth.saturating_sub(1);
                        if self.depth == 0 {
                            // The scan stays here: a longer text has the same end.
                            return Scanned::End(self.at + 1);
                        }
                    }
                    b' ' | b'\t' | b'\r' | b'\n' | b':' | b',' | b'+' | b'-' | b'.' => {}
                    byte if byte.is_ascii_alphanumeric() => {}
                    _ => return Scanned::Broken,
                }
            }
            self.at += 1;
        }
        Scanned::Open
    }
}
