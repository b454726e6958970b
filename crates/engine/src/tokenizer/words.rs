//! BERT's WordPiece: text is cleaned and cut into words, and each word into the longest pieces from its beginning.
//!
//! The file writes pieces that begin a word with `▁` and leaves the `##` of the others out. A word that cannot be made of
//! pieces, or is longer than a hundred characters, is unknown as a whole. The rules are those of
//! <https://github.com/google-research/bert/blob/master/tokenization.py>, as Hugging Face's tokenizers has them.

use std::collections::HashMap;

use unicode_general_category::{GeneralCategory, get_general_category};
use unicode_normalization::UnicodeNormalization;

use super::vocabulary::{Frame, Kind, Listed};
use crate::error::EngineError;
use crate::gguf::Gguf;

const LONGEST_WORD: usize = 100;
const WORD_START: char = '▁';

#[derive(Debug)]
pub(super) struct Words {
    starts: HashMap<Box<str>, u32>,
    continuations: HashMap<Box<str>, u32>,
    /// In characters.
    longest: usize,
    unknown: u32,
    lowercase: bool,
    strip_accents: bool,
}

// === impl Words ===

impl Words {
    pub(super) fn read(file: &Gguf<'_>, listed: &Listed<'_>) -> Result<Words, EngineError> {
        let flag = |key: &str| file.optional_bool(&format!("tokenizer.ggml.{key}"));
        let lowercase = flag("normalizer.lowercase")?.unwrap_or(true);
        let mut words = Words {
            starts: HashMap::new(),
            continuations: HashMap::new(),
            longest: 1,
            unknown: required(file, listed, "unknown_token_id", "[UNK]")?,
            lowercase,
            strip_accents: flag("normalizer.strip_accents")?.unwrap_or(lowercase),
        };
        for (token, text, kind) in listed.iter() {
            if !matches!(kind, Kind::Normal | Kind::UserDefined) || text.is_empty() {
                continue;
            }
            let n_characters = text.chars().count();
            if n_characters > LONGEST_WORD + 1 {
                continue;
            }
            words.longest = words.longest.max(n_characters);
            match text.strip_prefix(WORD_START) {
                Some(start) => words.starts.entry(start.into()).or_insert(token),
                None => words.continuations.entry(text.into()).or_insert(token),
            };
        }
        Ok(words)
    }

    /// The tokens around a text: `[CLS]` and `[SEP]`.
    pub(super) fn frame(file: &Gguf<'_>, listed: &Listed<'_>) -> Result<Frame, EngineError> {
        let begin = match listed.token_key(file, "bos_token_id")? {
            Some(begin) => begin,
            None => required(file, listed, "cls_token_id", "[CLS]")?,
        };
        let end = required(file, listed, "seperator_token_id", "[SEP]")?;
        Ok(Frame {
            begin: Some(begin),
            end: Some(end),
            begin_token: Some(begin),
        })
    }

    pub(super) fn encode(&self, text: &str, tokens: &mut Vec<u32>) {
        let mut word = String::new();
        let mut end_word = |word: &mut String| {
            self.encode_word(word, tokens);
            word.clear();
        };
        let cleaned = text.chars().filter_map(cleaned).flat_map(spaced);
        let mut take = |c: char| {
            if c.is_whitespace() {
                end_word(&mut word);
            } else if is_punctuation(c) {
                end_word(&mut word);
                word.push(c);
                end_word(&mut word);
            } else {
                word.push(c);
            }
        };
        if self.strip_accents {
            cleaned
                .nfd()
                .filter(|c| get_general_category(*c) != GeneralCategory::NonspacingMark)
                .for_each(|c| self.lower(c, &mut take));
        } else {
            cleaned.for_each(|c| self.lower(c, &mut take));
        }
        take(' ');
    }

    fn lower(&self, c: char, take: &mut impl FnMut(char)) {
        if self.lowercase {
            c.to_lowercase().for_each(take);
        } else {
            take(c);
        }
    }

    fn encode_word(&self, word: &str, tokens: &mut Vec<u32>) {
        if word.is_empty() {
            return;
        }
        let n_before = tokens.len();
        if word.chars().count() > LONGEST_WORD {
            tokens.push(self.unknown);
            return;
        }
        let mut rest = word;
        let mut pieces = &self.starts;
        while !rest.is_empty() {
            let ends = rest.char_indices().map(|(at, c)| at + c.len_utf8());
            let ends: Vec<usize> = ends.take(self.longest).collect();
            let found = ends.iter().rev().find_map(|end| {
                let (piece, after) = rest.split_at(*end);
                pieces.get(piece).map(|token| (*token, after))
            });
            let Some((token, after)) = found else {
                tokens.truncate(n_before);
                tokens.push(self.unknown);
                return;
            };
            tokens.push(token);
            rest = after;
            pieces = &self.continuations;
        }
    }
}

/// The bytes of a token: a piece that begins a word has its space.
pub(super) fn decode(text: &str) -> Vec<u8> {
    text.replace(WORD_START, " ").into_bytes()
}

/// The token that the key or, without it, the usual text names.
fn required(
    file: &Gguf<'_>,
    listed: &Listed<'_>,
    key: &str,
    usual: &str,
) -> Result<u32, EngineError> {
    if let Some(token) = listed.token_key(file, key)? {
        return Ok(token);
    }
    listed
        .iter()
        .find_map(|(token, text, _)| (text == usual).then_some(token))
        .ok_or_else(|| {
            EngineError::corrupt(format!(
                "its vocabulary has no {usual}, and the key tokenizer.ggml.{key} is missing"
            ))
        })
}

/// White space as a space, and nothing for what is no text.
fn cleaned(c: char) -> Option<char> {
    if c.is_whitespace() {
        return Some(' ');
    }
    let is_other = matches!(
        get_general_category(c),
        GeneralCategory::Control
            | GeneralCategory::Format
            | GeneralCategory::PrivateUse
            | GeneralCategory::Surrogate
    );
    (!is_other && c != char::REPLACEMENT_CHARACTER).then_some(c)
}

/// Every Chinese character is a word of its own.
fn spaced(c: char) -> impl Iterator<Item = char> {
    let space = is_chinese(c).then_some(' ');
    space.into_iter().chain([c]).chain(space)
}

fn is_chinese(c: char) -> bool {
    // The sixth block should begin at 2B820; the tables of Hugging Face say 2B920, and models are trained with those.
    matches!(u32::from(c),
        0x4e00..=0x9fff | 0x3400..=0x4dbf | 0x2_0000..=0x2_a6df | 0x2_a700..=0x2_b73f | 0x2_b740..=0x2_b81f
        | 0x2_b920..=0x2_ceaf | 0xf900..=0xfaff | 0x2_f800..=0x2_fa1f)
}

fn is_punctuation(c: char) -> bool {
    c.is_ascii_punctuation()
        || matches!(
            get_general_category(c),
            GeneralCategory::ConnectorPunctuation
                | GeneralCategory::DashPunctuation
                | GeneralCategory::OpenPunctuation
                | GeneralCategory::ClosePunctuation
                | GeneralCategory::InitialPunctuation
                | GeneralCategory::FinalPunctuation
                | GeneralCategory::OtherPunctuation
        )
}
