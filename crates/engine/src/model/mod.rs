//! A model in memory: its network, tokenizer and chat template, and where its file comes from.
//!
//! The file is read once, and the network computes with its bytes as they are: a model costs its file's size, and the
//! cache of the sequences that run. There is no tensor library beneath, only `tollgate-kernels`. Measured beside
//! llama.cpp with a file of Llama 3.2 1B's shape in Q4_K_M on one thread of a server with AVX-512 VNNI, in tokens per
//! second of CPU time: a prompt of 256 tokens 60 (llama.cpp 50), one sequence 7.3 (8.1), four 18.8 (17.1), eight 28.8
//! (15.3); memory 815 MB (1575) for a file of 802. `examples/speed.rs` and `tools/engine-vectors/measure.py` repeat it.

mod attention;
mod cache;
mod description;
mod embedder;
mod encoder;
mod family;
mod layer;
mod matrix;
mod memory;
mod network;
mod pool;
mod rope;
mod shape;

use std::borrow::Cow;
use std::cell::OnceCell;
use std::path::PathBuf;
use std::sync::Arc;

pub(crate) use self::cache::{BlockCounter, Cache, n_blocks};
use self::description::Plan;
pub use self::description::{Description, ModelKind};
pub(crate) use self::embedder::Embedder;
pub(crate) use self::matrix::FileBytes;
pub use self::memory::Memory;
pub(crate) use self::network::{Lane, Network};
use self::pool::Pool;
use crate::constraint::{Manner, Vocabulary};
use crate::conversation::Conversation;
use crate::error::EngineError;
use crate::gguf::Gguf;
use crate::reply::ReplyFormat;
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
    pub(crate) network: Network,
    pub(crate) tokenizer: Tokenizer,
    template: Option<Template>,
    window: u32,
    /// Made when the first constraint comes.
    vocabulary: OnceCell<Result<Vocabulary, EngineError>>,
}

/// A model as its file is meant.
#[derive(Debug)]
pub(crate) enum Loaded {
    Model(Box<Model>),
    Embedder(Box<Embedder>),
}

/// The built-in model's file.
pub(crate) fn demo_bytes() -> &'static [u8] {
    include_bytes!("../../models/tollgate-demo-q8_0.gguf")
}

// === impl Source ===

impl Source {
    /// `n_threads` compute together: `None` for one fewer than there are cores.
    pub(crate) fn load(&self, n_threads: Option<usize>) -> Result<Loaded, EngineError> {
        let n_threads = n_threads.unwrap_or_else(Pool::default_threads);
        Loaded::from_bytes(&self.read()?, n_threads)
    }

    /// What loading and running it takes, told by the head of the file.
    pub(crate) fn memory(&self) -> Result<Memory, EngineError> {
        match self {
            Source::Builtin => {
                let bytes = demo_bytes();
                Memory::of(&Gguf::parse(bytes)?, bytes.len() as u64)
            }
            Source::File(path) => Memory::of_file(path),
        }
    }

    /// Reads no more than the head of the file.
    pub(crate) fn describe(&self) -> Result<Description, EngineError> {
        match self {
            Source::Builtin => Description::of(&Gguf::parse(demo_bytes())?),
            Source::File(path) => Description::of_file(path),
        }
    }

    fn read(&self) -> Result<FileBytes, EngineError> {
        let bytes = match self {
            Source::Builtin => Cow::Borrowed(demo_bytes()),
            Source::File(path) => Cow::Owned(std::fs::read(path).map_err(|error| {
                EngineError::corrupt(format!("{} cannot be read: {error}", path.display()))
            })?),
        };
        Ok(Arc::new(bytes))
    }
}

// === impl Loaded ===

impl Loaded {
    /// `n_threads` compute together.
    pub(crate) fn from_bytes(bytes: &FileBytes, n_threads: usize) -> Result<Loaded, EngineError> {
        let file = Gguf::parse(bytes)?;
        let embedder = match Plan::of(&file)? {
            Plan::Encoder(_) => Embedder::encoder(&file, bytes, n_threads)?,
            Plan::Decoder(_, Some(pooling)) => {
                Embedder::decoder(&file, bytes, (n_threads, pooling))?
            }
            Plan::Decoder(_, None) => {
                let model = Model::from_gguf(&file, bytes, n_threads)?;
                return Ok(Loaded::Model(Box::new(model)));
            }
        };
        Ok(Loaded::Embedder(Box::new(embedder)))
    }
}

impl Loaded {
    /// Takes no longer sequences than this.
    pub(crate) fn within(mut self, window: Option<u32>) -> Loaded {
        if let (Loaded::Model(model), Some(window)) = (&mut self, window) {
            model.window = model.window.min(window);
        }
        self
    }
}

// === impl Model ===

impl Model {
    fn from_gguf(
        file: &Gguf<'_>,
        bytes: &FileBytes,
        n_threads: usize,
    ) -> Result<Model, EngineError> {
        let tokenizer = Tokenizer::from_gguf(file)?;
        let network = Network::from_gguf(file, bytes, n_threads)?;
        check_vocabulary(network.vocabulary_size(), &tokenizer)?;
        let template = Template::from_gguf(file, &tokenizer)?;
        Ok(Model {
            window: network.window(),
            network,
            tokenizer,
            template,
            vocabulary: OnceCell::new(),
        })
    }

    /// The same model with another chat template.
    #[cfg(test)]
    pub(crate) fn with_template(mut self, source: &str) -> Model {
        let special = self.tokenizer.begin_and_end_text();
        self.template = Some(Template::new(source, None, special).unwrap());
        self
    }

    pub(crate) fn window(&self) -> u32 {
        self.window
    }

    /// The tokens as constraints know them.
    pub(crate) fn vocabulary(&self) -> Result<&Vocabulary, EngineError> {
        let vocabulary = self
            .vocabulary
            .get_or_init(|| Vocabulary::new(&self.tokenizer));
        vocabulary.as_ref().map_err(EngineError::clone)
    }

    /// The prompt's tokens.
    pub(crate) fn tokenize(&self, prompt: &Prompt) -> Result<Vec<u32>, EngineError> {
        self.read(prompt).map(|(tokens, _)| tokens)
    }

    /// The prompt's tokens, and how to read what the model replies where its template tells. A text so long that it
    /// cannot fit the window is not tokenized at all: that would hold up everybody else.
    pub(crate) fn read(&self, prompt: &Prompt) -> Result<(Vec<u32>, Option<Manner>), EngineError> {
        match prompt {
            Prompt::Messages(messages) => {
                self.check_length(messages.iter().map(|message| message.content.len()).sum())?;
                let (tokens, _) = self.read_conversation(&messages.as_slice().into())?;
                Ok((tokens, None))
            }
            Prompt::Conversation(conversation) => {
                self.check_length(conversation.n_bytes())?;
                let (tokens, manner) = self.read_conversation(conversation)?;
                Ok((tokens, Some(manner)))
            }
            Prompt::Raw(text) => {
                self.check_length(text.len())?;
                let tokens = self.tokenizer.encode_raw(text);
                if tokens.is_empty() {
                    return Err(EngineError::invalid(
                        "prompt",
                        "prompt has no character that this model's vocabulary knows",
                    ));
                }
                Ok((tokens, None))
            }
            Prompt::Tokens(tokens) => {
                let known = |token: &u32| (*token as usize) < self.tokenizer.vocabulary_size();
                match tokens.iter().find(|token| !known(token)) {
                    None => Ok((tokens.clone(), None)),
                    Some(token) => Err(EngineError::invalid(
                        "prompt",
                        format!("prompt has the token {token}, which this model does not have"),
                    )),
                }
            }
        }
    }

    fn read_conversation(
        &self,
        conversation: &Conversation,
    ) -> Result<(Vec<u32>, Manner), EngineError> {
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
        let has_tools = !conversation.tools.is_empty();
        let source = template.source(has_tools);
        let manner = Manner {
            format: ReplyFormat::of(source, &rendered.text, has_tools),
            names_before_arguments: source.contains("[ARGS]"),
        };
        Ok((tokens, manner))
    }

    fn check_length(&self, n_bytes: usize) -> Result<(), EngineError> {
        let fewest = u32::try_from(self.tokenizer.fewest_tokens(n_bytes)).unwrap_or(u32::MAX);
        if fewest > self.window() {
            return Err(EngineError::context_overflow(fewest, 0, self.window()));
        }
        Ok(())
    }
}

fn check_vocabulary(n_network: usize, tokenizer: &Tokenizer) -> Result<(), EngineError> {
    let n_tokenizer = tokenizer.vocabulary_size();
    if n_network != n_tokenizer {
        return Err(EngineError::corrupt(format!(
            "its network has {n_network} tokens and its tokenizer {n_tokenizer}"
        )));
    }
    Ok(())
}

#[cfg(test)]
impl Source {
    /// Of a model that writes.
    pub(crate) fn load_model(&self) -> Model {
        match self.load(None) {
            Ok(Loaded::Model(model)) => *model,
            other => panic!("{other:?}"),
        }
    }
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod vectors;
