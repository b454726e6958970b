//! The tensors of one layer of an encoder, and its norms.

use super::shape::EncoderShape;
use crate::error::EngineError;
use crate::gguf::Gguf;
use crate::model::layer::{Finder, Linear, split};
use crate::model::matrix::{Input, vector};
use crate::model::pool::Pool;

#[derive(Debug)]
pub(super) struct Layer {
    pub(super) projection: Projection,
    pub(super) attention_output: Linear,
    pub(super) attention_norm: Norm,
    pub(super) feed: Feed,
    pub(super) down: Linear,
    pub(super) output_norm: Norm,
}

/// Queries, keys and values, as the file has them.
#[derive(Debug)]
pub(super) enum Projection {
    Apart([Linear; 3]),
    Fused(Linear),
}

/// What widens a row in the feed-forward step.
#[derive(Debug)]
pub(super) enum Feed {
    Plain(Linear),
    /// Gates, and what they are multiplied with.
    Gated([Linear; 2]),
}

/// A norm that takes the mean away too.
#[derive(Debug)]
pub(super) struct Norm {
    gain: Vec<f32>,
    bias: Vec<f32>,
    epsilon: f32,
}

// === impl Layer ===

impl Layer {
    pub(super) fn from_gguf(
        find: &Finder<'_, '_>,
        shape: &EncoderShape,
    ) -> Result<Layer, EngineError> {
        let (hidden, feed) = (shape.hidden, shape.feed_forward);
        let norm = |name: &str| {
            let name = format!("blk.{}.{name}", find.index);
            Norm::from_gguf(find.file, &name, shape)
        };
        Ok(Layer {
            projection: if find.has("attn_qkv") {
                Projection::Fused(find.linear("attn_qkv", 3 * hidden, hidden)?)
            } else {
                Projection::Apart([
                    find.linear("attn_q", hidden, hidden)?,
                    find.linear("attn_k", hidden, hidden)?,
                    find.linear("attn_v", hidden, hidden)?,
                ])
            },
            attention_output: find.linear("attn_output", hidden, hidden)?,
            attention_norm: norm("attn_output_norm")?,
            feed: if shape.has_gates {
                Feed::Gated([
                    find.linear("ffn_gate", feed, hidden)?,
                    find.linear("ffn_up", feed, hidden)?,
                ])
            } else {
                Feed::Plain(find.linear("ffn_up", feed, hidden)?)
            },
            down: find.linear("ffn_down", hidden, feed)?,
            output_norm: norm("layer_output_norm")?,
        })
    }
}

// === impl Projection ===

impl Projection {
    /// Queries, keys and values of every row.
    pub(super) fn times(&self, input: &mut Input, hidden: usize, pool: &Pool) -> [Vec<f32>; 3] {
        match self {
            Projection::Apart(three) => three.each_ref().map(|linear| linear.times(input, pool)),
            Projection::Fused(linear) => split(&linear.times(input, pool), [hidden; 3]),
        }
    }
}

// === impl Norm ===

impl Norm {
    pub(super) fn from_gguf(
        file: &Gguf<'_>,
        name: &str,
        shape: &EncoderShape,
    ) -> Result<Norm, EngineError> {
        let read = |part: &str| vector(file.required(&format!("{name}.{part}"))?, shape.hidden);
        Ok(Norm {
            gain: read("weight")?,
            bias: read("bias")?,
            epsilon: shape.epsilon,
        })
    }

    /// Norms every row.
    #[expect(clippy::cast_precision_loss, reason = "a row is short")]
    pub(super) fn apply(&self, x: &mut [f32]) {
        let n = self.gain.len() as f32;
        for row in x.chunks_exact_mut(self.gain.len()) {
            let mean = sum(row, |x| x) / n;
            let variance = sum(row, |x| (x - mean) * (x - mean)) / n;
            let factor = 1.0 / (variance + self.epsilon).sqrt();
            for ((x, gain), bias) in row.iter_mut().zip(&self.gain).zip(&self.bias) {
                *x = (*x - mean) * factor * gain + bias;
            }
        }
    }
}

/// In eight partial sums, so that it can be vectorised.
fn sum(row: &[f32], of: impl Fn(f32) -> f32) -> f32 {
    let mut sums = [0.0; 8];
    let (eights, rest) = row.as_chunks::<8>();
    for eight in eights {
        for i in 0..8 {
            sums[i] += of(eight[i]);
        }
    }
    sums.iter().sum::<f32>() + rest.iter().map(|x| of(*x)).sum::<f32>()
}
