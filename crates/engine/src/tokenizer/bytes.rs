//! Byte-level BPE: text is cut into pieces, and the bytes of each are merged.
//!
//! Owns the stand-ins with which vocabularies write bytes as printable text. The patterns of the pieces are in `split`,
//! the merging is in `merge`.

use std::collections::HashMap;

use super::merge::Merges;
use super::split::Pattern;
use super::vocabulary::{Kind, Listed};
use crate::error::EngineError;
use crate::gguf::Gguf;

#[derive(Debug)]
pub(super) struct ByteLevel {
    byte_tokens: Box<[u32; 256]>,
    pub(super) merges: Merges,
    pattern: Pattern,
    /// Pieces that are a token as they are, where the vocabulary says that these are not made by merging.
    whole: HashMap<Box<[u8]>, u32>,
}

/// What `tokenizer.ggml.pre` stands for.
struct Pretokenizer {
    pattern: Pattern,
    /// A piece that is a token is that token, whatever the merges would make of it.
    ignores_merges: bool,
    adds_begin: bool,
}

// === impl ByteLevel ===

impl ByteLevel {
    pub(super) fn read(file: &Gguf<'_>, listed: &Listed<'_>) -> Result<ByteLevel, EngineError> {
        let pretokenizer = Pretokenizer::read(file)?;
        let ids = listed.ids();
        let mut whole = HashMap::new();
        if pretokenizer.ignores_merges {
            for (token, text, kind) in listed.iter() {
                if kind == Kind::Normal {
                    whole.insert(decode(token, text, kind)?.into_boxed_slice(), token);
                }
            }
        }
        Ok(ByteLevel {
            byte_tokens: Box::new(byte_tokens(&ids)?),
            merges: Merges::read(file.texts("tokenizer.ggml.merges")?, &ids, |token| {
                listed.is_made(token)
            })?,
            pattern: pretokenizer.pattern,
            whole,
        })
    }

    pub(super) fn encode(&self, text: &str, tokens: &mut Vec<u32>) {
        self.pattern
            .each_piece(text, &mut |piece| match self.whole.get(piece.as_bytes()) {
                Some(token) => tokens.push(*token),
                None => self.merges.apply(self.symbols(piece), tokens),
            });
    }

    /// The tokens of the piece's single bytes.
    pub(super) fn symbols(&self, piece: &str) -> impl Iterator<Item = u32> {
        piece
            .bytes()
            .map(|byte| self.byte_tokens[usize::from(byte)])
    }
}

/// Whether texts begin with the begin token where the file does not say.
pub(super) fn adds_begin(file: &Gguf<'_>) -> Result<bool, EngineError> {
    Ok(Pretokenizer::read(file)?.adds_begin)
}

// === impl Pretokenizer ===

impl Pretokenizer {
    /// Which name means which pattern: llama.cpp, `llama-vocab.cpp`, and the tokenizer.json of the models named there.
    fn read(file: &Gguf<'_>) -> Result<Pretokenizer, EngineError> {
        let plain = |pattern| Pretokenizer {
            pattern,
            ignores_merges: false,
            adds_begin: false,
        };
        let whole = |pattern| Pretokenizer {
            pattern,
            ignores_merges: true,
            adds_begin: true,
        };
        let Some(name) = file.optional_text("tokenizer.ggml.pre")? else {
            return Ok(plain(Pattern::Gpt2));
        };
        Ok(match name {
            "" | "default" | "gpt-2" | "phi-2" | "mpt" | "olmo" | "gigachat" | "exaone4"
            | "a.x-4.0" | "mellum" | "trillion" | "granite-docling" | "modern-bert"
            | "jina-v1-en" | "jina-v2-code" | "jina-es" | "jina-de" | "jina-v2-es"
            | "jina-v2-de" | "roberta-bpe" => plain(Pattern::Gpt2),
            "smollm" | "starcoder" | "refact" | "command-r" | "codeshell" | "exaone"
            | "minerva-7b" => plain(Pattern::Gpt2SingleDigits),
            "llama-bpe" | "llama3" | "llama-v3" | "falcon3" | "falcon-h1" | "pixtral" | "lfm2" => {
                whole(Pattern::Llama3)
            }
            "dbrx" | "smaug-bpe" | "glm4" | "chatglm-bpe" => plain(Pattern::Llama3),
            "qwen2" | "deepseek-r1-qwen" | "megrez" | "stablelm2" | "hunyuan" | "grok-2" => {
                plain(Pattern::Qwen2)
            }
            "tekken" => whole(Pattern::Tekken),
            "gpt-4o" | "llama4" | "kanana2" => plain(Pattern::Gpt4o),
            other => {
                return Err(EngineError::unsupported_model(format!(
                    "its tokenizer splits text as {other:?} (tokenizer.ggml.pre); read are gpt-2, smollm, llama-bpe, \
                     dbrx, qwen2, tekken, gpt-4o and their kin"
                )));
            }
        })
    }
}

/// The bytes of a token.
pub(super) fn decode(token: u32, text: &str, kind: Kind) -> Result<Vec<u8>, EngineError> {
    match text.chars().map(byte_of).collect::<Option<Vec<u8>>>() {
        Some(bytes) => Ok(bytes),
        // Fillers up to a round size are written in plain text.
        None if kind != Kind::Normal => Ok(text.as_bytes().to_vec()),
        None => Err(EngineError::corrupt(format!(
            "token {token} of its vocabulary is not byte-level"
        ))),
    }
}

fn byte_tokens(ids: &HashMap<&str, u32>) -> Result<[u32; 256], EngineError> {
    let mut tokens = [0; 256];
    for (byte, token) in (0..=u8::MAX).zip(&mut tokens) {
        let mut buffer = [0; 4];
        let id = ids.get(&*character_of(byte).encode_utf8(&mut buffer));
        *token = match id {
            Some(id) => *id,
            // These bytes are in no UTF-8 text, and some vocabularies leave them out.
            None if matches!(byte, 0xc0 | 0xc1 | 0xf5..) => 0,
            None => {
                return Err(EngineError::corrupt(format!(
                    "its vocabulary lacks the byte {byte}"
                )));
            }
        };
    }
    Ok(tokens)
}

/// GPT-2's printable stand-in for a byte: printable Latin-1 stands for itself, the others follow from U+0100 on.
pub(super) fn character_of(byte: u8) -> char {
    let code = match byte {
        b'!'..=b'~' | 0xa1..=0xac | 0xae..=0xff => u32::from(byte),
        0..=b' ' => 0x100 + u32::from(byte),
        0x7f..=0xa0 => 0x121 + u32::from(byte) - 0x7f,
        0xad => 0x143,
    };
    char::from_u32(code).unwrap_or('\u{fffd}')
}

pub(super) fn byte_of(character: char) -> Option<u8> {
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
