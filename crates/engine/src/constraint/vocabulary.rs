//! A model's tokens as the automaton knows them: their bytes in a tree, built once for a loaded model.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use llguidance::api::ParserLimits;
use llguidance::toktrie::{ApproximateTokEnv, TokEnv, TokRxInfo, TokTrie};
use llguidance::{ParserFactory, panic_utils};

use crate::error::EngineError;
use crate::tokenizer::Tokenizer;

/// In the tree, ids have 24 bits.
const MOST_TOKENS: usize = 1 << 23;
/// Longer tokens are never needed to write something.
const LONGEST: usize = 4096;
/// The first byte by which the tree marks tokens of its own. No UTF-8 has it.
const RESERVED_BYTE: u8 = 0xff;

pub(crate) struct Vocabulary {
    factory: ParserFactory,
    /// Tokens that have bytes for a reader of replies alone.
    markers: Vec<u32>,
}

// === impl Vocabulary ===

impl Vocabulary {
    pub(crate) fn new(tokenizer: &Tokenizer) -> Result<Vocabulary, EngineError> {
        let size = u32::try_from(tokenizer.vocabulary_size())
            .ok()
            .filter(|size| (*size as usize) < MOST_TOKENS)
            .ok_or_else(|| too_odd("it has too many tokens"))?;
        let mut words: Vec<Vec<u8>> = (0..size).map(|token| word(tokenizer, token)).collect();
        let mut ends: Vec<u32> = (0..size)
            .filter(|token| tokenizer.ends_answer(*token))
            .collect();
        if ends.is_empty() {
            // The tree wants an end; this one is no token of the model, and never drawn.
            words.push(Vec::new());
            ends.push(size);
        }
        let markers = (0..size).filter(|token| {
            tokenizer.answer_bytes(*token).is_empty() && !tokenizer.reply_bytes(*token).is_empty()
        });
        Ok(Vocabulary {
            markers: markers.collect(),
            factory: factory(&words, &ends)?,
        })
    }

    pub(super) fn factory(&self) -> &ParserFactory {
        &self.factory
    }

    /// What a token writes.
    pub(super) fn bytes(&self, token: u32) -> &[u8] {
        let tree = self.factory.tok_env().tok_trie();
        if (token as usize) < tree.vocab_size() {
            tree.token(token)
        } else {
            &[]
        }
    }

    pub(super) fn markers(&self) -> &[u32] {
        &self.markers
    }
}

impl std::fmt::Debug for Vocabulary {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Vocabulary").finish_non_exhaustive()
    }
}

/// What a token writes; nothing for tokens that no grammar may use.
fn word(tokenizer: &Tokenizer, token: u32) -> Vec<u8> {
    let bytes = tokenizer.reply_bytes(token);
    let is_usable = bytes.len() <= LONGEST
        && bytes.first() != Some(&RESERVED_BYTE)
        && !tokenizer.ends_answer(token);
    if is_usable {
        bytes.to_vec()
    } else {
        Vec::new()
    }
}

fn factory(words: &[Vec<u8>], ends: &[u32]) -> Result<ParserFactory, EngineError> {
    let build = || {
        let size = u32::try_from(words.len()).unwrap_or(u32::MAX);
        let info = TokRxInfo::new(size, ends.first().copied().unwrap_or_default());
        let tree = TokTrie::from(&info, words).with_eos_tokens(ends);
        let environment: TokEnv = Arc::new(ApproximateTokEnv::new(tree));
        let mut factory = ParserFactory::new_simple(&environment)?;
        factory.quiet();
        *factory.limits_mut() = limits();
        Ok(factory)
    };
    panic_utils::catch_unwind(AssertUnwindSafe(build)).map_err(|error| {
        let line = error.to_string();
        too_odd(line.lines().next().unwrap_or_default())
    })
}

/// What one request may cost. The defaults are for documents of megabytes; these hold up a batch for a tenth of a second at
/// most.
fn limits() -> ParserLimits {
    ParserLimits {
        max_items_in_row: 500,
        initial_lexer_fuel: 500_000,
        step_lexer_fuel: 200_000,
        step_max_items: 50_000,
        max_lexer_states: 20_000,
        max_grammar_size: 100_000,
        precompute_large_lexemes: false,
        verbose_errors: false,
    }
}

fn too_odd(reason: &str) -> EngineError {
    EngineError::unsupported(
        "response_format",
        format!("this model's vocabulary cannot be bound to a format: {reason}"),
    )
}
