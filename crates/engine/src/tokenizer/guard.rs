//! Keeps what callers write from becoming control tokens: contents, names, the texts of tools and of their calls.
//!
//! A user may write `<|im_end|>`; only the template may end a message with it. Contents cannot simply be tokenized
//! apart from the template's text, as merges reach across that border and templates look into contents. So the text
//! of a special token is broken inside every content by a private-use character that occurs nowhere else in the
//! conversation (`U+100000` and up); the template renders around it, specials are looked for in the result, and
//! the character is lifted out before the plain stretches are encoded: `encode_rendered` sees the true content.
//! A content is also broken at an edge where it could complete a special together with the template's text or with
//! another content. This holds for templates that insert contents whole or trimmed; one that cuts contents apart could
//! make new edges.

use std::borrow::Cow;
use std::collections::BTreeSet;

use super::Specials;
use crate::error::EngineError;

const CANDIDATES: std::ops::RangeInclusive<char> = '\u{100000}'..='\u{10fffd}';

#[derive(Debug)]
pub(crate) struct Guard {
    character: char,
    /// As JSON in ASCII writes it.
    escaped: String,
}

// === impl Guard ===

impl Guard {
    /// A guard whose character is in none of the texts.
    pub(crate) fn for_texts<'a>(
        texts: impl Iterator<Item = &'a str>,
    ) -> Result<Guard, EngineError> {
        let mut taken = BTreeSet::new();
        for text in texts {
            taken.extend(text.chars().filter(|c| CANDIDATES.contains(c)));
            taken.extend(escapes(text));
        }
        CANDIDATES
            .into_iter()
            .find(|c| !taken.contains(c))
            .map(Guard::of)
            .ok_or_else(|| {
                EngineError::invalid(
                    "messages",
                    "messages use every private-use character of plane 16",
                )
            })
    }

    fn of(character: char) -> Guard {
        let mut units = [0; 2];
        character.encode_utf16(&mut units);
        let [high, low] = units;
        Guard {
            character,
            escaped: format!("\\u{high:04x}\\u{low:04x}"),
        }
    }

    /// The content, with every special token's text broken.
    pub(crate) fn protect(&self, content: &str, specials: &Specials) -> String {
        let mut at = occurrences(content, specials);
        edges(content, specials, &mut at);
        self.broken(content, at)
    }

    /// A text that the template puts between quotes: nothing beside it can complete a special token.
    pub(crate) fn protect_inside(&self, text: &str, specials: &Specials) -> String {
        self.broken(text, occurrences(text, specials))
    }

    fn broken(&self, content: &str, breaks: BTreeSet<usize>) -> String {
        let mut protected = String::with_capacity(content.len() + breaks.len() * 4);
        let mut from = 0;
        for at in breaks {
            protected.push_str(&content[from..at]);
            protected.push(self.character);
            from = at;
        }
        protected.push_str(&content[from..]);
        protected
    }

    /// The text without the guard.
    pub(crate) fn lift<'a>(&self, text: &'a str) -> Cow<'a, str> {
        if !text.contains(self.character) && !text.contains(&self.escaped) {
            return Cow::Borrowed(text);
        }
        Cow::Owned(text.replace(self.character, "").replace(&self.escaped, ""))
    }
}

/// The candidates that a text has in the form of JSON in ASCII.
fn escapes(text: &str) -> impl Iterator<Item = char> {
    let escaped = text.split("\\u").skip(1).zip(text.split("\\u").skip(2));
    escaped.filter_map(|(high, low)| {
        let unit = |text: &str| u16::from_str_radix(text.get(..4)?, 16).ok();
        let units = [unit(high)?, unit(low)?];
        char::decode_utf16(units).next()?.ok()
    })
}

/// Behind the first character of every special token that the content has whole, as byte offsets.
fn occurrences(content: &str, specials: &Specials) -> BTreeSet<usize> {
    let mut at = BTreeSet::new();
    let mut from = 0;
    while let Some(found) = specials.find(content, from) {
        // Broken here, every special token that begins at this place is broken.
        let first = content[found.start..].chars().next();
        from = found.start + first.map_or(1, char::len_utf8);
        at.insert(from);
    }
    at
}

/// The edges at which the content could complete a special token together with what stands beside it.
fn edges(content: &str, specials: &Specials, at: &mut BTreeSet<usize>) {
    // White space at the edges may be trimmed by the template; the guard stays inside of it.
    let trimmed = content.trim();
    let head = content.len() - content.trim_start().len();
    let tail = head + trimmed.len();
    for special in specials.all() {
        let text = special.text.as_str();
        let inner = || text.char_indices().skip(1).map(|(i, _)| i);
        let within = !trimmed.is_empty() && text.contains(trimmed);
        if within || inner().any(|i| trimmed.starts_with(&text[i..])) {
            at.insert(head);
        }
        if within || inner().any(|i| trimmed.ends_with(&text[..i])) {
            at.insert(tail);
        }
    }
}
