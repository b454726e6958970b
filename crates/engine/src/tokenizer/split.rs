//! Cuts a text into the pieces within which alone byte-level BPE merges.
//!
//! Each pattern is one of the published regular expressions, written out: what the expression would try in turn is tried
//! in the same turn, in one pass and without going back further than a piece. No linear-time expression crate takes their
//! look-ahead. No run of text makes this slow: a scan that looks beyond its piece is followed by pieces that consume what
//! was looked at. Sources: openai/gpt-2 `encoder.py`, tiktoken `openai_public.py`, and the tokenizer.json of the models.

use unicode_general_category::{GeneralCategory, get_general_category};

/// Which expression cuts the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pattern {
    /// `'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`
    Gpt2,
    /// Every `\p{N}` is a piece, and what is between them is cut as `Gpt2`.
    Gpt2SingleDigits,
    /// `(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`
    Llama3,
    /// As `Llama3` with `\p{N}`.
    Qwen2,
    /// Words that go from upper to lower case, `\p{N}{1,3}`, and `[\r\n/]*` behind punctuation; contractions belong to the
    /// word before.
    Gpt4o,
    /// As `Gpt4o` with `\p{N}` and without contractions.
    Tekken,
}

/// A letter: `\p{L}`.
const LETTER: u8 = 1;
/// What may stand at the front of a cased word: `[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]`.
const FRONT: u8 = 2;
/// What may stand at the back of a cased word: `[\p{Ll}\p{Lm}\p{Lo}\p{M}]`.
const BACK: u8 = 4;
/// A number: `\p{N}`.
const NUMBER: u8 = 8;
/// White space: `\s`.
const SPACE: u8 = 16;

/// The classes of every ASCII character; the others are looked up.
static ASCII: [u8; 128] = ascii_classes();

/// The character at a place, with its classes and the offset behind it.
#[derive(Clone, Copy)]
struct Seen {
    c: char,
    class: u8,
    end: usize,
}

// === impl Pattern ===

impl Pattern {
    /// Gives every piece in order; together they are `text`.
    pub(super) fn each_piece(self, text: &str, take: &mut impl FnMut(&str)) {
        if self != Pattern::Gpt2SingleDigits {
            return self.cut(text, take);
        }
        let mut from = 0;
        let numbers = text.char_indices().filter(|(_, c)| class(*c) & NUMBER != 0);
        for (at, c) in numbers {
            let end = at + c.len_utf8();
            self.cut(&text[from..at], take);
            take(&text[at..end]);
            from = end;
        }
        self.cut(&text[from..], take);
    }

    fn cut(self, mut text: &str, take: &mut impl FnMut(&str)) {
        while let Some(first) = look(text, 0) {
            let length = match self {
                Pattern::Gpt2 | Pattern::Gpt2SingleDigits => gpt2_piece(text, first),
                Pattern::Llama3 => llama_piece(text, first, 3),
                Pattern::Qwen2 => llama_piece(text, first, 1),
                Pattern::Gpt4o => cased_piece(text, first, 3, true),
                Pattern::Tekken => cased_piece(text, first, 1, false),
            };
            let (piece, rest) = text.split_at(length);
            take(piece);
            text = rest;
        }
    }
}

/// Where the first piece ends, by the pattern of GPT-2.
fn gpt2_piece(text: &str, first: Seen) -> usize {
    const CONTRACTIONS: [&str; 7] = ["'s", "'t", "'re", "'ve", "'m", "'ll", "'d"];
    if first.c == '\'' {
        let contraction = CONTRACTIONS.iter().find(|c| text.starts_with(**c));
        if let Some(contraction) = contraction {
            return contraction.len();
        }
    }
    let start = if first.c == ' ' { first.end } else { 0 };
    let end = match look(text, start).map(|seen| seen.class) {
        Some(class) if class & LETTER != 0 => run(text, start, |seen| seen & LETTER != 0),
        Some(class) if class & NUMBER != 0 => run(text, start, |seen| seen & NUMBER != 0),
        Some(class) if class & SPACE == 0 => run(text, start, is_other),
        _ => start,
    };
    if end > start {
        end
    } else {
        white_space(text).piece(text)
    }
}

/// Where the first piece ends, by the pattern of Llama 3.
fn llama_piece(text: &str, first: Seen, most_digits: usize) -> usize {
    if let Some(end) = contraction(text, 0) {
        return end;
    }
    let is_letter = |class| class & LETTER != 0;
    if is_letter(first.class) {
        return run(text, first.end, is_letter);
    }
    if may_lead(first) {
        let end = run(text, first.end, is_letter);
        if end > first.end {
            return end;
        }
    }
    if first.class & NUMBER != 0 {
        return digits(text, first, most_digits);
    }
    punctuation(text, first, |byte| matches!(byte, b'\r' | b'\n'))
        .unwrap_or_else(|| white_space(text).line_piece(text))
}

/// Where the first piece ends, by the pattern of GPT-4o.
fn cased_piece(text: &str, first: Seen, most_digits: usize, has_contractions: bool) -> usize {
    if let Some(end) = cased_word(text, first) {
        let contraction = has_contractions.then(|| contraction(text, end)).flatten();
        return contraction.unwrap_or(end);
    }
    if first.class & NUMBER != 0 {
        return digits(text, first, most_digits);
    }
    punctuation(text, first, |byte| matches!(byte, b'\r' | b'\n' | b'/'))
        .unwrap_or_else(|| white_space(text).line_piece(text))
}

/// `[^\r\n\p{L}\p{N}]`, the one character that may lead a word.
fn may_lead(seen: Seen) -> bool {
    seen.class & (LETTER | NUMBER) == 0 && !matches!(seen.c, '\r' | '\n')
}

/// The two cased words: `lead? front* back+`, else `lead? front+ back*`.
fn cased_word(text: &str, first: Seen) -> Option<usize> {
    if may_lead(first) {
        let start = first.end;
        let (front, word) = front_run(text, start);
        if word.is_some() {
            return word;
        }
        // Without its lead a word can begin here only with a mark, which is front and back at once.
        if first.class & BACK != 0 {
            return Some(first.end);
        }
        return (front > start).then_some(front);
    }
    if first.class & LETTER == 0 {
        return None;
    }
    let (front, word) = front_run(text, 0);
    Some(word.unwrap_or(front))
}

/// Where the run of what may stand at the front ends, and where `front* back+` ends: the pattern takes all the front it
/// can and gives back only as much as the back needs.
fn front_run(text: &str, start: usize) -> (usize, Option<usize>) {
    let mut at = start;
    let mut last_back = None;
    while let Some(seen) = look(text, at)
        && seen.class & FRONT != 0
    {
        at = seen.end;
        if seen.class & BACK != 0 {
            last_back = Some(at);
        }
    }
    let end = run(text, at, |class| class & BACK != 0);
    let word = if end > at { Some(end) } else { last_back };
    (at, word)
}

/// `'(?i:[sdmt]|ll|ve|re)`: where it ends if it begins at `at`.
fn contraction(text: &str, at: usize) -> Option<usize> {
    let rest = text.as_bytes().get(at..)?.strip_prefix(b"'")?;
    match rest {
        [b's' | b'S' | b'd' | b'D' | b'm' | b'M' | b't' | b'T', ..] => Some(at + 2),
        [b'l' | b'L', b'l' | b'L', ..] | [b'v' | b'V' | b'r' | b'R', b'e' | b'E', ..] => {
            Some(at + 3)
        }
        // The long s is an s to a pattern that ignores case.
        _ if rest.starts_with("ſ".as_bytes()) => Some(at + 1 + 'ſ'.len_utf8()),
        _ => None,
    }
}

/// `\p{N}{1,most}`
fn digits(text: &str, first: Seen, most: usize) -> usize {
    let mut end = first.end;
    for _ in 1..most {
        match look(text, end) {
            Some(seen) if seen.class & NUMBER != 0 => end = seen.end,
            _ => break,
        }
    }
    end
}

/// ` ?[^\s\p{L}\p{N}]+` and the bytes of the tail that follow it.
fn punctuation(text: &str, first: Seen, tail: impl Fn(u8) -> bool) -> Option<usize> {
    let start = if first.c == ' ' { first.end } else { 0 };
    let mut end = run(text, start, is_other);
    if end == start {
        return None;
    }
    while text.as_bytes().get(end).is_some_and(|byte| tail(*byte)) {
        end += 1;
    }
    Some(end)
}

/// The run of white space with which a text begins, and where the parts of it end that the patterns ask for.
struct WhiteSpace {
    end: usize,
    behind_last_line_end: Option<usize>,
    last: usize,
    first_end: usize,
}

fn white_space(text: &str) -> WhiteSpace {
    let mut found = WhiteSpace {
        end: 0,
        behind_last_line_end: None,
        last: 0,
        first_end: 0,
    };
    while let Some(seen) = look(text, found.end)
        && seen.class & SPACE != 0
    {
        if found.end == 0 {
            found.first_end = seen.end;
        }
        found.last = found.end;
        found.end = seen.end;
        if matches!(seen.c, '\r' | '\n') {
            found.behind_last_line_end = Some(seen.end);
        }
    }
    found
}

impl WhiteSpace {
    /// `\s*[\r\n]+|\s+(?!\S)|\s+`
    fn line_piece(&self, text: &str) -> usize {
        self.behind_last_line_end
            .unwrap_or_else(|| self.piece(text))
    }

    /// `\s+(?!\S)|\s+`
    fn piece(&self, text: &str) -> usize {
        if self.end == text.len() {
            return self.end;
        }
        // The last white space before a word belongs to the word, unless it is the only one.
        self.last.max(self.first_end)
    }
}

fn look(text: &str, at: usize) -> Option<Seen> {
    let byte = *text.as_bytes().get(at)?;
    if let Some(class) = ASCII.get(usize::from(byte)) {
        return Some(Seen {
            c: char::from(byte),
            class: *class,
            end: at + 1,
        });
    }
    let c = text.get(at..)?.chars().next()?;
    Some(Seen {
        c,
        class: class(c),
        end: at + c.len_utf8(),
    })
}

/// Where the run of characters of such a class that begins at `at` ends.
fn run(text: &str, mut at: usize, belongs: impl Fn(u8) -> bool) -> usize {
    while let Some(seen) = look(text, at)
        && belongs(seen.class)
    {
        at = seen.end;
    }
    at
}

/// `[^\s\p{L}\p{N}]`
fn is_other(class: u8) -> bool {
    class & (SPACE | LETTER | NUMBER) == 0
}

fn class(c: char) -> u8 {
    if let Some(class) = ASCII.get(c as usize) {
        return *class;
    }
    match get_general_category(c) {
        GeneralCategory::UppercaseLetter | GeneralCategory::TitlecaseLetter => LETTER | FRONT,
        GeneralCategory::LowercaseLetter => LETTER | BACK,
        GeneralCategory::ModifierLetter | GeneralCategory::OtherLetter => LETTER | FRONT | BACK,
        GeneralCategory::NonspacingMark
        | GeneralCategory::SpacingMark
        | GeneralCategory::EnclosingMark => FRONT | BACK,
        GeneralCategory::DecimalNumber
        | GeneralCategory::LetterNumber
        | GeneralCategory::OtherNumber => NUMBER,
        _ if c.is_whitespace() => SPACE,
        _ => 0,
    }
}

const fn ascii_classes() -> [u8; 128] {
    let mut classes = [0; 128];
    let mut byte = 0u8;
    while byte < 128 {
        classes[byte as usize] = match byte {
            b'A'..=b'Z' => LETTER | FRONT,
            b'a'..=b'z' => LETTER | BACK,
            b'0'..=b'9' => NUMBER,
            b'\t'..=b'\r' | b' ' => SPACE,
            _ => 0,
        };
        byte += 1;
    }
    classes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(pattern: Pattern, text: &str, expect: &[&str]) {
        let mut pieces = Vec::new();
        pattern.each_piece(text, &mut |piece| pieces.push(piece.to_owned()));
        assert_eq!(pieces, expect, "{pattern:?} {text:?}");
    }

    #[test]
    fn text_splits_as_gpt2_does() {
        let check = |text, expect: &[&str]| check(Pattern::Gpt2, text, expect);
        check("", &[]);
        check("Hello world", &["Hello", " world"]);
        check(
            "it's we'll I'd 'tis",
            &["it", "'s", " we", "'ll", " I", "'d", " '", "tis"],
        );
        check("a1b22 33", &["a", "1", "b", "22", " 33"]);
        check("a  b", &["a", " ", " b"]);
        check("a   b", &["a", "  ", " b"]);
        check("a \n b", &["a", " \n", " b"]);
        check("a\nb", &["a", "\n", "b"]);
        check("a\n\nb", &["a", "\n", "\n", "b"]);
        check("a  ", &["a", "  "]);
        check("user\nWhat?!", &["user", "\n", "What", "?!"]);
        check("你好，世界 ½", &["你好", "，", "世界", " ½"]);
        check("नमस्ते", &["नमस", "्", "त", "े"]);
        check("Ⓐb", &["Ⓐ", "b"]);
        check("x 🙂🙂y", &["x", " 🙂🙂", "y"]);
        check("\u{a0}a", &["\u{a0}", "a"]);
    }

    #[test]
    fn single_digits_end_what_is_before_them() {
        let check = |text, expect: &[&str]| check(Pattern::Gpt2SingleDigits, text, expect);
        check("a12 3", &["a", "1", "2", " ", "3"]);
        check("a  1  b", &["a", "  ", "1", " ", " b"]);
    }

    #[test]
    fn newer_patterns_differ_where_they_should() {
        let text = "It'S 12345 a\n\n b///\nFooBar";
        check(
            Pattern::Llama3,
            text,
            &[
                "It", "'S", " ", "123", "45", " a", "\n\n", " b", "///\n", "FooBar",
            ],
        );
        check(Pattern::Qwen2, "12 don't", &["1", "2", " don", "'t"]);
        check(
            Pattern::Gpt4o,
            text,
            &[
                "It'S", " ", "123", "45", " a", "\n\n", " b", "///\n", "Foo", "Bar",
            ],
        );
        check(
            Pattern::Tekken,
            "It's 12 ./\n/x",
            &["It", "'s", " ", "1", "2", " ./\n/", "x"],
        );
    }
}
