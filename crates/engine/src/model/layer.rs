//! The tensors of one layer.

use super::family::Tensors;
use super::matrix::{FileBytes, Input, Matrix, vector};
use super::pool::Pool;
use super::shape::Shape;
use crate::error::EngineError;
use crate::gguf::Gguf;

#[derive(Debug)]
pub(super) struct Layer {
    pub(super) attention_norm: Vec<f32>,
    pub(super) projection: Projection,
    pub(super) query_norm: Option<Vec<f32>>,
    pub(super) key_norm: Option<Vec<f32>>,
    pub(super) attention_output: Linear,
    pub(super) post_attention_norm: Option<Vec<f32>>,
    pub(super) feed_forward_norm: Vec<f32>,
    pub(super) gate: Gate,
    pub(super) down: Linear,
    pub(super) post_feed_forward_norm: Option<Vec<f32>>,
}

/// A matrix and what is added to its product.
#[derive(Debug)]
pub(super) struct Linear {
    matrix: Matrix,
    bias: Option<Vec<f32>>,
}

/// Queries, keys and values.
#[derive(Debug)]
pub(super) enum Projection {
    Apart([Linear; 3]),
    Fused(Linear),
}

/// Gates and what they are multiplied with.
#[derive(Debug)]
pub(super) enum Gate {
    Apart([Linear; 2]),
    Fused(Linear),
}

/// Finds the tensors of one layer.
pub(super) struct Finder<'a, 'b> {
    pub(super) file: &'a Gguf<'b>,
    pub(super) bytes: &'a FileBytes,
    pub(super) index: usize,
}

// === impl Layer ===

impl Layer {
    pub(super) fn from_gguf(
        file: &Gguf<'_>,
        bytes: &FileBytes,
        index: usize,
        shape: &Shape,
    ) -> Result<Layer, EngineError> {
        let find = Finder { file, bytes, index };
        let (family, hidden, feed) = (shape.family, shape.hidden, shape.feed_forward);
        let (queries, keys) = (shape.query_width(), shape.kv_width());
        let post = |name: &str| {
            family
                .has_post_norms
                .then(|| find.vector(name, hidden))
                .transpose()
        };
        let head_norm = |name: &str| {
            family
                .has_head_norms
                .then(|| find.vector(name, shape.head))
                .transpose()
        };
        Ok(Layer {
            attention_norm: find.vector("attn_norm", hidden)?,
            projection: if family.tensors == Tensors::Fused {
                Projection::Fused(find.linear("attn_qkv", queries + 2 * keys, hidden)?)
            } else {
                Projection::Apart([
                    find.linear("attn_q", queries, hidden)?,
                    find.linear("attn_k", keys, hidden)?,
                    find.linear("attn_v", keys, hidden)?,
                ])
            },
            query_norm: head_norm("attn_q_norm")?,
            key_norm: head_norm("attn_k_norm")?,
            attention_output: find.linear("attn_output", hidden, queries)?,
            post_attention_norm: post("post_attention_norm")?,
            feed_forward_norm: find.vector("ffn_norm", hidden)?,
            gate: if family.tensors == Tensors::Fused {
                Gate::Fused(find.linear("ffn_up", feed.saturating_mul(2), hidden)?)
            } else {
                Gate::Apart([
                    find.linear("ffn_gate", feed, hidden)?,
                    find.linear("ffn_up", feed, hidden)?,
                ])
            },
            down: find.linear("ffn_down", hidden, feed)?,
            post_feed_forward_norm: post("post_ffw_norm")?,
        })
    }
}

// === impl Finder ===

impl Finder<'_, '_> {
    pub(super) fn has(&self, name: &str) -> bool {
        let name = format!("blk.{}.{name}.weight", self.index);
        self.file.tensor(&name).is_some()
    }

    fn vector(&self, name: &str, length: usize) -> Result<Vec<f32>, EngineError> {
        let name = format!("blk.{}.{name}.weight", self.index);
        vector(self.file.required(&name)?, length)
    }

    pub(super) fn linear(
        &self,
        name: &str,
        n_rows: usize,
        n_columns: usize,
    ) -> Result<Linear, EngineError> {
        let name = format!("blk.{}.{name}", self.index);
        let tensor = self.file.required(&format!("{name}.weight"))?;
        let bias = self.file.tensor(&format!("{name}.bias"));
        Ok(Linear {
            matrix: Matrix::from_tensor(self.bytes, tensor, n_rows, n_columns)?,
            bias: bias.map(|bias| vector(bias, n_rows)).transpose()?,
        })
    }
}

// === impl Linear ===

impl Linear {
    pub(super) fn times(&self, input: &mut Input, pool: &Pool) -> Vec<f32> {
        let mut product = self.matrix.times(input, pool);
        if let Some(bias) = &self.bias {
            for row in product.chunks_exact_mut(bias.len()) {
                for (x, bias) in row.iter_mut().zip(bias) {
                    *x += bias;
                }
            }
        }
        product
    }
}

// === impl Projection ===

impl Projection {
    /// Queries, keys and values of every row.
    pub(super) fn times(&self, input: &mut Input, shape: &Shape, pool: &Pool) -> [Vec<f32>; 3] {
        match self {
            Projection::Apart(three) => three.each_ref().map(|linear| linear.times(input, pool)),
            Projection::Fused(linear) => {
                let (queries, keys) = (shape.query_width(), shape.kv_width());
                split(&linear.times(input, pool), [queries, keys, keys])
            }
        }
    }
}

// === impl Gate ===

impl Gate {
    /// Gates and their partners of every row.
    pub(super) fn times(&self, input: &mut Input, shape: &Shape, pool: &Pool) -> [Vec<f32>; 2] {
        match self {
            Gate::Apart(two) => two.each_ref().map(|linear| linear.times(input, pool)),
            Gate::Fused(linear) => split(&linear.times(input, pool), [shape.feed_forward; 2]),
        }
    }
}

/// Takes rows apart into columns of these widths.
pub(super) fn split<const N: usize>(rows: &[f32], widths: [usize; N]) -> [Vec<f32>; N] {
    let mut parts = widths.map(|_| Vec::new());
    for mut row in rows.chunks_exact(widths.iter().sum()) {
        for (part, width) in parts.iter_mut().zip(widths) {
            let (head, rest) = row.split_at(width);
            part.extend_from_slice(head);
            row = rest;
        }
    }
    parts
}

/// Adds to every number what is beside it.
pub(super) fn add(x: &mut [f32], more: &[f32]) {
    for (x, more) in x.iter_mut().zip(more) {
        *x += more;
    }
}
