//! Byte-level BPE, read from the model file: text to token ids, and ids back to bytes.
//!
//! Owns the vocabulary, the merges and which ids are control tokens. Text is always plain text here: control tokens
//! are recognised only by `encode_rendered`, and only where the chat template wrote them (`guard` says how that is
//! told). It does not assemble whole characters out of bytes; `text` does.

mod guard;
mod merge;
mod split;

use std::collections::HashMap;

pub(crate) use self::guard::Guard;
use self::merge::Merges;
use self::split::pieces;
use crate::error::EngineError;
use crate::gguf::Gguf;

const CONTROL: i64 = 3;
const USER_DEFINED: i64 = 4;

/// Control tokens that end an answer, beside those that the file's keys name.
const ENDS_BY_NAME: [&str; 4] = ["<|im_end|>", "<|endoftext|>", "<|eot_id|>", "</s>"];

/// A model's tokenizer.
#[derive(Debug)]
pub struct Tokenizer {
    /// The bytes of every token, end to end; token `i` is `bytes[starts[i]..starts[i + 1]]`.
    bytes: Vec<u8>,
    starts: Vec<usize>,
    byte_tokens: [u32; 256],
    merges: Merges,
    specials: Vec<Special>,
    /// The bytes with which a special token's text begins.
    special_starts: [bool; 256],
    ends: Vec<u32>,
    begin: Option<u32>,
    add_begin: bool,
    longest: usize,
}

/// A token that stands for itself in rendered text and is never made by merging.
#[derive(Debug)]
pub(crate) struct Special {
    pub(crate) text: String,
    pub(crate) token: u32,
    /// Control tokens are not part of an answer's text; user-defined ones are.
    control: bool,
}

// === impl Tokenizer ===

impl Tokenizer {
    pub fn from_gguf(file: &Gguf<'_>) -> Result<Tokenizer, EngineError> {
        check_kind(file)?;
        let texts = file.texts("tokenizer.ggml.tokens")?;
        if u32::try_from(texts.len()).is_err() || texts.is_empty() {
            return Err(EngineError::corrupt("its vocabulary has an unusable size"));
        }
        let kinds = token_kinds(file, texts.len())?;
        let ids: HashMap<&str, u32> = (0..).zip(texts).map(|(id, text)| (*text, id)).collect();
        let mut tokenizer = Tokenizer {
            bytes: Vec::new(),
            starts: vec![0],
            byte_tokens: byte_tokens(&ids)?,
            merges: Merges::read(file.texts("tokenizer.ggml.merges")?, &ids)?,
            specials: Vec::new(),
            special_starts: [false; 256],
            ends: Vec::new(),
            begin: token_key(file, "tokenizer.ggml.bos_token_id", texts.len())?,
            add_begin: file
                .optional_bool("tokenizer.ggml.add_bos_token")?
                .unwrap_or(false),
            longest: 1,
        };
        for ((token, text), kind) in (0..).zip(texts).zip(kinds) {
            tokenizer.add(token, text, kind)?;
        }
        tokenizer
            .specials
            .sort_by_key(|special| std::cmp::Reverse(special.text.len()));
        for key in ["eos_token_id", "eot_token_id", "eom_token_id"] {
            let key = format!("tokenizer.ggml.{key}");
            tokenizer.ends.extend(token_key(file, &key, texts.len())?);
        }
        for special in &tokenizer.specials {
            if special.control && ENDS_BY_NAME.contains(&special.text.as_str()) {
                tokenizer.ends.push(special.token);
            }
        }
        Ok(tokenizer)
    }

    fn add(&mut self, token: u32, text: &str, kind: i64) -> Result<(), EngineError> {
        if matches!(kind, CONTROL | USER_DEFINED) && !text.is_empty() {
            self.special_starts[usize::from(text.as_bytes()[0])] = true;
            self.specials.push(Special {
                text: text.to_owned(),
                token,
                control: kind == CONTROL,
            });
            self.bytes.extend_from_slice(text.as_bytes());
        } else {
            for character in text.chars() {
                let byte = byte_of(character).ok_or_else(|| {
                    EngineError::corrupt(format!(
                        "token {token} of its vocabulary is not byte-level"
                    ))
                })?;
                self.bytes.push(byte);
            }
        }
        let start = self.starts.last().copied().unwrap_or(0);
        self.longest = self.longest.max(self.bytes.len() - start);
        self.starts.push(self.bytes.len());
        Ok(())
    }

    pub fn vocabulary_size(&self) -> usize {
        self.starts.len() - 1
    }

    /// The tokens of plain text. Nothing in it is special.
    pub fn encode(&self, text: &str) -> Vec<u32> {
        let mut tokens = Vec::new();
        self.encode_plain(text, &mut tokens);
        tokens
    }

    /// The tokens of a raw prompt: with the begin token, where the file asks for it.
    pub(crate) fn encode_raw(&self, text: &str) -> Vec<u32> {
        let mut tokens: Vec<u32> = self.begin.filter(|_| self.add_begin).into_iter().collect();
        self.encode_plain(text, &mut tokens);
        tokens
    }

    /// The tokens of what the chat template made. A special token's text is that token, unless the guard breaks it.
    pub(crate) fn encode_rendered(&self, rendered: &str, guard: &Guard) -> Vec<u32> {
        let mut tokens = Vec::new();
        let mut plain_from = 0;
        let mut at = 0;
        while let Some(special) = self.special_from(rendered, &mut at) {
            self.encode_plain(&guard.lift(&rendered[plain_from..at]), &mut tokens);
            tokens.push(special.token);
            at += special.text.len();
            plain_from = at;
        }
        self.encode_plain(&guard.lift(&rendered[plain_from..]), &mut tokens);
        tokens
    }

    /// The first special token at or after `at`, which moves to its beginning. The longest wins at one place.
    fn special_from(&self, text: &str, at: &mut usize) -> Option<&Special> {
        let bytes = text.as_bytes();
        let starts = |byte: &u8| self.special_starts[usize::from(*byte)];
        while let Some(skipped) = bytes[*at..].iter().position(starts) {
            *at += skipped;
            // `specials` is sorted by length.
            let here = |special: &&Special| bytes[*at..].starts_with(special.text.as_bytes());
            if let Some(special) = self.specials.iter().find(here) {
                return Some(special);
            }
            *at += 1;
        }
        None
    }

    fn encode_plain(&self, text: &str, tokens: &mut Vec<u32>) {
        for piece in pieces(text) {
            let symbols = piece
                .bytes()
                .map(|byte| self.byte_tokens[usize::from(byte)]);
            self.merges.apply(symbols, tokens);
        }
    }

    /// The bytes that a token adds to an answer: none for control tokens and for ids outside the vocabulary.
    pub fn answer_bytes(&self, token: u32) -> &[u8] {
        if self
            .specials
            .iter()
            .any(|special| special.token == token && special.control)
        {
            return &[];
        }
        self.token_bytes(token)
    }

    /// The bytes of any token, control tokens included.
    pub fn token_bytes(&self, token: u32) -> &[u8] {
        let bounds = usize::try_from(token)
            .ok()
            .and_then(|i| Some((*self.starts.get(i)?, *self.starts.get(i + 1)?)));
        match bounds {
            Some((from, to)) => &self.bytes[from..to],
            None => &[],
        }
    }

    pub(crate) fn ends_answer(&self, token: u32) -> bool {
        self.ends.contains(&token)
    }

    pub(crate) fn specials(&self) -> &[Special] {
        &self.specials
    }

    /// The text of the begin and of the end token, for the chat template.
    pub(crate) fn begin_and_end_text(&self) -> (String, String) {
        let text = |token: Option<u32>| {
            token.map_or_else(String::new, |token| {
                String::from_utf8_lossy(self.token_bytes(token)).into_owned()
            })
        };
        (text(self.begin), text(self.ends.first().copied()))
    }

    /// The least number of tokens that so many bytes can have.
    pub(crate) fn fewest_tokens(&self, n_bytes: usize) -> usize {
        n_bytes.div_ceil(self.longest)
    }
}

fn check_kind(file: &Gguf<'_>) -> Result<(), EngineError> {
    let model = file.text("tokenizer.ggml.model")?;
    if model != "gpt2" {
        return Err(EngineError::unsupported_model(format!(
            "its tokenizer is {model:?}; byte-level BPE (\"gpt2\") is read"
        )));
    }
    match file.optional_text("tokenizer.ggml.pre")? {
        None | Some("gpt-2" | "default") => Ok(()),
        Some(other) => Err(EngineError::unsupported_model(format!(
            "its tokenizer splits text as {other:?}; \"gpt-2\" is read"
        ))),
    }
}

fn token_kinds(file: &Gguf<'_>, n_tokens: usize) -> Result<Vec<i64>, EngineError> {
    match file.optional_integers("tokenizer.ggml.token_type")? {
        None => Ok(vec![1; n_tokens]),
        Some(kinds) if kinds.len() == n_tokens => Ok(kinds),
        Some(kinds) => Err(EngineError::corrupt(format!(
            "it has {n_tokens} tokens and {} token types",
            kinds.len()
        ))),
    }
}

fn token_key(file: &Gguf<'_>, key: &str, n_tokens: usize) -> Result<Option<u32>, EngineError> {
    let token = file.optional_count(key)?;
    match token {
        Some(token) if token as usize >= n_tokens => Err(EngineError::corrupt(format!(
            "the key {key} is {token}, and the vocabulary ends at {}",
            n_tokens - 1
        ))),
        _ => Ok(token),
    }
}

fn byte_tokens(ids: &HashMap<&str, u32>) -> Result<[u32; 256], EngineError> {
    let mut tokens = [0; 256];
    for (byte, token) in (0..=u8::MAX).zip(&mut tokens) {
        let mut buffer = [0; 4];
        *token = *ids
            .get(&*character_of(byte).encode_utf8(&mut buffer))
            .ok_or_else(|| EngineError::corrupt(format!("its vocabulary lacks the byte {byte}")))?;
    }
    Ok(tokens)
}

/// GPT-2's printable stand-in for a byte: printable Latin-1 stands for itself, the others follow from U+0100 on.
fn character_of(byte: u8) -> char {
    let code = match byte {
        b'!'..=b'~' | 0xa1..=0xac | 0xae..=0xff => u32::from(byte),
        0..=b' ' => 0x100 + u32::from(byte),
        0x7f..=0xa0 => 0x121 + u32::from(byte) - 0x7f,
        0xad => 0x143,
    };
    char::from_u32(code).unwrap_or('\u{fffd}')
}

fn byte_of(character: char) -> Option<u8> {
    let code = u32::from(character);
    let byte = match code {
        0x21..=0x7e | 0xa1..=0xac | 0xae..=0xff => code,
        0x100..=0x120 => code - 0x100,
        0x121..=0x142 => code - 0x121 + 0x7f,
        0x143 => 0xad,
        _ => return None,
    };
    u8::try_from(byte).ok()
}

#[cfg(test)]
mod tests;
