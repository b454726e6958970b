//! The network: token ids in, logits out, for several sequences of different lengths in one pass.
//!
//! Owns the order of a layer's steps; `family` says which of them an architecture has. It neither draws tokens nor
//! decides who is in the batch. The arithmetic is `tollgate-kernels`'.

use std::fmt;

use tollgate_kernels::Cpu;

use super::attention::{Row, attend};
use super::cache::Cache;
use super::family::Activation;
use super::layer::{Layer, add};
use super::matrix::{FileBytes, Input, Matrix, vector};
use super::pool::Pool;
use super::rope::{Angles, Rope};
use super::shape::Shape;
use crate::error::EngineError;
use crate::gguf::Gguf;

pub(crate) struct Network {
    shape: Shape,
    embedding: Matrix,
    layers: Vec<Layer>,
    norm: Vec<f32>,
    /// `None` where the embedding serves as the output matrix too.
    output: Option<Matrix>,
    rope: Rope,
    pool: Pool,
}

/// A sequence's part in one pass.
pub(crate) struct Lane<'a> {
    pub(crate) cache: &'a mut Cache,
    /// What follows the cached tokens: at least one, all within the vocabulary and the window.
    pub(crate) tokens: &'a [u32],
    /// Whether the logits after the last of them are wanted.
    pub(crate) wants_logits: bool,
}

// === impl Network ===

impl Network {
    pub(crate) fn from_gguf(
        file: &Gguf<'_>,
        bytes: &FileBytes,
        n_threads: usize,
    ) -> Result<Network, EngineError> {
        let shape = Shape::from_gguf(file)?;
        let table = file.required("token_embd.weight")?;
        let n_tokens = table.dimensions.get(1).copied().unwrap_or(0);
        let output = file
            .tensor("output.weight")
            .map(|tensor| Matrix::from_tensor(bytes, tensor, n_tokens, shape.hidden))
            .transpose()?;
        // Layers are read until one is missing, so an absurd count costs nothing.
        let layers = (0..shape.n_layers)
            .map(|i| Layer::from_gguf(file, bytes, i, &shape))
            .collect::<Result<Vec<Layer>, EngineError>>()?;
        Ok(Network {
            embedding: Matrix::from_tensor(bytes, table, n_tokens, shape.hidden)?,
            norm: vector(file.required("output_norm.weight")?, shape.hidden)?,
            rope: Rope::from_gguf(file, &shape)?,
            pool: Pool::new(n_threads),
            layers,
            output,
            shape,
        })
    }

    pub(crate) fn vocabulary_size(&self) -> usize {
        self.embedding.n_rows()
    }

    pub(crate) fn window(&self) -> u32 {
        self.shape.window
    }

    /// Feeds every lane's tokens. The result has the logits of each lane that wants them.
    pub(crate) fn forward(&self, lanes: &mut [Lane<'_>]) -> Vec<Option<Vec<f32>>> {
        let x = self.pass(lanes);
        self.logits(&x, lanes)
    }

    /// Feeds every lane's tokens. The result has the last layer's normed numbers of each of them.
    pub(super) fn states(&self, lanes: &mut [Lane<'_>]) -> Vec<f32> {
        let mut x = self.pass(lanes);
        norm(&mut x, &self.norm, self.shape.epsilon);
        x
    }

    fn pass(&self, lanes: &mut [Lane<'_>]) -> Vec<f32> {
        let (n_layers, width) = (self.layers.len(), self.shape.kv_width());
        let mut rows = Vec::new();
        let mut x = Vec::new();
        for (i, lane) in lanes.iter_mut().enumerate() {
            lane.cache.reserve(lane.tokens.len(), n_layers, width);
            for (position, token) in (lane.cache.len()..).zip(lane.tokens) {
                rows.push(Row { lane: i, position });
                self.embedding.append_row(*token as usize, &mut x);
            }
        }
        self.scale_embeddings(&mut x);
        let positions: Vec<usize> = rows.iter().map(|row| row.position).collect();
        let angles = self.rope.angles(&positions);
        for (i, layer) in self.layers.iter().enumerate() {
            let mut mixed = self.attention(i, &x, &rows, &angles, lanes);
            self.post(&mut mixed, layer.post_attention_norm.as_deref());
            add(&mut x, &mixed);
            let mut fed = self.feed_forward(layer, &x);
            self.post(&mut fed, layer.post_feed_forward_norm.as_deref());
            add(&mut x, &fed);
        }
        for lane in lanes.iter_mut() {
            lane.cache.advance(lane.tokens.len());
        }
        x
    }

    fn scale_embeddings(&self, x: &mut [f32]) {
        if self.shape.family.scales_embedding {
            #[expect(clippy::cast_precision_loss, reason = "a row is short")]
            let scale = (self.shape.hidden as f32).sqrt();
            for x in x {
                *x *= scale;
            }
        }
    }

    fn attention(
        &self,
        index: usize,
        x: &[f32],
        rows: &[Row],
        angles: &Angles,
        lanes: &mut [Lane<'_>],
    ) -> Vec<f32> {
        let (layer, shape) = (&self.layers[index], &self.shape);
        let mut input = self.input(x, &layer.attention_norm);
        let [mut queries, mut keys, values] = layer.projection.times(&mut input, shape, &self.pool);
        if let Some(gain) = &layer.query_norm {
            norm(&mut queries, gain, shape.epsilon);
        }
        if let Some(gain) = &layer.key_norm {
            norm(&mut keys, gain, shape.epsilon);
        }
        let is_local = shape.family.sliding.is_for(index);
        self.rope
            .rotate(&mut queries, shape.n_heads, angles, is_local);
        self.rope
            .rotate(&mut keys, shape.n_kv_heads, angles, is_local);
        let width = shape.kv_width();
        let pairs = keys.chunks_exact(width).zip(values.chunks_exact(width));
        for (row, (key, value)) in rows.iter().zip(pairs) {
            lanes[row.lane].cache.write(index, row.position, key, value);
        }
        let mixed = attend(shape, index, (rows, queries), lanes, &self.pool);
        let mut input = Input::new(mixed, shape.query_width());
        layer.attention_output.times(&mut input, &self.pool)
    }

    fn feed_forward(&self, layer: &Layer, x: &[f32]) -> Vec<f32> {
        let mut input = self.input(x, &layer.feed_forward_norm);
        let [mut gates, others] = layer.gate.times(&mut input, &self.shape, &self.pool);
        match self.shape.family.activation {
            Activation::Silu => Cpu::best().silu(&mut gates, &others),
            Activation::Gelu => Cpu::best().gelu(&mut gates, &others),
        }
        let mut input = Input::new(gates, self.shape.feed_forward);
        layer.down.times(&mut input, &self.pool)
    }

    /// The normed rows, to meet matrices.
    fn input(&self, x: &[f32], gain: &[f32]) -> Input {
        let mut normed = x.to_vec();
        norm(&mut normed, gain, self.shape.epsilon);
        Input::new(normed, self.shape.hidden)
    }

    fn post(&self, x: &mut [f32], gain: Option<&[f32]>) {
        if let Some(gain) = gain {
            norm(x, gain, self.shape.epsilon);
        }
    }

    /// The output matrix is large, so all lanes meet it together.
    fn logits(&self, x: &[f32], lanes: &[Lane<'_>]) -> Vec<Option<Vec<f32>>> {
        let hidden = self.shape.hidden;
        let mut wanted = Vec::new();
        let mut end = 0;
        for lane in lanes {
            end += lane.tokens.len() * hidden;
            if lane.wants_logits {
                wanted.extend_from_slice(&x[end - hidden..end]);
            }
        }
        let matrix = self.output.as_ref().unwrap_or(&self.embedding);
        let mut all = if wanted.is_empty() {
            Vec::new()
        } else {
            matrix.times(&mut self.input(&wanted, &self.norm), &self.pool)
        };
        if let Some(cap) = self.shape.logit_cap {
            for logit in &mut all {
                *logit = cap * (*logit / cap).tanh();
            }
        }
        let mut each = all.chunks_exact(matrix.n_rows());
        lanes
            .iter()
            .map(|lane| {
                let logits = lane.wants_logits.then(|| each.next())?;
                logits.map(<[f32]>::to_vec)
            })
            .collect()
    }
}

impl fmt::Debug for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Network")
            .field("shape", &self.shape)
            .finish_non_exhaustive()
    }
}

/// RMS norm of every row, a row being as long as the gain.
#[expect(clippy::cast_precision_loss, reason = "a row is short")]
fn norm(x: &mut [f32], gain: &[f32], epsilon: f32) {
    for row in x.chunks_exact_mut(gain.len()) {
        let mean = squares(row) / row.len() as f32;
        let factor = 1.0 / (mean + epsilon).sqrt();
        for (x, gain) in row.iter_mut().zip(gain) {
            *x = *x * factor * gain;
        }
    }
}

/// In eight partial sums, so that it can be vectorised.
fn squares(row: &[f32]) -> f32 {
    let mut sums = [0.0; 8];
    let (eights, rest) = row.as_chunks::<8>();
    for eight in eights {
        for i in 0..8 {
            sums[i] += eight[i] * eight[i];
        }
    }
    sums.iter().sum::<f32>() + rest.iter().map(|x| x * x).sum::<f32>()
}
