//! SentencePiece's BPE: characters are merged by the scores of the pieces that they make, and a character that is no
//! piece becomes its bytes.
//!
//! Spaces are written `▁`. Only ordinary, user-defined and unused pieces are ever made by merging, so no text can make a
//! control token; an unused piece is taken apart again (<https://github.com/google/sentencepiece>, `bpe_model.cc`).

use std::collections::HashMap;

use super::merge::Merges;
use super::vocabulary::{Kind, Listed};
use crate::error::EngineError;
use crate::gguf::Gguf;

const SPACE: char = '▁';

/// Longer pieces are not made by merging; trained vocabularies stay far below. Keeps a hostile file from being slow.
const LONGEST_PIECE: usize = 256;

#[derive(Debug)]
pub(super) struct Pieces {
    /// Characters that are pieces, or are no piece but part of one; these have ids beyond the vocabulary.
    characters: HashMap<char, u32>,
    merges: Merges,
    byte_tokens: Vec<Option<u32>>,
    unknown: Option<u32>,
    n_tokens: u32,
    /// The characters with ids beyond the vocabulary, in the order of these.
    inner: Vec<char>,
    adds_space: bool,
}

// === impl Pieces ===

impl Pieces {
    pub(super) fn read(file: &Gguf<'_>, listed: &Listed<'_>) -> Result<Pieces, EngineError> {
        let n_tokens = u32::try_from(listed.texts.len())
            .map_err(|_| EngineError::corrupt("its vocabulary has an unusable size"))?;
        let ranks = ranks(file, listed.texts.len())?;
        let mut byte_tokens = vec![None; 256];
        for (token, text, kind) in listed.iter() {
            if kind == Kind::Byte {
                byte_tokens[usize::from(byte_of(token, text)?)] = Some(token);
            }
        }
        let mut characters = characters(listed);
        let mut inner = Vec::new();
        let mut number = |character| {
            *characters.entry(character).or_insert_with(|| {
                let beyond = u32::try_from(inner.len()).unwrap_or(u32::MAX);
                inner.push(character);
                n_tokens.saturating_add(beyond)
            })
        };
        let merges = merges(listed, &ranks, &mut number);
        Ok(Pieces {
            merges,
            characters,
            inner,
            byte_tokens,
            unknown: listed.token_key(file, "unknown_token_id")?.or(listed
                .iter()
                .find_map(|(token, _, kind)| (kind == Kind::Unknown).then_some(token))),
            n_tokens,
            adds_space: file
                .optional_bool("tokenizer.ggml.add_space_prefix")?
                .unwrap_or(true),
        })
    }

    /// `after_special`: the text begins the whole or follows a special token.
    pub(super) fn encode(&self, text: &str, after_special: bool, tokens: &mut Vec<u32>) {
        let space = (self.adds_space && after_special && !text.is_empty()).then_some(' ');
        // Characters that no piece has end the merging, so each stretch between them is merged apart.
        let mut stretch = Vec::new();
        for c in space.into_iter().chain(text.chars()) {
            let c = if c == ' ' { SPACE } else { c };
            if let Some(symbol) = self.characters.get(&c) {
                stretch.push(*symbol);
            } else {
                self.merge(&mut stretch, tokens);
                self.fall_back(c, tokens);
            }
        }
        self.merge(&mut stretch, tokens);
    }

    fn merge(&self, stretch: &mut Vec<u32>, tokens: &mut Vec<u32>) {
        let mut merged = Vec::new();
        self.merges.apply(stretch.drain(..), &mut merged);
        for symbol in merged {
            match symbol.checked_sub(self.n_tokens) {
                None => tokens.push(symbol),
                Some(beyond) => {
                    if let Some(character) = self.inner.get(beyond as usize) {
                        self.fall_back(*character, tokens);
                    }
                }
            }
        }
    }

    /// A character that is no piece: its bytes, or the unknown token, once for a run of such characters.
    fn fall_back(&self, character: char, tokens: &mut Vec<u32>) {
        let mut buffer = [0; 4];
        let bytes = character.encode_utf8(&mut buffer).bytes();
        let as_bytes: Option<Vec<u32>> = bytes
            .map(|byte| self.byte_tokens[usize::from(byte)])
            .collect();
        match as_bytes {
            Some(bytes) => tokens.extend(bytes),
            None if tokens.last().copied() == self.unknown => {}
            None => tokens.extend(self.unknown),
        }
    }
}

/// The bytes of a token.
pub(super) fn decode(token: u32, text: &str, kind: Kind) -> Result<Vec<u8>, EngineError> {
    if kind == Kind::Byte {
        return Ok(vec![byte_of(token, text)?]);
    }
    Ok(text.replace(SPACE, " ").into_bytes())
}

/// `<0x0A>`
fn byte_of(token: u32, text: &str) -> Result<u8, EngineError> {
    text.strip_prefix("<0x")
        .and_then(|rest| rest.strip_suffix('>'))
        .filter(|digits| digits.len() == 2)
        .and_then(|digits| u8::from_str_radix(digits, 16).ok())
        .ok_or_else(|| {
            EngineError::corrupt(format!(
                "token {token} of its vocabulary is a byte written {text:?}, not as <0x00>"
            ))
        })
}

fn is_piece(kind: Kind) -> bool {
    matches!(kind, Kind::Normal | Kind::UserDefined | Kind::Unused)
}

/// The tokens of a single character.
fn characters(listed: &Listed<'_>) -> HashMap<char, u32> {
    let mut characters = HashMap::new();
    for (token, text, kind) in listed.iter() {
        let mut chars = text.chars();
        if let (Some(character), None, true) = (chars.next(), chars.next(), is_piece(kind)) {
            characters.entry(character).or_insert(token);
        }
    }
    characters
}

/// The place of each token when they are ordered by score, the highest first. Equal scores have equal ranks.
fn ranks(file: &Gguf<'_>, n_tokens: usize) -> Result<Vec<u32>, EngineError> {
    let scores = file.floats("tokenizer.ggml.scores")?;
    if scores.len() != n_tokens {
        return Err(EngineError::corrupt(format!(
            "it has {n_tokens} tokens and {} scores",
            scores.len()
        )));
    }
    if scores.iter().any(|score| score.is_nan()) {
        return Err(EngineError::corrupt(
            "a score of its vocabulary is not a number",
        ));
    }
    let mut order: Vec<usize> = (0..n_tokens).collect();
    order.sort_by(|a, b| scores[*b].total_cmp(&scores[*a]));
    let mut ranks = vec![0; n_tokens];
    let (mut rank, mut last) = (0, None);
    for token in order {
        if last.is_some_and(|last: f64| last > scores[token]) {
            rank += 1;
        }
        last = Some(scores[token]);
        ranks[token] = rank;
    }
    Ok(ranks)
}

/// Every way to make a piece out of two others. `number` gives single characters their ids, pieces or not.
fn merges(listed: &Listed<'_>, ranks: &[u32], number: &mut impl FnMut(char) -> u32) -> Merges {
    let ids: HashMap<&str, u32> = listed
        .iter()
        .filter(|(_, text, kind)| is_piece(*kind) && text.len() <= LONGEST_PIECE)
        .map(|(token, text, _)| (text, token))
        .collect();
    let mut symbol = |text: &str| {
        if let Some(token) = ids.get(text) {
            return Some(*token);
        }
        let mut chars = text.chars();
        match (chars.next(), chars.next()) {
            (Some(character), None) => Some(number(character)),
            _ => None,
        }
    };
    let mut merges = Merges::default();
    for (token, text, kind) in listed.iter() {
        if !is_piece(kind) || text.len() > LONGEST_PIECE || ids.get(text) != Some(&token) {
            continue;
        }
        for (at, _) in text.char_indices().skip(1) {
            let (left, right) = text.split_at(at);
            if let Some(left) = symbol(left)
                && let Some(right) = symbol(right)
            {
                merges.add((left, right), ranks[token as usize], token);
            }
        }
        if kind == Kind::Unused {
            merges.take_apart(token);
        }
    }
    merges
}
