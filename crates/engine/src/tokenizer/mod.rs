//! A model's tokenizer, read from its file: text to token ids, and ids back to bytes.
//!
//! Three kinds are read: byte-level BPE (`bytes`), SentencePiece's BPE (`pieces`) and WordPiece (`words`); `vocabulary`
//! has what they share. Text is not normalised but where WordPiece asks for it, so BPE gives back what it was given. Text
//! is always plain text here: control tokens are recognised only by `encode_rendered`, and only where the chat template
//! wrote them (`guard` says how that is told). It does not assemble whole characters out of bytes; `text` does.

mod bytes;
mod guard;
mod merge;
mod pieces;
mod special;
mod split;
mod vocabulary;
mod words;

use self::bytes::ByteLevel;
pub(crate) use self::guard::Guard;
use self::pieces::Pieces;
pub(crate) use self::special::Specials;
use self::vocabulary::{Frame, Listed, Vocabulary};
use self::words::Words;
use crate::error::EngineError;
use crate::gguf::Gguf;
use crate::reply::MARKERS;

/// A model's tokenizer.
#[derive(Debug)]
pub struct Tokenizer {
    vocabulary: Vocabulary,
    splitter: Splitter,
    frame: Frame,
}

/// How text becomes tokens, `tokenizer.ggml.model`.
#[derive(Debug)]
enum Splitter {
    Bytes(ByteLevel),
    Pieces(Pieces),
    Words(Words),
}

// === impl Tokenizer ===

impl Tokenizer {
    pub fn from_gguf(file: &Gguf<'_>) -> Result<Tokenizer, EngineError> {
        match file.text("tokenizer.ggml.model")? {
            "gpt2" => {
                let listed = Listed::read(file)?;
                Ok(Tokenizer {
                    vocabulary: Vocabulary::read(file, &listed, bytes::decode)?,
                    splitter: Splitter::Bytes(ByteLevel::read(file, &listed)?),
                    frame: Frame::read(file, &listed, bytes::adds_begin(file)?)?,
                })
            }
            "llama" => {
                let listed = Listed::read(file)?;
                Ok(Tokenizer {
                    vocabulary: Vocabulary::read(file, &listed, pieces::decode)?,
                    splitter: Splitter::Pieces(Pieces::read(file, &listed)?),
                    frame: Frame::read(file, &listed, true)?,
                })
            }
            "bert" => {
                let listed = Listed::read(file)?;
                Ok(Tokenizer {
                    vocabulary: Vocabulary::read(file, &listed, |_, text, _| {
                        Ok(words::decode(text))
                    })?,
                    splitter: Splitter::Words(Words::read(file, &listed)?),
                    frame: Words::frame(file, &listed)?,
                })
            }
            other => Err(EngineError::unsupported_model(format!(
                "its tokenizer is {other:?} (tokenizer.ggml.model); byte-level BPE (\"gpt2\"), SentencePiece BPE \
                 (\"llama\") and WordPiece (\"bert\") are read"
            ))),
        }
    }

    pub fn vocabulary_size(&self) -> usize {
        self.vocabulary.len()
    }

    /// The tokens of plain text. Nothing in it is a control token; user-defined tokens are pieces like others.
    pub fn encode(&self, text: &str) -> Vec<u32> {
        let mut tokens = Vec::new();
        self.encode_stretch(text, &self.vocabulary.user_defined, true, &mut tokens);
        tokens
    }

    /// The tokens of a raw prompt: with what the file puts around texts.
    pub fn encode_raw(&self, text: &str) -> Vec<u32> {
        let mut tokens: Vec<u32> = self.frame.begin.into_iter().collect();
        self.encode_stretch(text, &self.vocabulary.user_defined, true, &mut tokens);
        tokens.extend(self.frame.end);
        tokens
    }

    /// The tokens of what the chat template made. A special token's text is that token, unless the guard breaks it.
    pub(crate) fn encode_rendered(&self, rendered: &str, guard: &Guard) -> Vec<u32> {
        let mut tokens = Vec::new();
        let mut from = 0;
        let mut after_special = true;
        let pieces = &self.vocabulary.pieces;
        while let Some(found) = self.vocabulary.guarded.find(rendered, from) {
            let plain = guard.lift(&rendered[from..found.start]);
            self.encode_stretch(&plain, pieces, after_special, &mut tokens);
            tokens.push(found.special.token);
            after_special = true;
            from = found.end;
            if found.special.takes_space {
                let rest = &rendered[from..];
                from += rest.len() - rest.trim_ascii_start().len();
            }
        }
        let plain = guard.lift(&rendered[from..]);
        self.encode_stretch(&plain, pieces, after_special, &mut tokens);
        tokens
    }

    /// A text in which only these specials stand for themselves.
    fn encode_stretch(
        &self,
        text: &str,
        specials: &Specials,
        mut after_special: bool,
        tokens: &mut Vec<u32>,
    ) {
        let mut from = 0;
        while let Some(found) = specials.find(text, from) {
            self.encode_plain(&text[from..found.start], after_special, tokens);
            tokens.push(found.special.token);
            after_special = true;
            from = found.end;
        }
        self.encode_plain(&text[from..], after_special, tokens);
    }

    fn encode_plain(&self, text: &str, after_special: bool, tokens: &mut Vec<u32>) {
        match &self.splitter {
            Splitter::Bytes(bytes) => bytes.encode(text, tokens),
            Splitter::Pieces(pieces) => pieces.encode(text, after_special, tokens),
            Splitter::Words(words) => words.encode(text, tokens),
        }
    }

    /// The bytes that a token adds to an answer: none for control tokens and for ids outside the vocabulary.
    pub fn answer_bytes(&self, token: u32) -> &[u8] {
        if self.vocabulary.is_silent(token) {
            return &[];
        }
        self.token_bytes(token)
    }

    /// The same for a reader of replies (`ReplyParser`), who is shown the markers of calls and of reasoning as well.
    pub fn reply_bytes(&self, token: u32) -> &[u8] {
        let bytes = self.token_bytes(token);
        let is_marker = MARKERS.iter().any(|marker| marker.as_bytes() == bytes);
        if is_marker {
            bytes
        } else {
            self.answer_bytes(token)
        }
    }

    /// The bytes of any token, control tokens included.
    pub fn token_bytes(&self, token: u32) -> &[u8] {
        self.vocabulary.token_bytes(token)
    }

    /// Whether the token is one that ends an answer.
    pub(crate) fn ends_answer(&self, token: u32) -> bool {
        self.vocabulary.ends_answer(token)
    }

    /// The tokens that contents must not make.
    pub(crate) fn specials(&self) -> &Specials {
        &self.vocabulary.guarded
    }

    /// Of these, the ones that not even the assistant's own words may make.
    pub(crate) fn controls(&self) -> &Specials {
        &self.vocabulary.controls
    }

    /// The text of the begin and of the end token, for the chat template.
    pub(crate) fn begin_and_end_text(&self) -> (String, String) {
        let text = |token: Option<u32>| {
            token.map_or_else(String::new, |token| {
                String::from_utf8_lossy(self.token_bytes(token)).into_owned()
            })
        };
        (
            text(self.frame.begin_token),
            text(self.vocabulary.end_token()),
        )
    }

    /// The least number of tokens that so many bytes can have.
    pub(crate) fn fewest_tokens(&self, n_bytes: usize) -> usize {
        match self.splitter {
            Splitter::Bytes(_) | Splitter::Pieces(_) => n_bytes.div_ceil(self.vocabulary.longest()),
            // Control characters are no tokens at all, and a long word is one.
            Splitter::Words(_) => 0,
        }
    }
}

#[cfg(test)]
mod tests;
