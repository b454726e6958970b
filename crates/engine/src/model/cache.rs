//! What a sequence's tokens left behind for those that follow: keys and values, as halves.
//!
//! Positions lie in blocks that several sequences may share: a clone of a cache costs a pointer for each block, and a
//! block is copied only when one of its owners writes to it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tollgate_kernels::f32_to_half;

/// Positions in a block.
pub(super) const BLOCK: usize = 64;

/// A sequence's keys and values of all layers.
#[derive(Debug, Clone, Default)]
pub(crate) struct Cache {
    pub(super) blocks: Vec<Arc<Block>>,
    length: usize,
    counter: BlockCounter,
}

/// `BLOCK` positions: for each layer, first the keys of all positions and then their values.
#[derive(Debug, Clone)]
pub(super) struct Block {
    halves: Vec<u16>,
    width: usize,
    _counted: Counted,
}

/// How many blocks there are of all caches that have this counter: one that several share counts once.
#[derive(Debug, Clone, Default)]
pub(crate) struct BlockCounter {
    n: Arc<AtomicUsize>,
}

/// One block of those that are counted.
#[derive(Debug)]
struct Counted(BlockCounter);

/// Blocks that so many positions take.
pub(crate) fn n_blocks(n_positions: usize) -> usize {
    n_positions.div_ceil(BLOCK)
}

// === impl Cache ===

impl Cache {
    /// An empty cache whose blocks are counted here.
    pub(crate) fn counted(counter: &BlockCounter) -> Cache {
        Cache {
            counter: counter.clone(),
            ..Cache::default()
        }
    }

    /// Blocks that will be made for so many more positions: new ones, and a copy of the last where it is shared.
    pub(crate) fn n_new_blocks(&self, n_more: usize) -> usize {
        let is_written_to = n_more > 0 && !self.length.is_multiple_of(BLOCK);
        let is_shared = |block: &Arc<Block>| Arc::strong_count(block) > 1;
        let is_copied = is_written_to && self.blocks.last().is_some_and(is_shared);
        n_blocks(self.length + n_more).saturating_sub(self.blocks.len()) + usize::from(is_copied)
    }

    /// Positions that are there.
    pub(crate) fn len(&self) -> usize {
        self.length
    }

    /// Forgets everything from a position on.
    pub(crate) fn truncate(&mut self, length: usize) {
        if length < self.length {
            self.length = length;
            self.blocks.truncate(length.div_ceil(BLOCK));
        }
    }

    /// Room for so many more positions, each with keys and values of `width` numbers a layer.
    pub(super) fn reserve(&mut self, n_more: usize, n_layers: usize, width: usize) {
        let counter = &self.counter;
        self.blocks.resize_with(n_blocks(self.length + n_more), || {
            Arc::new(Block {
                halves: vec![0; n_layers * 2 * BLOCK * width],
                width,
                _counted: Counted::new(counter),
            })
        });
    }

    /// Has so many positions, whatever stands in them.
    #[cfg(test)]
    pub(crate) fn fill(&mut self, n: usize) {
        self.reserve(n, 1, 1);
        self.advance(n);
    }

    /// Writes a reserved position of a layer.
    pub(super) fn write(&mut self, layer: usize, position: usize, key: &[f32], value: &[f32]) {
        let block = Arc::make_mut(&mut self.blocks[position / BLOCK]);
        let size = BLOCK * block.width;
        let at = layer * 2 * size + position % BLOCK * block.width;
        for (half, x) in block.halves[at..].iter_mut().zip(key) {
            *half = f32_to_half(*x);
        }
        for (half, x) in block.halves[at + size..].iter_mut().zip(value) {
            *half = f32_to_half(*x);
        }
    }

    /// Reserved positions that are all written now.
    pub(super) fn advance(&mut self, n_more: usize) {
        self.length += n_more;
    }
}

// === impl Block ===

impl Block {
    pub(super) fn keys(&self, layer: usize) -> &[u16] {
        let size = BLOCK * self.width;
        &self.halves[layer * 2 * size..][..size]
    }

    pub(super) fn values(&self, layer: usize) -> &[u16] {
        let size = BLOCK * self.width;
        &self.halves[(layer * 2 + 1) * size..][..size]
    }
}

// === impl BlockCounter ===

impl BlockCounter {
    pub(crate) fn n(&self) -> usize {
        self.n.load(Ordering::Acquire)
    }
}

// === impl Counted ===

impl Counted {
    fn new(counter: &BlockCounter) -> Counted {
        counter.n.fetch_add(1, Ordering::AcqRel);
        Counted(counter.clone())
    }
}

impl Clone for Counted {
    fn clone(&self) -> Counted {
        Counted::new(&self.0)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.n.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(n: u16) -> Cache {
        let mut cache = Cache::default();
        cache.reserve(usize::from(n), 2, 4);
        for position in 0..n {
            let number = [f32::from(position); 4];
            for layer in 0..2 {
                cache.write(layer, position.into(), &number, &number);
            }
        }
        cache.advance(n.into());
        cache
    }

    #[test]
    fn a_clone_shares_blocks_until_one_of_them_writes() {
        let first = filled(130);
        let mut second = first.clone();
        second.truncate(100);
        assert_eq!((second.len(), second.blocks.len()), (100, 2));
        second.reserve(1, 2, 4);
        second.write(1, 100, &[-1.0; 4], &[-2.0; 4]);
        second.advance(1);
        assert!(Arc::ptr_eq(&first.blocks[0], &second.blocks[0]));
        assert!(!Arc::ptr_eq(&first.blocks[1], &second.blocks[1]));
        let at = 100 % BLOCK * 4;
        assert_eq!(first.blocks[1].keys(1)[at], f32_to_half(100.0));
        assert_eq!(second.blocks[1].keys(1)[at], f32_to_half(-1.0));
        assert_eq!(second.blocks[1].values(1)[at], f32_to_half(-2.0));
        assert_eq!(second.blocks[1].values(0)[at], f32_to_half(100.0));
        assert_eq!(second.blocks[1].keys(1)[at - 4], f32_to_half(99.0));
    }

    #[test]
    fn a_block_counts_once_however_many_share_it_and_no_longer_when_all_are_gone() {
        let counter = BlockCounter::default();
        let mut first = Cache::counted(&counter);
        first.fill(130);
        assert_eq!(counter.n(), 3);
        let mut second = first.clone();
        assert_eq!(counter.n(), 3);
        assert_eq!(second.n_new_blocks(1), 1, "the shared last block is copied");
        second.reserve(1, 1, 1);
        second.write(0, 130, &[1.0], &[1.0]);
        assert_eq!(counter.n(), 4);
        assert_eq!(second.n_new_blocks(62), 0);
        assert_eq!(second.n_new_blocks(63), 1);
        drop(first);
        assert_eq!(counter.n(), 3);
        second.truncate(64);
        assert_eq!((counter.n(), second.n_new_blocks(1)), (1, 1));
        drop(second);
        assert_eq!(counter.n(), 0);
    }
}
