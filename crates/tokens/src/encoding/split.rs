//! Cuts a text into the pieces that are encoded each on its own.
//!
//! Each function is one of the published patterns, written out: what the pattern would try in turn is tried in the same turn, in
//! one pass and without going back further than a piece. Source of the patterns: tiktoken, `tiktoken_ext/openai_public.py`.
//!
//! No run of text makes this slow: a scan that looks beyond the piece it returns is followed by pieces that
//! consume what was looked at.

use unicode_general_category::{GeneralCategory, get_general_category};

/// A letter: `\p{L}`.
const LETTER: u8 = 1;
/// What may stand at the front of a word of o200k: `[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]`.
const FRONT: u8 = 2;
/// What may stand at the back of a word of o200k: `[\p{Ll}\p{Lm}\p{Lo}\p{M}]`.
const BACK: u8 = 4;
/// A number: `\p{N}`.
const NUMBER: u8 = 8;
/// White space: `\s`.
const SPACE: u8 = 16;

/// The classes of every ASCII character; the others are looked up.
static ASCII: [u8; 128] = ascii_classes();

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

/// The character at `at` with its classes and the offset behind it.
#[derive(Clone, Copy)]
struct Seen {
    c: char,
    class: u8,
    end: usize,
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

/// Where the run of characters of any of `classes` that begins at `at` ends.
fn run(text: &str, mut at: usize, classes: u8) -> usize {
    while let Some(seen) = look(text, at)
        && seen.class & classes != 0
    {
        at = seen.end;
    }
    at
}

/// Where the piece that begins at `at` ends, by the pattern of cl100k_base.
pub(super) fn cl100k_piece(text: &str, at: usize) -> usize {
    let Some(first) = look(text, at) else {
        return text.len();
    };
    if let Some(end) = contraction(text, at) {
        return end;
    }
    if first.class & LETTER != 0 {
        return run(text, first.end, LETTER);
    }
    if may_lead(first) {
        let end = run(text, first.end, LETTER);
        if end > first.end {
            return end;
        }
    }
    if first.class & NUMBER != 0 {
        return digits(text, first);
    }
    if let Some(end) = punctuation(text, at, first, |byte| matches!(byte, b'\r' | b'\n')) {
        return end;
    }
    let run = white_space(text, at);
    // This pattern takes the white space that ends a text whole, before it looks for line ends in it.
    if run.end == text.len() {
        return run.end;
    }
    run.piece(text)
}

/// Where the piece that begins at `at` ends, by the pattern of o200k_base.
pub(super) fn o200k_piece(text: &str, at: usize) -> usize {
    let Some(first) = look(text, at) else {
        return text.len();
    };
    if let Some(end) = word(text, at, first) {
        return contraction(text, end).unwrap_or(end);
    }
    if first.class & NUMBER != 0 {
        return digits(text, first);
    }
    let tail = |byte| matches!(byte, b'\r' | b'\n' | b'/');
    if let Some(end) = punctuation(text, at, first, tail) {
        return end;
    }
    white_space(text, at).piece(text)
}

/// `[^\r\n\p{L}\p{N}]`, the one character that may lead a word.
fn may_lead(seen: Seen) -> bool {
    seen.class & (LETTER | NUMBER) == 0 && !matches!(seen.c, '\r' | '\n')
}

/// The two word patterns of o200k: `lead? front* back+`, else `lead? front+ back*`.
fn word(text: &str, at: usize, first: Seen) -> Option<usize> {
    if may_lead(first) {
        let start = first.end;
        let front = front_run(text, start);
        if let Some(end) = front.word_end(text) {
            return Some(end);
        }
        // Without its lead a word can begin here only with a mark, which is front and back at once.
        if first.class & BACK != 0 {
            return Some(first.end);
        }
        return (front.end > start).then_some(front.end);
    }
    if first.class & LETTER == 0 {
        return None;
    }
    let front = front_run(text, at);
    Some(front.word_end(text).unwrap_or(front.end))
}

/// A run of characters that may stand at the front of a word.
struct FrontRun {
    end: usize,
    /// Behind the last of them that may stand at the back as well.
    last_back: Option<usize>,
}

fn front_run(text: &str, mut at: usize) -> FrontRun {
    let mut last_back = None;
    while let Some(seen) = look(text, at)
        && seen.class & FRONT != 0
    {
        at = seen.end;
        if seen.class & BACK != 0 {
            last_back = Some(at);
        }
    }
    FrontRun { end: at, last_back }
}

impl FrontRun {
    /// The end of `front* back+`: the pattern takes all the front it can and gives back only as much as the back needs.
    fn word_end(&self, text: &str) -> Option<usize> {
        let end = run(text, self.end, BACK);
        if end > self.end {
            return Some(end);
        }
        self.last_back
    }
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

/// `\p{N}{1,3}`
fn digits(text: &str, first: Seen) -> usize {
    let mut end = first.end;
    for _ in 0..2 {
        match look(text, end) {
            Some(seen) if seen.class & NUMBER != 0 => end = seen.end,
            _ => break,
        }
    }
    end
}

/// ` ?[^\s\p{L}\p{N}]+` and the bytes of the tail that follow it.
fn punctuation(text: &str, at: usize, first: Seen, tail: impl Fn(u8) -> bool) -> Option<usize> {
    let start = if first.c == ' ' { first.end } else { at };
    let mut end = start;
    while let Some(seen) = look(text, end)
        && seen.class & (SPACE | LETTER | NUMBER) == 0
    {
        end = seen.end;
    }
    if end == start {
        return None;
    }
    while let Some(byte) = text.as_bytes().get(end)
        && tail(*byte)
    {
        end += 1;
    }
    Some(end)
}

/// A run of white space, and where the parts of it end that the patterns ask for.
struct WhiteSpace {
    end: usize,
    behind_last_line_end: Option<usize>,
    last: usize,
    first_end: usize,
}

fn white_space(text: &str, start: usize) -> WhiteSpace {
    let mut found = WhiteSpace {
        end: start,
        behind_last_line_end: None,
        last: start,
        first_end: start,
    };
    while let Some(seen) = look(text, found.end)
        && seen.class & SPACE != 0
    {
        if found.end == start {
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
    fn piece(&self, text: &str) -> usize {
        if let Some(end) = self.behind_last_line_end {
            return end;
        }
        if self.end == text.len() {
            return self.end;
        }
        // The last white space before a word belongs to the word, unless it is the only one.
        self.last.max(self.first_end)
    }
}

/// The last place in `text` where it can be cut so that both parts split on their own exactly as the whole does, whatever follows.
///
/// Such a place is behind a letter or number and before a character that is neither, nor a mark, nor an apostrophe. No piece
/// of either pattern holds a letter or number followed by such a character, and no scan over the left part depends on which of
/// them stands there.
pub(super) fn last_safe_cut(text: &str) -> Option<usize> {
    let mut next = None;
    for (at, c) in text.char_indices().rev() {
        let class = class(c);
        if class & (LETTER | NUMBER) != 0 && next.is_some() {
            return next;
        }
        let separates = class & (LETTER | NUMBER | FRONT | BACK) == 0 && c != '\'';
        next = separates.then_some(at);
    }
    None
}
