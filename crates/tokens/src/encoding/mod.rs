//! The encodings that OpenAI publishes, counted exactly.
//!
//! The vocabularies are embedded and read at first use, each on its own. p50k_base, r50k_base and gpt2 are left out: no model that
//! is still served as a chat model uses them.

mod split;
#[cfg(test)]
mod tests;
mod vocabulary;

use std::sync::OnceLock;

use vocabulary::Vocabulary;

/// A published byte-pair encoding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Encoding {
    /// GPT-4o, 4.1, 5 and the o series; also o200k_harmony of gpt-oss, which differs in special tokens alone.
    O200k,
    /// GPT-4, GPT-3.5 and the text embeddings.
    Cl100k,
}

impl Encoding {
    /// The published name.
    pub fn name(self) -> &'static str {
        match self {
            Self::O200k => "o200k_base",
            Self::Cl100k => "cl100k_base",
        }
    }

    /// The number of tokens of `text`. What looks like a special token in it is counted as the ordinary text that it is.
    pub fn count(self, text: &str) -> u64 {
        let vocabulary = self.vocabulary();
        let count: usize = self.pieces(text).map(|piece| vocabulary.count(piece)).sum();
        count as u64
    }

    /// Reads the vocabulary now, so that no call waits for it (tens of milliseconds, once).
    pub fn warm_up(self) {
        self.vocabulary();
    }

    /// Where `text` can last be cut so that the counts of both parts add up to that of the whole.
    pub(crate) fn last_safe_cut(text: &str) -> Option<usize> {
        split::last_safe_cut(text)
    }

    fn pieces(self, text: &str) -> impl Iterator<Item = &[u8]> {
        let mut at = 0;
        std::iter::from_fn(move || {
            if at >= text.len() {
                return None;
            }
            let end = match self {
                Self::O200k => split::o200k_piece(text, at),
                Self::Cl100k => split::cl100k_piece(text, at),
            };
            let piece = text.as_bytes().get(at..end)?;
            at = end;
            Some(piece)
        })
    }

    fn vocabulary(self) -> &'static Vocabulary {
        static O200K: OnceLock<Vocabulary> = OnceLock::new();
        static CL100K: OnceLock<Vocabulary> = OnceLock::new();
        match self {
            Self::O200k => {
                O200K.get_or_init(|| Vocabulary::read(include_bytes!("../../data/o200k_base.bin")))
            }
            Self::Cl100k => CL100K
                .get_or_init(|| Vocabulary::read(include_bytes!("../../data/cl100k_base.bin"))),
        }
    }
}
