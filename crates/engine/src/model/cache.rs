//! What a sequence's tokens left behind for those that follow: keys and values, as halves.
//!
//! Positions lie in blocks that several sequences may share: a clone of a cache costs a pointer for each block, and a
//! block is copied only when one of its owners writes to it.

use std::sync::Arc;

use tollgate_kernels::f32_to_half;

/// Positions in a block.
pub(super) const BLOCK: usize = 64;

/// A sequence's keys and values of all layers.
#[derive(Debug, Clone, Default)]
pub(crate) struct Cache {
    pub(super) blocks: Vec<Arc<Block>>,
    length: usize,
}

/// `BLOCK` positions: for each layer, first the keys of all positions and then their values.
#[derive(Debug, Clone)]
pub(super) struct Block {
    halves: Vec<u16>,
    width: usize,
}

// === impl Cache ===

impl Cache {
    /// Positions that are there.
    pub(crate) fn len(&self) -> usize {
        self.length
    }

    /// Forgets everything from a position on.
    #[cfg_attr(
        not(test),
        expect(dead_code, reason = "prefixes are shared by the batch")
    )]
    pub(crate) fn truncate(&mut self, length: usize) {
        if length < self.length {
            self.length = length;
            self.blocks.truncate(length.div_ceil(BLOCK));
        }
    }

    /// Room for so many more positions, each with keys and values of `width` numbers a layer.
    pub(super) fn reserve(&mut self, n_more: usize, n_layers: usize, width: usize) {
        let n_blocks = (self.length + n_more).div_ceil(BLOCK);
        self.blocks.resize_with(n_blocks, || {
            Arc::new(Block {
                halves: vec![0; n_layers * 2 * BLOCK * width],
                width,
            })
        });
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
}
