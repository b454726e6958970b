//! What a model will cost in memory, told from the head of its file.

use std::path::Path;

use super::cache::BLOCK;
use super::description::{Plan, read_head};
use crate::error::EngineError;
use crate::gguf::Gguf;

/// A model's need of memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Memory {
    /// The file, which is read whole.
    pub weights: u64,
    /// For each token of each sequence that runs. A model that embeds keeps nothing; this is then what a pass takes.
    pub cache_per_token: u64,
    /// The most tokens of a sequence.
    pub window: u32,
}

// === impl Memory ===

impl Memory {
    /// A block of the cache.
    pub(crate) fn bytes_of_block(&self) -> u64 {
        self.cache_per_token.saturating_mul(BLOCK as u64)
    }

    /// Reads no more of the file than its head.
    pub fn of_file(path: &Path) -> Result<Memory, EngineError> {
        read_head(path, Memory::of)
    }

    /// Of a file of `size` bytes.
    pub fn of(file: &Gguf<'_>, size: u64) -> Result<Memory, EngineError> {
        Ok(match Plan::of(file)? {
            Plan::Encoder(shape) => Memory {
                weights: size,
                cache_per_token: shape.bytes_per_token(),
                window: shape.window,
            },
            Plan::Decoder(shape, _) => {
                // Keys and values, two bytes a number.
                let per_layer = 4 * shape.kv_width() as u64;
                Memory {
                    weights: size,
                    cache_per_token: per_layer * shape.n_layers as u64,
                    window: shape.window,
                }
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::demo_bytes;

    #[test]
    fn the_head_of_a_file_tells_what_it_will_cost() {
        let bytes = demo_bytes();
        let size = bytes.len() as u64;
        let whole = Memory::of(&Gguf::parse(bytes).unwrap(), size).unwrap();
        let head = Gguf::parse_head(&bytes[..200_000], size).unwrap();
        assert_eq!(Memory::of(&head, size).unwrap(), whole);
        assert_eq!(whole.weights, size);
        // Four layers with two key-value heads of 64.
        assert_eq!(whole.cache_per_token, 4 * 2 * 2 * 64 * 2);
        let path = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/models/tollgate-demo-q8_0.gguf"
        );
        assert_eq!(Memory::of_file(Path::new(path)).unwrap(), whole);
    }
}
