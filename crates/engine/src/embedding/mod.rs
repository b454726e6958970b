//! Vectors for texts: what is asked for, what comes back, and which texts go through the network together.
//!
//! The vectors have length one. Fewer numbers than the model's, and the encoding of numbers, are the gateway's business.

mod batch;

pub(crate) use self::batch::{Asker, EmbedBatch};
use crate::error::EngineError;

/// One text to embed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EmbedInput {
    /// Gets around it what the model's file says, such as `[CLS]` and `[SEP]`. Special tokens in it are plain text.
    Text(String),
    /// Token ids of this model's vocabulary, taken as they are.
    Tokens(Vec<u32>),
}

/// A vector for each input, in order.
#[derive(Debug, Clone, PartialEq)]
pub struct Embedded {
    pub vectors: Vec<Vec<f32>>,
    /// What each input had, with the tokens around it.
    pub tokens_each: Vec<u32>,
}

/// At least one input, and none without anything in it.
pub(crate) fn check(inputs: &[EmbedInput]) -> Result<(), EngineError> {
    if inputs.is_empty() {
        return Err(EngineError::invalid(
            "input",
            "input must have at least one text",
        ));
    }
    let empty = inputs.iter().position(|input| match input {
        EmbedInput::Text(text) => text.is_empty(),
        EmbedInput::Tokens(tokens) => tokens.is_empty(),
    });
    match empty {
        None => Ok(()),
        Some(index) => Err(EngineError::invalid(
            "input",
            format!("input {index} is empty"),
        )),
    }
}
