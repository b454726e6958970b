//! A model in memory: its network, tokenizer and chat template, and where its file comes from.
//!
//! The arithmetic is plain Rust without a tensor library. Measured on two cores for the built-in model's matrices
//! (2.4 M weights, one token, a generic x86-64 build): candle-core 0.11.1 430 us of CPU time per token on two spinning
//! threads, 2 to 7 CPU minutes of build and 150 more packages; this 380 us on one thread, exact to the reference, no
//! build cost. Candle wins from some eight sequences on and with large models: `matrix` is the file to grow for those.

mod llama;
mod matrix;

use std::borrow::Cow;
use std::path::PathBuf;

pub(crate) use self::llama::{Cache, Lane, Llama};
use crate::conversation::Conversation;
use crate::error::EngineError;
use crate::gguf::Gguf;
use crate::request::Prompt;
use crate::template::Template;
use crate::tokenizer::Tokenizer;

/// Where the bytes of a model file are.
#[derive(Debug, Clone)]
pub(crate) enum Source {
    Builtin,
    File(PathBuf),
}

#[derive(Debug)]
pub(crate) struct Model {
    pub(crate) network: Llama,
    pub(crate) tokenizer: Tokenizer,
    template: Option<Template>,
}

/// The built-in model's file.
pub(crate) fn demo_bytes() -> &'static [u8] {
    include_bytes!("../../models/tollgate-demo-q8_0.gguf")
}

// === impl Source ===

impl Source {
    pub(crate) fn load(&self) -> Result<Model, EngineError> {
        let bytes = match self {
            Source::Builtin => Cow::Borrowed(demo_bytes()),
            Source::File(path) => Cow::Owned(std::fs::read(path).map_err(|error| {
                EngineError::corrupt(format!("{} cannot be read: {error}", path.display()))
            })?),
        };
        Model::from_bytes(&bytes)
    }
}

// === impl Model ===

impl Model {
    pub(crate) fn from_bytes(bytes: &[u8]) -> Result<Model, EngineError> {
        let file = Gguf::parse(bytes)?;
        let tokenizer = Tokenizer::from_gguf(&file)?;
        let network = Llama::from_gguf(&file)?;
        if network.vocabulary_size() != tokenizer.vocabulary_size() {
            return Err(EngineError::corrupt(format!(
                "its network has {} tokens and its tokenizer {}",
                network.vocabulary_size(),
                tokenizer.vocabulary_size()
            )));
        }
        let template = Template::from_gguf(&file, &tokenizer)?;
        Ok(Model {
            network,
            tokenizer,
            template,
        })
    }

    pub(crate) fn window(&self) -> u32 {
        self.network.window()
    }

    /// The prompt's tokens. A text so long that it cannot fit the window is not tokenized at all: that would hold up
    /// everybody else.
    pub(crate) fn tokenize(&self, prompt: &Prompt) -> Result<Vec<u32>, EngineError> {
        match prompt {
            Prompt::Messages(messages) => {
                self.check_length(messages.iter().map(|message| message.content.len()).sum())?;
                self.tokenize_conversation(&messages.as_slice().into())
            }
            Prompt::Conversation(conversation) => {
                self.check_length(conversation.n_bytes())?;
                self.tokenize_conversation(conversation)
            }
            Prompt::Raw(text) => {
                self.check_length(text.len())?;
                Ok(self.tokenizer.encode_raw(text))
            }
            Prompt::Tokens(tokens) => {
                let known = |token: &u32| (*token as usize) < self.tokenizer.vocabulary_size();
                match tokens.iter().find(|token| !known(token)) {
                    None => Ok(tokens.clone()),
                    Some(token) => Err(EngineError::invalid(
                        "prompt",
                        format!("prompt has the token {token}, which this model does not have"),
                    )),
                }
            }
        }
    }

    fn tokenize_conversation(&self, conversation: &Conversation) -> Result<Vec<u32>, EngineError> {
        let Some(template) = &self.template else {
            return Err(EngineError::unsupported(
                "messages",
                "this model has no chat template; use the completions endpoint",
            ));
        };
        let rendered = template.render(conversation, &self.tokenizer)?;
        let tokens = self
            .tokenizer
            .encode_rendered(&rendered.text, &rendered.guard);
        if tokens.is_empty() {
            return Err(EngineError::invalid(
                "messages",
                "messages make an empty prompt",
            ));
        }
        Ok(tokens)
    }

    fn check_length(&self, n_bytes: usize) -> Result<(), EngineError> {
        let fewest = u32::try_from(self.tokenizer.fewest_tokens(n_bytes)).unwrap_or(u32::MAX);
        if fewest > self.window() {
            return Err(EngineError::context_overflow(fewest, 0, self.window()));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
