//! JSON without its long texts, for who reads only what stands around them: how a reply ended and what it used.

use super::strings::{End, cross, escape_len};

/// A longer text is what a model said, or data. Names, words and ids are shorter.
const LONG: usize = 64;
/// What stands for a long text: a text that is not empty, and no word that means anything.
const SHORT: &[u8] = b"~";

/// `body` with a short text in the place of each long one. `None` when it has none, and when a text of it is broken:
/// what is wrong with it is found by reading all of it.
pub(crate) fn shortened(body: &[u8]) -> Option<Vec<u8>> {
    let mut short = Vec::new();
    let (mut copied, mut at) = (0, 0);
    while let Some(to_quote) = body[at..].iter().position(|&byte| byte == b'"') {
        let start = at + to_quote + 1;
        let end = string_end(body, start)?;
        if end - start > LONG {
            short.extend_from_slice(&body[copied..start]);
            short.extend_from_slice(SHORT);
            copied = end;
        }
        at = end + 1;
    }
    if copied == 0 {
        return None;
    }
    short.extend_from_slice(&body[copied..]);
    Some(short)
}

/// The place of the quote that ends the string which begins at `start`.
fn string_end(body: &[u8], start: usize) -> Option<usize> {
    match cross(body, start, |at| escape_len(&body[at..]).ok_or(())) {
        Ok(End::Quote(at)) => Some(at),
        Ok(End::Control(_) | End::Cut) | Err(()) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn short(body: &str) -> Option<String> {
        shortened(body.as_bytes()).map(|short| String::from_utf8(short).unwrap())
    }

    #[test]
    fn long_texts_are_replaced_and_the_rest_is_left() {
        let (just, long) = ("é".repeat(32), format!("\\\"\\u00e9{}", "x".repeat(60)));
        let body = format!(r#"{{"a":"{just}","b":["{long}",1],"{long}":{{"c":"\\"}}}} "#);
        let expected = format!(r#"{{"a":"{just}","b":["~",1],"~":{{"c":"\\"}}}} "#);
        assert_eq!(short(&body), Some(expected));
        assert_eq!(short(&format!(r#"{{"a":"{just}"}}"#)), None);
        assert_eq!(short(""), None);
    }

    #[test]
    fn what_is_broken_is_left_to_who_reads_all_of_it() {
        let long = "x".repeat(100);
        for broken in [
            format!(r#"{{"a":"{long}"#),
            format!(r#"{{"a":"{long}","b":"\"#),
            format!(r#"{{"a":"{long}\q"}}"#),
            format!(r#"{{"a":"{long}\u00g0"}}"#),
            format!(r#"{{"a":"{long}\u12"#),
            format!("{{\"a\":\"{long}\n\"}}"),
        ] {
            assert_eq!(short(&broken), None, "{broken}");
        }
    }
}
