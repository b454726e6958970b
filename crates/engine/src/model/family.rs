//! The kinds of networks that are read, as data: what a layer of each has, and what its keys mean.
//!
//! The names of keys and tensors, and which family has which, are llama.cpp's
//! (<https://github.com/ggml-org/llama.cpp/blob/master/gguf-py/gguf/constants.py> and `src/llama-model.cpp` there).

use super::encoder::EncoderShape;
use crate::error::EngineError;

/// What sets one architecture apart from the others.
#[derive(Debug, Clone, Copy)]
pub(super) struct Family {
    /// `general.architecture`, and what its keys begin with.
    pub(super) name: &'static str,
    pub(super) pairing: Pairing,
    pub(super) activation: Activation,
    /// Embeddings are multiplied by the root of their length.
    pub(super) scales_embedding: bool,
    pub(super) tensors: Tensors,
    /// Of each head of queries and keys, before RoPE.
    pub(super) has_head_norms: bool,
    /// Of what attention and feed-forward give, before it is added.
    pub(super) has_post_norms: bool,
    pub(super) sliding: Sliding,
    /// With so many layers, attention is scaled by the embedding's share of a head instead of the head's length.
    pub(super) layers_of_odd_scale: Option<usize>,
}

/// Which two numbers of a head RoPE turns together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pairing {
    Neighbours,
    /// A number of the first half and its like in the second.
    Halves,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Activation {
    Silu,
    Gelu,
}

/// Whether queries, keys and values lie in one tensor, and gates and their partners in another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tensors {
    Apart,
    Fused,
}

/// Which layers see only the last positions, where the file says how many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sliding {
    AllLayers,
    /// All but each so many-th.
    AllButEvery(usize),
}

const PLAIN: Family = Family {
    name: "llama",
    pairing: Pairing::Neighbours,
    activation: Activation::Silu,
    scales_embedding: false,
    tensors: Tensors::Apart,
    has_head_norms: false,
    has_post_norms: false,
    sliding: Sliding::AllLayers,
    layers_of_odd_scale: None,
};

/// Biases, a separate output matrix and RoPE's factors are read wherever a file has them.
const FAMILIES: [Family; 7] = [
    PLAIN,
    Family {
        name: "qwen2",
        pairing: Pairing::Halves,
        ..PLAIN
    },
    Family {
        name: "qwen3",
        pairing: Pairing::Halves,
        has_head_norms: true,
        ..PLAIN
    },
    Family {
        name: "gemma",
        ..GEMMA
    },
    Family {
        name: "gemma2",
        has_post_norms: true,
        sliding: Sliding::AllButEvery(2),
        layers_of_odd_scale: Some(46),
        ..GEMMA
    },
    Family {
        name: "gemma3",
        has_head_norms: true,
        has_post_norms: true,
        sliding: Sliding::AllButEvery(6),
        layers_of_odd_scale: Some(62),
        ..GEMMA
    },
    Family {
        name: "phi3",
        pairing: Pairing::Halves,
        tensors: Tensors::Fused,
        ..PLAIN
    },
];

const GEMMA: Family = Family {
    pairing: Pairing::Halves,
    activation: Activation::Gelu,
    scales_embedding: true,
    ..PLAIN
};

// === impl Family ===

impl Family {
    pub(super) fn of(architecture: &str) -> Result<Family, EngineError> {
        FAMILIES
            .into_iter()
            .find(|family| family.name == architecture)
            .ok_or_else(|| {
                let names = FAMILIES.iter().map(|family| family.name);
                let names: Vec<&str> = names.chain(EncoderShape::names()).collect();
                EngineError::unsupported_model(format!(
                    "its architecture is {architecture:?}; these are read: {}",
                    names.join(", ")
                ))
            })
    }

    /// A key of this architecture.
    pub(super) fn key(&self, name: &str) -> String {
        format!("{}.{name}", self.name)
    }
}

// === impl Sliding ===

impl Sliding {
    pub(super) fn is_for(self, layer: usize) -> bool {
        match self {
            Sliding::AllLayers => true,
            Sliding::AllButEvery(n) => layer % n != n - 1,
        }
    }
}
