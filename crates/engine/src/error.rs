//! The one error of the engine: what kind of thing went wrong, and a sentence that names the next step.
//!
//! It does not know about HTTP or dialects: whoever calls the engine turns a kind into a status.

use std::fmt;

/// Why the engine refused or gave up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineError {
    pub kind: ErrorKind,
    pub message: String,
}

/// What went wrong, for programs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ErrorKind {
    /// Prompt and wished output do not fit into the model's window. `max_output` is 0 where the caller named none.
    /// `prompt_tokens` is exact unless the text is so long that it cannot fit however it is split; then it is the
    /// least number of tokens that the text can have.
    ContextOverflow {
        prompt_tokens: u32,
        max_output: u32,
        window: u32,
    },
    /// A value that the engine does not take; `param` is the name of the field.
    InvalidParameter { param: &'static str },
    /// Every place in the batch and in the queue is taken, or the memory by models that are at work.
    Busy,
    /// The model needs more memory than all local models may take.
    TooLarge,
    /// A well-formed model file of a kind that the engine cannot run.
    UnsupportedModel,
    /// The model file cannot be read or contradicts itself.
    CorruptModel,
    /// Something that this model cannot do.
    Unsupported { what: &'static str },
    /// The engine's own fault.
    Internal,
}

impl EngineError {
    pub(crate) fn context_overflow(
        prompt_tokens: u32,
        max_output: u32,
        window: u32,
    ) -> EngineError {
        let message = if max_output == 0 {
            format!(
                "the prompt has {prompt_tokens} tokens and the model's window {window}; shorten the prompt so that \
                 at least one token is left for the answer"
            )
        } else {
            format!(
                "the prompt has {prompt_tokens} tokens and {max_output} are asked for, more than the model's window \
                 of {window}; shorten the prompt or lower max_tokens"
            )
        };
        EngineError {
            kind: ErrorKind::ContextOverflow {
                prompt_tokens,
                max_output,
                window,
            },
            message,
        }
    }

    /// A text to embed; `index` is its place in the caller's list.
    pub(crate) fn input_too_long(index: usize, n_tokens: u32, window: u32) -> EngineError {
        EngineError {
            kind: ErrorKind::ContextOverflow {
                prompt_tokens: n_tokens,
                max_output: 0,
                window,
            },
            message: format!(
                "input {index} has {n_tokens} tokens and the model's window {window}; shorten or split it"
            ),
        }
    }

    pub(crate) fn embeds_only(id: &str) -> EngineError {
        EngineError::unsupported(
            "generation",
            format!("model {id} gives embeddings only; ask a model that writes text"),
        )
    }

    pub(crate) fn writes_only(id: &str) -> EngineError {
        EngineError::unsupported(
            "embeddings",
            format!("model {id} writes text; it gives no embeddings"),
        )
    }

    pub(crate) fn invalid(param: &'static str, message: impl Into<String>) -> EngineError {
        EngineError {
            kind: ErrorKind::InvalidParameter { param },
            message: message.into(),
        }
    }

    /// The other models are at work.
    pub(crate) fn no_room(wanted: u64, free: u64) -> EngineError {
        EngineError {
            kind: ErrorKind::Busy,
            message: format!(
                "the model needs {} of memory and {} are free while other models are at work; try again in a moment",
                shown_bytes(wanted),
                shown_bytes(free)
            ),
        }
    }

    pub(crate) fn too_large(wanted: u64, most: u64) -> EngineError {
        EngineError {
            kind: ErrorKind::TooLarge,
            message: format!(
                "the model needs {} of memory and local models may take {} together; choose a smaller quantisation, or \
                 raise engine.memory",
                shown_bytes(wanted),
                shown_bytes(most)
            ),
        }
    }

    pub(crate) fn busy() -> EngineError {
        EngineError {
            kind: ErrorKind::Busy,
            message: "the local engine's queue is full; try again in a moment".to_owned(),
        }
    }

    pub(crate) fn corrupt(message: impl Into<String>) -> EngineError {
        EngineError {
            kind: ErrorKind::CorruptModel,
            message: format!("the model file is corrupt: {}", message.into()),
        }
    }

    pub(crate) fn unsupported_model(message: impl Into<String>) -> EngineError {
        EngineError {
            kind: ErrorKind::UnsupportedModel,
            message: format!("the model file is not supported: {}", message.into()),
        }
    }

    pub(crate) fn unsupported(what: &'static str, message: impl Into<String>) -> EngineError {
        EngineError {
            kind: ErrorKind::Unsupported { what },
            message: message.into(),
        }
    }

    pub(crate) fn internal(message: impl Into<String>) -> EngineError {
        EngineError {
            kind: ErrorKind::Internal,
            message: message.into(),
        }
    }
}

impl EngineError {
    /// The message, which is a clause, as a sentence of its own.
    pub fn sentence(&self) -> String {
        let mut chars = self.message.chars();
        let first: String = chars
            .next()
            .into_iter()
            .flat_map(char::to_uppercase)
            .collect();
        format!("{first}{}.", chars.as_str())
    }
}

impl fmt::Display for EngineError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for EngineError {}

fn shown_bytes(n: u64) -> String {
    let gib = n / (1 << 20) * 10 / 1024;
    if gib >= 10 {
        format!("{}.{} GiB", gib / 10, gib % 10)
    } else {
        format!("{} MiB", n.div_ceil(1 << 20))
    }
}
