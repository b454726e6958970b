//! Attention in which every token of a text sees all tokens of it.
//!
//! Keys and values of a head are laid out as matrices, so that the products with all queries run on the kernels that
//! multiply weights, in plain f32. Queries go in groups: what a long text needs is bounded by its length, not its square.

use std::sync::Arc;

use tollgate_kernels::{Activations, Cpu, Format, Kind, Weights};

use super::shape::EncoderShape;
use crate::model::pool::Pool;

/// Queries that meet a head's keys together.
const QUERIES_AT_ONCE: usize = 64;
/// Rows of matrices are multiples of it.
const STEP: usize = 32;
/// Products below which threads cost more than they bring.
const WORTH_THREADS: usize = 1 << 18;

/// One layer's attention: what all heads of all texts read.
struct Task {
    head: usize,
    hidden: usize,
    scale: f32,
    queries: Vec<f32>,
    keys: Vec<f32>,
    values: Vec<f32>,
}

/// The rows of one text.
#[derive(Debug, Clone, Copy)]
struct Text {
    first: usize,
    n: usize,
}

/// The mean of a text's values for each query, weighted by how its products with the keys compare.
pub(super) fn attend(
    shape: &EncoderShape,
    lengths: &[usize],
    [queries, keys, values]: [Vec<f32>; 3],
    pool: &Pool,
) -> Vec<f32> {
    let n_rows: usize = lengths.iter().sum();
    let (head, hidden, n_heads) = (shape.head, shape.hidden, shape.n_heads);
    let mut texts = Vec::with_capacity(lengths.len());
    let mut first = 0;
    for n in lengths {
        texts.push(Text { first, n: *n });
        first += n;
    }
    #[expect(clippy::cast_precision_loss, reason = "a head is short")]
    let scale = 1.0 / (head as f32).sqrt();
    let task = Arc::new(Task {
        head,
        hidden,
        scale,
        queries,
        keys,
        values,
    });
    let n_products = lengths.iter().map(|n| n * n).sum::<usize>() * hidden;
    let made: Vec<Vec<f32>> = if n_products < WORTH_THREADS {
        let parts = (0..texts.len() * n_heads).map(|i| (texts[i / n_heads], i % n_heads));
        parts
            .map(|(text, head)| task.attend_head(text, head))
            .collect()
    } else {
        let (task, texts) = (Arc::clone(&task), texts.clone());
        pool.map(texts.len() * n_heads, move |i| {
            task.attend_head(texts[i / n_heads], i % n_heads)
        })
    };
    let mut mixed = vec![0.0; n_rows * hidden];
    for (i, part) in made.iter().enumerate() {
        let (text, at) = (texts[i / n_heads], i % n_heads * head);
        let rows = mixed[text.first * hidden..].chunks_exact_mut(hidden);
        for (row, part) in rows.zip(part.chunks_exact(head)) {
            row[at..at + head].copy_from_slice(part);
        }
    }
    mixed
}

// === impl Task ===

impl Task {
    /// The rows of one head of one text.
    fn attend_head(&self, text: Text, head: usize) -> Vec<f32> {
        let cpu = Cpu::best();
        let n = text.n;
        let (width, n_wide) = (self.head.next_multiple_of(STEP), n.next_multiple_of(STEP));
        let keys = self.key_bytes(text, head, width);
        let values = self.value_bytes(text, head, n_wide);
        let matrix = |data, n_columns| Weights {
            format: Format::F32,
            n_columns,
            data,
        };
        let mut mixed = vec![0.0; n * self.head];
        let mut scores = Vec::new();
        let groups = mixed.chunks_mut(QUERIES_AT_ONCE * self.head);
        for (group, mixed) in groups.enumerate() {
            let n_queries = mixed.len() / self.head;
            let first = text.first + group * QUERIES_AT_ONCE;
            let queries = self.padded_queries(first..first + n_queries, head, width);
            let queries = Activations::new(Kind::Plain, &queries, width);
            scores.clear();
            scores.resize(n_queries * n, 0.0);
            cpu.multiply(matrix(&keys, width), 0..n, &queries, &mut scores);
            let mut weights = Vec::with_capacity(n_queries * n_wide);
            for row in scores.chunks_exact_mut(n) {
                cpu.softmax(row);
                weights.extend_from_slice(row);
                weights.resize(weights.len().next_multiple_of(n_wide), 0.0);
            }
            let weights = Activations::new(Kind::Plain, &weights, n_wide);
            cpu.multiply(matrix(&values, n_wide), 0..self.head, &weights, mixed);
        }
        mixed
    }

    fn of_row<'a>(&self, numbers: &'a [f32], row: usize, head: usize) -> &'a [f32] {
        &numbers[row * self.hidden + head * self.head..][..self.head]
    }

    /// Queries with the scale of the products in them, one after the other.
    fn padded_queries(&self, rows: std::ops::Range<usize>, head: usize, width: usize) -> Vec<f32> {
        let mut padded = Vec::with_capacity(rows.len() * width);
        for row in rows {
            let query = self.of_row(&self.queries, row, head);
            padded.extend(query.iter().map(|x| x * self.scale));
            padded.resize(padded.len().next_multiple_of(width), 0.0);
        }
        padded
    }

    /// A row for each token.
    fn key_bytes(&self, text: Text, head: usize, width: usize) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(text.n * width * 4);
        for row in text.first..text.first + text.n {
            for x in self.of_row(&self.keys, row, head) {
                bytes.extend_from_slice(&x.to_le_bytes());
            }
            bytes.resize(bytes.len().next_multiple_of(width * 4), 0);
        }
        bytes
    }

    /// A row for each number of the head, with that number of every token.
    fn value_bytes(&self, text: Text, head: usize, n_wide: usize) -> Vec<u8> {
        let mut bytes = vec![0; self.head * n_wide * 4];
        for token in 0..text.n {
            let value = self.of_row(&self.values, text.first + token, head);
            for (row, x) in bytes.chunks_exact_mut(n_wide * 4).zip(value) {
                row[token * 4..][..4].copy_from_slice(&x.to_le_bytes());
            }
        }
        bytes
    }
}
