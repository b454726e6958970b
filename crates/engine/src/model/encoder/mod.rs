//! A network that reads whole texts at once and gives a vector for each: the BERT family.
//!
//! Owns the order of its steps; `shape` says what sets one architecture apart from the other, `layer` reads the tensors,
//! `attention` lets every token of a text see all of them. Nothing is kept between passes. It follows BERT
//! (<https://arxiv.org/abs/1810.04805>) with the names of llama.cpp's files (`src/models/bert.cpp` there); GELU is the
//! exact one, with which the models are trained, where llama.cpp takes its `tanh` form.

mod attention;
mod layer;
mod shape;

use std::fmt;

use tollgate_kernels::Cpu;

use self::attention::attend;
use self::layer::{Feed, Layer, Norm};
pub(super) use self::shape::{EncoderShape, Pooling};
use super::layer::{Finder, add};
use super::matrix::{FileBytes, Input, Matrix};
use super::pool::Pool;
use super::rope::Rope;
use crate::error::EngineError;
use crate::gguf::Gguf;

pub(crate) struct Encoder {
    shape: EncoderShape,
    embedding: Matrix,
    /// What is added to the embedding of every token: that of the first token type. A text alone has no other.
    token_type: Option<Vec<f32>>,
    positions: Positions,
    norm: Norm,
    layers: Vec<Layer>,
    pool: Pool,
}

/// How a token knows its place.
enum Positions {
    /// A vector for each place is added to the embedding.
    Learned(Matrix),
    Turned(Rope),
}

// === impl Encoder ===

impl Encoder {
    pub(crate) fn from_gguf(
        file: &Gguf<'_>,
        bytes: &FileBytes,
        n_threads: usize,
    ) -> Result<Encoder, EngineError> {
        let shape = EncoderShape::from_gguf(file)?;
        let table = file.required("token_embd.weight")?;
        let n_tokens = table.dimensions.get(1).copied().unwrap_or(0);
        let embedding = Matrix::from_tensor(bytes, table, n_tokens, shape.hidden)?;
        let positions = if let Some(base) = shape.rope_base {
            Positions::Turned(Rope::plain(shape.head, base))
        } else {
            let table = file.required("position_embd.weight")?;
            let n_positions = shape.window as usize;
            let table = Matrix::from_tensor(bytes, table, n_positions, shape.hidden)?;
            Positions::Learned(table)
        };
        // Layers are read until one is missing, so an absurd count costs nothing.
        let layers = (0..shape.n_layers)
            .map(|index| Layer::from_gguf(&Finder { file, bytes, index }, &shape))
            .collect::<Result<Vec<Layer>, EngineError>>()?;
        Ok(Encoder {
            token_type: token_type(file, bytes, shape.hidden)?,
            norm: Norm::from_gguf(file, "token_embd_norm", &shape)?,
            pool: Pool::new(n_threads),
            embedding,
            positions,
            layers,
            shape,
        })
    }

    pub(crate) fn vocabulary_size(&self) -> usize {
        self.embedding.n_rows()
    }

    pub(crate) fn window(&self) -> u32 {
        self.shape.window
    }

    pub(super) fn pooling(&self) -> Pooling {
        self.shape.pooling
    }

    /// The last layer's numbers of every token of every text, one text after the other. Each text has at least one token
    /// and fits the window, and all tokens are of the vocabulary.
    pub(super) fn states(&self, texts: &[&[u32]]) -> Vec<f32> {
        let shape = &self.shape;
        let positions: Vec<usize> = texts.iter().flat_map(|text| 0..text.len()).collect();
        let mut x = self.embed(texts, &positions);
        let angles = match &self.positions {
            Positions::Turned(rope) => Some((rope, rope.angles(&positions))),
            Positions::Learned(_) => None,
        };
        let lengths: Vec<usize> = texts.iter().map(|text| text.len()).collect();
        for layer in &self.layers {
            let mut input = Input::new(x.clone(), shape.hidden);
            let [mut queries, mut keys, values] =
                layer.projection.times(&mut input, shape.hidden, &self.pool);
            if let Some((rope, angles)) = &angles {
                rope.rotate(&mut queries, shape.n_heads, angles, false);
                rope.rotate(&mut keys, shape.n_heads, angles, false);
            }
            let mixed = attend(shape, &lengths, [queries, keys, values], &self.pool);
            let mut input = Input::new(mixed, shape.hidden);
            add(
                &mut x,
                &layer.attention_output.times(&mut input, &self.pool),
            );
            layer.attention_norm.apply(&mut x);
            let fed = self.feed_forward(layer, &x);
            add(&mut x, &fed);
            layer.output_norm.apply(&mut x);
        }
        x
    }

    fn embed(&self, texts: &[&[u32]], positions: &[usize]) -> Vec<f32> {
        let mut x = Vec::with_capacity(positions.len() * self.shape.hidden);
        for token in texts.iter().copied().flatten() {
            self.embedding.append_row(*token as usize, &mut x);
        }
        if let Some(token_type) = &self.token_type {
            for row in x.chunks_exact_mut(self.shape.hidden) {
                add(row, token_type);
            }
        }
        if let Positions::Learned(table) = &self.positions {
            let mut places = Vec::with_capacity(x.len());
            for position in positions {
                table.append_row(*position, &mut places);
            }
            add(&mut x, &places);
        }
        self.norm.apply(&mut x);
        x
    }

    fn feed_forward(&self, layer: &Layer, x: &[f32]) -> Vec<f32> {
        let mut input = Input::new(x.to_vec(), self.shape.hidden);
        let inner = match &layer.feed {
            Feed::Plain(up) => {
                let mut inner = up.times(&mut input, &self.pool);
                Cpu::best().gelu_exact(&mut inner);
                inner
            }
            Feed::Gated([gate, up]) => {
                let mut gates = gate.times(&mut input, &self.pool);
                Cpu::best().silu(&mut gates, &up.times(&mut input, &self.pool));
                gates
            }
        };
        let mut input = Input::new(inner, self.shape.feed_forward);
        layer.down.times(&mut input, &self.pool)
    }
}

impl fmt::Debug for Encoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Encoder")
            .field("shape", &self.shape)
            .finish_non_exhaustive()
    }
}

/// The first row of the token types, where the file has them.
fn token_type(
    file: &Gguf<'_>,
    bytes: &FileBytes,
    hidden: usize,
) -> Result<Option<Vec<f32>>, EngineError> {
    let Some(tensor) = file.tensor("token_types.weight") else {
        return Ok(None);
    };
    let mut tensor = tensor.clone();
    // A matrix of one row may be written as a vector.
    let n_types = tensor.dimensions.get(1).copied().unwrap_or(1);
    tensor.dimensions.resize(tensor.dimensions.len().max(2), 1);
    let mut first = Vec::new();
    Matrix::from_tensor(bytes, &tensor, n_types, hidden)?.append_row(0, &mut first);
    Ok(Some(first))
}

#[cfg(test)]
mod tests;
