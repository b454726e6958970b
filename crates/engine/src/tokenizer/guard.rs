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
}

// === impl Guard ===

impl Guard {
    /// A guard whose character is in none of the texts.
    pub(crate) fn for_texts<'a>(
        texts: impl Iterator<Item = &'a str>,
    ) -> Result<Guard, EngineError> {
        let taken: BTreeSet<char> = texts
            .flat_map(str::chars)
            .filter(|c| CANDIDATES.contains(c))
            .collect();
        CANDIDATES
            .into_iter()
            .find(|c| !taken.contains(c))
            .map(|character| Guard { character })
            .ok_or_else(|| {
                EngineError::invalid(
                    "messages",
                    "messages use every private-use character of plane 16",
                )
            })
    }

    /// The content, with every special token's text broken.
    pub(crate) fn protect(&self, content: &str, specials: &Specials) -> String {
        let breaks = breaks(content, specials);
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
        if text.contains(self.character) {
            Cow::Owned(text.replace(self.character, ""))
        } else {
            Cow::Borrowed(text)
        }
    }
}

/// Where the guard goes, as byte offsets.
fn breaks(content: &str, specials: &Specials) -> BTreeSet<usize> {
    let mut at = BTreeSet::new();
    // White space at the edges may be trimmed by the template; the guard stays inside of it.
    let trimmed = content.trim();
    let head = content.len() - content.trim_start().len();
    let tail = head + trimmed.len();
    let mut from = 0;
    while let Some(found) = specials.find(content, from) {
        // Broken behind its first character, every special token that begins there is broken.
        let first = content[found.start..].chars().next();
        from = found.start + first.map_or(1, char::len_utf8);
        at.insert(from);
    }
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
    at
}
