//! Attention of a pass's rows over the caches of their sequences.

use std::sync::Arc;

use tollgate_kernels::Cpu;

use super::cache::{BLOCK, Block};
use super::network::Lane;
use super::pool::Pool;
use super::shape::Shape;

/// Products below which threads cost more than they bring.
const WORTH_THREADS: usize = 1 << 18;
/// Heads of one part of the work, where it is split.
const HEADS_AT_ONCE: usize = 4;

/// A token's place in the batch.
#[derive(Debug, Clone, Copy)]
pub(super) struct Row {
    pub(super) lane: usize,
    pub(super) position: usize,
}

/// One layer's attention: what all heads of all rows read.
struct Task {
    shape: Shape,
    layer: usize,
    rows: Vec<Row>,
    queries: Vec<f32>,
    /// The cached blocks of each lane.
    lanes: Vec<Vec<Arc<Block>>>,
}

/// The mean of the cached values for each query, weighted by how its products with the keys compare.
pub(super) fn attend(
    shape: &Shape,
    layer: usize,
    (rows, queries): (&[Row], Vec<f32>),
    lanes: &[Lane<'_>],
    pool: &Pool,
) -> Vec<f32> {
    let n_products: usize =
        rows.iter().map(|row| row.position + 1).sum::<usize>() * shape.query_width();
    let task = Task {
        shape: shape.clone(),
        layer,
        rows: rows.to_vec(),
        queries,
        lanes: lanes.iter().map(|lane| lane.cache.blocks.clone()).collect(),
    };
    let n_heads = rows.len() * shape.n_heads;
    let at_once = if n_products < WORTH_THREADS || pool.n_threads() == 1 {
        n_heads
    } else {
        HEADS_AT_ONCE
    };
    let parts = pool.map(n_heads.div_ceil(at_once), move |part| {
        let heads = part * at_once..((part + 1) * at_once).min(n_heads);
        let mut mixed = vec![0.0; heads.len() * task.shape.head];
        let mut scores = Vec::new();
        for (head, mixed) in heads.zip(mixed.chunks_exact_mut(task.shape.head)) {
            task.attend_head(head, &mut scores, mixed);
        }
        mixed
    });
    parts.concat()
}

// === impl Task ===

impl Task {
    /// `index` counts the heads of all rows.
    fn attend_head(&self, index: usize, scores: &mut Vec<f32>, mixed: &mut [f32]) {
        let shape = &self.shape;
        let cpu = Cpu::best();
        let row = self.rows[index / shape.n_heads];
        let blocks = &self.lanes[row.lane];
        let query = &self.queries[index * shape.head..][..shape.head];
        let kv_head = index % shape.n_heads * shape.n_kv_heads / shape.n_heads;
        let (width, at) = (shape.kv_width(), kv_head * shape.head);
        let first = shape.first_seen(self.layer, row.position);
        let pieces = pieces(first, row.position + 1);
        scores.clear();
        scores.resize(row.position + 1 - first, 0.0);
        for (block, range) in pieces.clone() {
            let out = &mut scores[block * BLOCK + range.start - first..][..range.len()];
            let keys = &blocks[block].keys(self.layer)[range.start * width..range.end * width];
            cpu.scores(query, keys, width, at, out);
        }
        for score in scores.iter_mut() {
            *score *= shape.scale;
        }
        if let Some(cap) = shape.attention_cap {
            for score in scores.iter_mut() {
                *score = cap * (*score / cap).tanh();
            }
        }
        cpu.softmax(scores);
        for (block, range) in pieces {
            let weights = &scores[block * BLOCK + range.start - first..][..range.len()];
            let values = &blocks[block].values(self.layer)[range.start * width..range.end * width];
            cpu.mix(weights, values, width, at, mixed);
        }
    }
}

/// Positions from `first` to before `end`, as blocks and what of each is meant.
fn pieces(
    first: usize,
    end: usize,
) -> impl Iterator<Item = (usize, std::ops::Range<usize>)> + Clone {
    (first / BLOCK..end.div_ceil(BLOCK)).map(move |block| {
        let start = block * BLOCK;
        (
            block,
            first.max(start) - start..end.min(start + BLOCK) - start,
        )
    })
}
