//! Ids and names that must fit another alphabet. Every mapping is a pure function of its input, so that the
//! same conversation is rendered to the same bytes in every turn: prompt caches and preserved thinking
//! depend on it (traps T17, T20).

use std::borrow::Cow;

use tollgate_base::base62;

/// FNV-1a with 128 bits: no secret hangs on it, only that two ids of one conversation do not meet.
fn hash(parts: &[&str]) -> u128 {
    const OFFSET: u128 = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d;
    const PRIME: u128 = 0x0000_0000_0100_0000_0000_0000_0000_013b;
    let mut hash = OFFSET;
    for part in parts {
        // The 0xff between parts cannot occur in UTF-8.
        for byte in part.bytes().chain([0xff]) {
            hash = (hash ^ u128::from(byte)).wrapping_mul(PRIME);
        }
    }
    hash
}

/// `call_` and 22 characters, for a provider that gives its tool calls no ids.
pub(crate) fn made_call_id(reply_id: &str, name: &str, n: usize) -> String {
    let mut out = String::from("call_");
    base62(hash(&[reply_id, name, &n.to_string()]), 22, &mut out);
    out
}

/// The id as letters and digits of exactly this number; one that already is stays.
pub(crate) fn call_id_of_length(id: &str, length: usize) -> Cow<'_, str> {
    if id.len() == length && id.bytes().all(|b| b.is_ascii_alphanumeric()) {
        return Cow::Borrowed(id);
    }
    let mut out = String::new();
    base62(hash(&[id]), length, &mut out);
    Cow::Owned(out)
}

/// The id in Anthropic's alphabet, `^[a-zA-Z0-9_-]+$`.
pub(crate) fn call_id_of_word_characters(id: &str) -> Cow<'_, str> {
    if !id.is_empty() && id.bytes().all(is_word_byte) {
        return Cow::Borrowed(id);
    }
    Cow::Owned(shortened(id, 64))
}

/// The id within this many bytes.
pub(crate) fn call_id_within(id: &str, limit: usize) -> Cow<'_, str> {
    if (1..=limit).contains(&id.len()) {
        return Cow::Borrowed(id);
    }
    Cow::Owned(shortened(id, limit))
}

/// The id of the nth item of a reply: the prefix and 24 characters.
pub(crate) fn item_id(prefix: &str, reply_id: &str, n: usize) -> String {
    let mut out = String::from(prefix);
    base62(hash(&[prefix, reply_id, &n.to_string()]), 24, &mut out);
    out
}

/// A tool's name in `^[a-zA-Z0-9_-]{1,limit}$`.
pub(crate) fn tool_name(name: &str, limit: usize) -> Cow<'_, str> {
    if (1..=limit).contains(&name.len()) && name.bytes().all(is_word_byte) {
        return Cow::Borrowed(name);
    }
    Cow::Owned(shortened(name, limit))
}

fn is_word_byte(b: u8) -> bool {
    b.is_ascii_alphanumeric() || b == b'_' || b == b'-'
}

/// As much of the text as fits, other characters as `_`, and 8 characters that tell it from its like.
fn shortened(text: &str, limit: usize) -> String {
    const TAIL: usize = 8;
    let mut out: String = text
        .chars()
        .take(limit.saturating_sub(TAIL + 1))
        .map(|c| {
            if c.is_ascii_alphanumeric() || c == '_' || c == '-' {
                c
            } else {
                '_'
            }
        })
        .collect();
    out.push('_');
    base62(hash(&[text]), TAIL, &mut out);
    out
}

/// A reply's id in a dialect's form: one that has the prefix stays.
pub(crate) fn reply_id(prefix: &str, id: &str, suffix: &str) -> String {
    if id.starts_with(prefix) {
        return id.to_owned();
    }
    if !suffix.is_empty() {
        return format!("{prefix}{suffix}");
    }
    let mut out = String::from(prefix);
    base62(hash(&[id]), 22, &mut out);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn t17_ids_are_mapped_the_same_way_every_time() {
        let mapped = call_id_of_length("call_abc", 9);
        assert_eq!(mapped, call_id_of_length("call_abc", 9));
        assert_ne!(mapped, call_id_of_length("call_abd", 9));
        assert_eq!(mapped.len(), 9);
        assert_eq!(call_id_of_length("abcdefgh9", 9), "abcdefgh9");
        assert_eq!(call_id_of_word_characters("toolu_01-a"), "toolu_01-a");
        assert!(call_id_of_word_characters("functions.get:0").starts_with("functions_get_0_"));
        assert!(!call_id_of_word_characters("").is_empty());
    }

    #[test]
    fn a_long_name_keeps_its_beginning_and_stays_distinct() {
        let (a, b) = ("x".repeat(70) + "a", "x".repeat(70) + "b");
        assert_eq!(tool_name(&a, 64).len(), 64);
        assert_ne!(tool_name(&a, 64), tool_name(&b, 64));
        assert_eq!(tool_name("get.weather", 64), tool_name("get.weather", 64));
        assert!(tool_name("get.weather", 64).starts_with("get_weather_"));
    }
}
