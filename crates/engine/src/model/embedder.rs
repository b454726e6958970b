//! A model in memory that gives vectors for texts: its network, its tokenizer, and how it makes one vector of many.
//!
//! It cuts no text: what does not fit the window is refused, with both lengths. Which texts go together is the
//! business of `embedding`.

use super::cache::Cache;
use super::encoder::{Encoder, Pooling};
use super::matrix::FileBytes;
use super::network::{Lane, Network};
use crate::embedding::EmbedInput;
use crate::error::EngineError;
use crate::gguf::Gguf;
use crate::tokenizer::Tokenizer;

/// Tokens of a text alone that a decoder is fed at once.
const CHUNK: usize = 32;

#[derive(Debug)]
pub(crate) struct Embedder {
    network: Reader,
    pooling: Pooling,
    tokenizer: Tokenizer,
}

/// What gives a vector for each token.
#[derive(Debug)]
enum Reader {
    Encoder(Box<Encoder>),
    /// A network that could write, in a file that says how texts are pooled.
    Decoder(Box<Network>),
}

// === impl Embedder ===

impl Embedder {
    pub(super) fn encoder(
        file: &Gguf<'_>,
        bytes: &FileBytes,
        n_threads: usize,
    ) -> Result<Embedder, EngineError> {
        let tokenizer = Tokenizer::from_gguf(file)?;
        let encoder = Encoder::from_gguf(file, bytes, n_threads)?;
        let pooling = encoder.pooling();
        Embedder::new(Reader::Encoder(Box::new(encoder)), pooling, tokenizer)
    }

    pub(super) fn decoder(
        file: &Gguf<'_>,
        bytes: &FileBytes,
        (n_threads, pooling): (usize, Pooling),
    ) -> Result<Embedder, EngineError> {
        let tokenizer = Tokenizer::from_gguf(file)?;
        let network = Network::from_gguf(file, bytes, n_threads)?;
        Embedder::new(Reader::Decoder(Box::new(network)), pooling, tokenizer)
    }

    fn new(
        network: Reader,
        pooling: Pooling,
        tokenizer: Tokenizer,
    ) -> Result<Embedder, EngineError> {
        super::check_vocabulary(network.vocabulary_size(), &tokenizer)?;
        Ok(Embedder {
            network,
            pooling,
            tokenizer,
        })
    }

    /// The tokens of the input at this place of the caller's list. A text gets what the file puts around texts; tokens
    /// are taken as they are.
    pub(crate) fn tokenize(
        &self,
        input: &EmbedInput,
        index: usize,
    ) -> Result<Vec<u32>, EngineError> {
        let window = self.network.window();
        let check = |n_tokens: usize| {
            let n_tokens = u32::try_from(n_tokens).unwrap_or(u32::MAX);
            if n_tokens > window {
                return Err(EngineError::input_too_long(index, n_tokens, window));
            }
            Ok(())
        };
        let tokens = match input {
            EmbedInput::Text(text) => {
                check(self.tokenizer.fewest_tokens(text.len()))?;
                self.tokenizer.encode_raw(text)
            }
            EmbedInput::Tokens(tokens) => {
                let size = self.tokenizer.vocabulary_size();
                if let Some(token) = tokens.iter().find(|token| **token as usize >= size) {
                    return Err(EngineError::invalid(
                        "input",
                        format!("input has the token {token}, which this model does not have"),
                    ));
                }
                tokens.clone()
            }
        };
        check(tokens.len())?;
        if tokens.is_empty() {
            let message = format!("input {index} is empty");
            return Err(EngineError::invalid("input", message));
        }
        Ok(tokens)
    }

    /// A vector of length one for each of the tokenized texts.
    pub(crate) fn embed(&self, texts: &[&[u32]]) -> Result<Vec<Vec<f32>>, EngineError> {
        let states = self.network.states(texts);
        let n_rows: usize = texts.iter().map(|text| text.len()).sum();
        let width = states.len() / n_rows.max(1);
        let mut rest = states.as_slice();
        let mut vectors = Vec::with_capacity(texts.len());
        for text in texts {
            let (rows, others) = rest.split_at(text.len() * width);
            rest = others;
            let vector = self.pooling.pool(rows, width);
            if vector.iter().any(|x| !x.is_finite()) {
                return Err(EngineError::corrupt(
                    "its network computes values that are no numbers",
                ));
            }
            vectors.push(vector);
        }
        Ok(vectors)
    }
}

// === impl Reader ===

impl Reader {
    fn vocabulary_size(&self) -> usize {
        match self {
            Reader::Encoder(encoder) => encoder.vocabulary_size(),
            Reader::Decoder(network) => network.vocabulary_size(),
        }
    }

    fn window(&self) -> u32 {
        match self {
            Reader::Encoder(encoder) => encoder.window(),
            Reader::Decoder(network) => network.window(),
        }
    }

    fn states(&self, texts: &[&[u32]]) -> Vec<f32> {
        match (self, texts) {
            (Reader::Encoder(encoder), _) => encoder.states(texts),
            // A text alone may be as long as the window; it is fed in chunks so that a pass stays small.
            (Reader::Decoder(network), [text]) => {
                let mut cache = Cache::default();
                let mut states = Vec::new();
                for tokens in text.chunks(CHUNK) {
                    let lane = lane(&mut cache, tokens);
                    states.extend(network.states(&mut [lane]));
                }
                states
            }
            (Reader::Decoder(network), _) => {
                let mut caches: Vec<Cache> = texts.iter().map(|_| Cache::default()).collect();
                let lanes = caches.iter_mut().zip(texts);
                let mut lanes: Vec<Lane<'_>> = lanes.map(|(c, text)| lane(c, text)).collect();
                network.states(&mut lanes)
            }
        }
    }
}

fn lane<'a>(cache: &'a mut Cache, tokens: &'a [u32]) -> Lane<'a> {
    Lane {
        cache,
        tokens,
        wants_logits: false,
    }
}
