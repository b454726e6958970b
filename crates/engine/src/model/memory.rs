//! What a model will cost in memory, told from the head of its file.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use super::shape::Shape;
use crate::error::EngineError;
use crate::gguf::Gguf;

/// A model's need of memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Memory {
    /// The file, which is read whole.
    pub weights: u64,
    /// For each token of each sequence that runs.
    pub cache_per_token: u64,
    /// The most tokens of a sequence.
    pub window: u32,
}

// === impl Memory ===

impl Memory {
    /// Reads no more of the file than its head.
    pub fn of_file(path: &Path) -> Result<Memory, EngineError> {
        let unreadable = |error: std::io::Error| {
            EngineError::corrupt(format!("{} cannot be read: {error}", path.display()))
        };
        let mut file = File::open(path).map_err(unreadable)?;
        let size = file.metadata().map_err(unreadable)?.len();
        let mut head = Vec::new();
        let mut n_wanted = 1_u64 << 20;
        loop {
            let n_more = n_wanted.min(size).saturating_sub(head.len() as u64);
            let mut part = Read::by_ref(&mut file).take(n_more);
            let n_read = part.read_to_end(&mut head).map_err(unreadable)?;
            match Gguf::parse_head(&head, size) {
                Ok(gguf) => return Memory::of(&gguf, size),
                // The head may go on beyond what was read.
                Err(error) if head.len() as u64 == size || n_read == 0 => return Err(error),
                Err(_) => n_wanted = n_wanted.saturating_mul(4),
            }
        }
    }

    /// Of a file of `size` bytes.
    pub fn of(file: &Gguf<'_>, size: u64) -> Result<Memory, EngineError> {
        let shape = Shape::from_gguf(file)?;
        // Keys and values, two bytes a number.
        let per_layer = 4 * shape.kv_width() as u64;
        Ok(Memory {
            weights: size,
            cache_per_token: per_layer * shape.n_layers as u64,
            window: shape.window,
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
