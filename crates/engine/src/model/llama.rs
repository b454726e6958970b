//! The llama network: token ids in, logits out, for several sequences of different lengths in one pass.
//!
//! Owns the weights, their shapes and the key-value cache of a sequence. RoPE turns neighbouring pairs, as GGUF files
//! of `llama` want it. It neither draws tokens nor decides who is in the batch.

use std::fmt;

use super::matrix::{Activations, Matrix, vector};
use crate::error::EngineError;
use crate::gguf::Gguf;

pub(crate) struct Llama {
    shape: Shape,
    embedding: Matrix,
    layers: Vec<Layer>,
    norm: Vec<f32>,
    /// `None` where the embedding serves as the output matrix too.
    output: Option<Matrix>,
    /// RoPE's angle per position, for each pair of a head.
    turns: Vec<f32>,
}

#[derive(Debug, Clone)]
struct Shape {
    hidden: usize,
    n_heads: usize,
    n_kv_heads: usize,
    head: usize,
    feed_forward: usize,
    window: u32,
    epsilon: f32,
}

struct Layer {
    attention_norm: Vec<f32>,
    query: Matrix,
    key: Matrix,
    value: Matrix,
    attention_output: Matrix,
    feed_forward_norm: Vec<f32>,
    gate: Matrix,
    up: Matrix,
    down: Matrix,
}

/// What a sequence's tokens left behind for those that follow.
#[derive(Debug, Default)]
pub(crate) struct Cache {
    /// Per layer: keys and values, position after position.
    layers: Vec<(Vec<f32>, Vec<f32>)>,
    length: usize,
}

/// A sequence's part in one pass.
pub(crate) struct Lane<'a> {
    pub(crate) cache: &'a mut Cache,
    /// What follows the cached tokens: at least one, all within the vocabulary and the window.
    pub(crate) tokens: &'a [u32],
    /// Whether the logits after the last of them are wanted.
    pub(crate) wants_logits: bool,
}

/// A token's place in the batch.
struct Row {
    lane: usize,
    position: usize,
}

// === impl Llama ===

impl Llama {
    pub(crate) fn from_gguf(file: &Gguf<'_>) -> Result<Llama, EngineError> {
        let architecture = file.text("general.architecture")?;
        if architecture != "llama" {
            return Err(EngineError::unsupported_model(format!(
                "its architecture is {architecture:?}; \"llama\" is read"
            )));
        }
        let shape = Shape::from_gguf(file)?;
        let n_tokens = file.texts("tokenizer.ggml.tokens")?.len();
        let n_layers = file.count("llama.block_count")?;
        // Layers are read until one is missing, so an absurd count costs nothing.
        let layers = (0..n_layers)
            .map(|i| Layer::from_gguf(file, i, &shape))
            .collect::<Result<Vec<Layer>, EngineError>>()?;
        let output = file
            .tensor("output.weight")
            .map(|tensor| Matrix::from_tensor(tensor, n_tokens, shape.hidden))
            .transpose()?;
        Ok(Llama {
            embedding: Matrix::from_tensor(
                file.required("token_embd.weight")?,
                n_tokens,
                shape.hidden,
            )?,
            norm: vector(file.required("output_norm.weight")?, shape.hidden)?,
            turns: turns(file, shape.head)?,
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
        let hidden = self.shape.hidden;
        let mut rows = Vec::new();
        let mut x = Vec::new();
        for (i, lane) in lanes.iter_mut().enumerate() {
            lane.cache
                .layers
                .resize_with(self.layers.len(), Default::default);
            for (position, token) in (lane.cache.length..).zip(lane.tokens) {
                rows.push(Row { lane: i, position });
                self.embedding.append_row(*token as usize, &mut x);
            }
        }
        let turns: Vec<(f32, f32)> = rows
            .iter()
            .flat_map(|row| self.turned(row.position))
            .collect();
        for (i, layer) in self.layers.iter().enumerate() {
            let mixed = self.attention(layer, i, &x, &rows, &turns, lanes);
            add(&mut x, &mixed);
            let fed = self.feed_forward(layer, &x);
            add(&mut x, &fed);
        }
        let mut last = 0;
        lanes
            .iter_mut()
            .map(|lane| {
                lane.cache.length += lane.tokens.len();
                last += lane.tokens.len();
                lane.wants_logits.then(|| {
                    let normed = normed(
                        &x[(last - 1) * hidden..last * hidden],
                        &self.norm,
                        self.shape.epsilon,
                    );
                    let matrix = self.output.as_ref().unwrap_or(&self.embedding);
                    matrix.times(&Activations::from_rows(&normed))
                })
            })
            .collect()
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "one stage of the pass; these are the pass's own state"
    )]
    fn attention(
        &self,
        layer: &Layer,
        index: usize,
        x: &[f32],
        rows: &[Row],
        turns: &[(f32, f32)],
        lanes: &mut [Lane<'_>],
    ) -> Vec<f32> {
        let Shape {
            n_heads,
            n_kv_heads,
            head,
            ..
        } = self.shape;
        let normed = normed(x, &layer.attention_norm, self.shape.epsilon);
        let input = Activations::from_rows(&normed);
        let mut queries = layer.query.times(&input);
        let mut keys = layer.key.times(&input);
        let values = layer.value.times(&input);
        rotate(&mut queries, turns, head, n_heads);
        rotate(&mut keys, turns, head, n_kv_heads);
        let width = head * n_kv_heads;
        for ((row, key), value) in rows
            .iter()
            .zip(keys.chunks_exact(width))
            .zip(values.chunks_exact(width))
        {
            let (cached_keys, cached_values) = &mut lanes[row.lane].cache.layers[index];
            cached_keys.extend_from_slice(key);
            cached_values.extend_from_slice(value);
        }
        let mut mixed = Vec::with_capacity(queries.len());
        let mut weights = Vec::new();
        for (row, query) in rows.iter().zip(queries.chunks_exact(head * n_heads)) {
            let (keys, values) = &lanes[row.lane].cache.layers[index];
            let seen = ..(row.position + 1) * width;
            for (h, query) in query.chunks_exact(head).enumerate() {
                let at = h * n_kv_heads / n_heads * head;
                weigh(query, &keys[seen], width, at, &mut weights);
                mix(&weights, &values[seen], width, at..at + head, &mut mixed);
            }
        }
        layer
            .attention_output
            .times(&Activations::from_rows(&mixed))
    }

    fn feed_forward(&self, layer: &Layer, x: &[f32]) -> Vec<f32> {
        let normed = normed(x, &layer.feed_forward_norm, self.shape.epsilon);
        let input = Activations::from_rows(&normed);
        let mut gate = layer.gate.times(&input);
        let up = layer.up.times(&input);
        for (g, u) in gate.iter_mut().zip(&up) {
            *g = *g / (1.0 + (-*g).exp()) * u;
        }
        layer.down.times(&Activations::from_rows(&gate))
    }

    /// Sine and cosine of every pair's angle at a position.
    #[expect(clippy::cast_precision_loss, reason = "positions are far below 2^24")]
    fn turned(&self, position: usize) -> impl Iterator<Item = (f32, f32)> {
        self.turns
            .iter()
            .map(move |turn| (turn * position as f32).sin_cos())
    }
}

impl fmt::Debug for Llama {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Llama")
            .field("shape", &self.shape)
            .finish_non_exhaustive()
    }
}

// === impl Shape ===

impl Shape {
    fn from_gguf(file: &Gguf<'_>) -> Result<Shape, EngineError> {
        let size = |key: &str| match file.count(key)? {
            0 => Err(EngineError::corrupt(format!("the key {key} is 0"))),
            n => Ok(n as usize),
        };
        let hidden = size("llama.embedding_length")?;
        let n_heads = size("llama.attention.head_count")?;
        let n_kv_heads = match file.optional_count("llama.attention.head_count_kv")? {
            Some(_) => size("llama.attention.head_count_kv")?,
            None => n_heads,
        };
        let head = match file.optional_count("llama.attention.key_length")? {
            Some(_) => size("llama.attention.key_length")?,
            None => hidden / n_heads,
        };
        let value_head = file.optional_count("llama.attention.value_length")?;
        if value_head.is_some_and(|length| length as usize != head) {
            return Err(EngineError::unsupported_model(
                "its keys and values differ in length",
            ));
        }
        if head == 0 || head % 2 != 0 || n_heads % n_kv_heads != 0 {
            return Err(EngineError::corrupt(format!(
                "{n_heads} heads of {head} over {n_kv_heads} key-value heads do not fit together"
            )));
        }
        // The products are used as sizes later.
        if n_heads.checked_mul(head).is_none() {
            return Err(EngineError::corrupt("its heads are too large"));
        }
        let epsilon = file
            .optional_float("llama.attention.layer_norm_rms_epsilon")?
            .unwrap_or(1e-5);
        #[expect(clippy::cast_possible_truncation, reason = "f32 in the file")]
        let epsilon = epsilon as f32;
        Ok(Shape {
            hidden,
            n_heads,
            n_kv_heads,
            head,
            feed_forward: size("llama.feed_forward_length")?,
            window: u32::try_from(size("llama.context_length")?).unwrap_or(u32::MAX),
            epsilon,
        })
    }
}

// === impl Layer ===

impl Layer {
    fn from_gguf(file: &Gguf<'_>, index: u32, shape: &Shape) -> Result<Layer, EngineError> {
        let tensor = |name: &str| file.required(&format!("blk.{index}.{name}.weight"));
        let matrix = |name: &str, rows, columns| Matrix::from_tensor(tensor(name)?, rows, columns);
        let all_heads = shape.n_heads * shape.head;
        let kv_heads = shape.n_kv_heads * shape.head;
        Ok(Layer {
            attention_norm: vector(tensor("attn_norm")?, shape.hidden)?,
            query: matrix("attn_q", all_heads, shape.hidden)?,
            key: matrix("attn_k", kv_heads, shape.hidden)?,
            value: matrix("attn_v", kv_heads, shape.hidden)?,
            attention_output: matrix("attn_output", shape.hidden, all_heads)?,
            feed_forward_norm: vector(tensor("ffn_norm")?, shape.hidden)?,
            gate: matrix("ffn_gate", shape.feed_forward, shape.hidden)?,
            up: matrix("ffn_up", shape.feed_forward, shape.hidden)?,
            down: matrix("ffn_down", shape.hidden, shape.feed_forward)?,
        })
    }
}

fn turns(file: &Gguf<'_>, head: usize) -> Result<Vec<f32>, EngineError> {
    let rotated = file.optional_count("llama.rope.dimension_count")?;
    if rotated.is_some_and(|n| n as usize != head) {
        return Err(EngineError::unsupported_model(
            "RoPE turns a part of each head only",
        ));
    }
    for key in ["llama.rope.scaling.type", "llama.rope.scale_linear"] {
        if file
            .value(key)
            .is_some_and(|value| !matches!(value, crate::gguf::Value::Text("none")))
        {
            return Err(EngineError::unsupported_model(format!(
                "it scales RoPE ({key})"
            )));
        }
    }
    if file.tensor("rope_freqs.weight").is_some() {
        return Err(EngineError::unsupported_model(
            "it scales RoPE (rope_freqs.weight)",
        ));
    }
    let base = file
        .optional_float("llama.rope.freq_base")?
        .unwrap_or(10_000.0);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_precision_loss,
        reason = "angles are f32, as in the reference; a head is short"
    )]
    let turn = |i: usize| base.powf(-((2 * i) as f64) / head as f64) as f32;
    Ok((0..head / 2).map(turn).collect())
}

fn add(x: &mut [f32], more: &[f32]) {
    for (x, more) in x.iter_mut().zip(more) {
        *x += more;
    }
}

/// RMS norm of every row.
#[expect(clippy::cast_precision_loss, reason = "a row is short")]
fn normed(x: &[f32], gain: &[f32], epsilon: f32) -> Vec<f32> {
    let mut normed = Vec::with_capacity(x.len());
    for row in x.chunks_exact(gain.len()) {
        let mean = dot(row, row) / row.len() as f32;
        let factor = 1.0 / (mean + epsilon).sqrt();
        normed.extend(row.iter().zip(gain).map(|(x, gain)| x * factor * gain));
    }
    normed
}

/// Turns every pair of every head by its row's angles.
fn rotate(x: &mut [f32], turns: &[(f32, f32)], head: usize, n_heads: usize) {
    for (row, turns) in x
        .chunks_exact_mut(head * n_heads)
        .zip(turns.chunks_exact(head / 2))
    {
        for head in row.chunks_exact_mut(head) {
            for (pair, (sin, cos)) in head.chunks_exact_mut(2).zip(turns) {
                let (even, odd) = (pair[0], pair[1]);
                pair[0] = even * cos - odd * sin;
                pair[1] = even * sin + odd * cos;
            }
        }
    }
}

/// Softmax of the query's scaled products with one head of every key.
#[expect(clippy::cast_precision_loss, reason = "a head is short")]
fn weigh(query: &[f32], keys: &[f32], width: usize, at: usize, weights: &mut Vec<f32>) {
    let scale = 1.0 / (query.len() as f32).sqrt();
    weights.clear();
    weights.extend(
        keys.chunks_exact(width)
            .map(|key| dot(query, &key[at..at + query.len()]) * scale),
    );
    let most = weights.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let mut sum = 0.0;
    for weight in weights.iter_mut() {
        *weight = (*weight - most).exp();
        sum += *weight;
    }
    for weight in weights {
        *weight /= sum;
    }
}

/// Appends the weighted mean of one head of the values.
fn mix(
    weights: &[f32],
    values: &[f32],
    width: usize,
    head: std::ops::Range<usize>,
    mixed: &mut Vec<f32>,
) {
    let from = mixed.len();
    mixed.resize(from + head.len(), 0.0);
    for (weight, value) in weights.iter().zip(values.chunks_exact(width)) {
        for (mixed, value) in mixed[from..].iter_mut().zip(&value[head.clone()]) {
            *mixed += weight * value;
        }
    }
}

/// In eight partial sums, so that it can be vectorised.
fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut sums = [0.0; 8];
    let (eights_a, rest_a) = a.as_chunks::<8>();
    let (eights_b, rest_b) = b.as_chunks::<8>();
    for (a, b) in eights_a.iter().zip(eights_b) {
        for i in 0..8 {
            sums[i] += a[i] * b[i];
        }
    }
    let rest: f32 = rest_a.iter().zip(rest_b).map(|(a, b)| a * b).sum();
    sums.iter().sum::<f32>() + rest
}
