//! Rows of activations, made ready to meet weights of a format: as they are, or as bytes with a scale for each block.
//!
//! The blocks are those with which ggml meets each format: 32 numbers for formats of 32 (its `Q8_0` and `Q8_1`), 256 for
//! the K formats (its `Q8_K`), so that results agree with llama.cpp's. Sums of blocks serve formats with an offset or a
//! minimum.

use crate::Cpu;
use crate::format::Format;
use crate::half::{f32_to_half, half_to_f32};

/// Rows of activations for one kind of weights.
#[derive(Debug, Clone)]
pub struct Activations {
    pub(crate) n_rows: usize,
    pub(crate) blocks_per_row: usize,
    pub(crate) blocks: Blocks,
}

#[derive(Debug, Clone)]
pub(crate) enum Blocks {
    Plain(Vec<f32>),
    Small(Vec<Small>),
    Large(Vec<Large>),
}

/// 32 numbers. Quants are packed four to a word, first lowest, as dot products take them.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub(crate) struct Small {
    pub(crate) quants: [i32; 8],
    pub(crate) sum: i32,
    pub(crate) scale: f32,
    /// The sum of the numbers that the quants stand for.
    pub(crate) scaled_sum: f32,
}

/// 256 numbers.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub(crate) struct Large {
    pub(crate) quants: [i32; 64],
    /// Of each 16 quants.
    pub(crate) sums: [i32; 16],
    /// Sums of each 32 quants, two to a word.
    pub(crate) pairs: [i32; 4],
    pub(crate) scale: f32,
}

/// What a format's weights are met with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Plain,
    Small,
    Large,
}

// === impl Kind ===

impl Kind {
    pub const fn of(format: Format) -> Kind {
        match format {
            Format::F32 | Format::F16 | Format::Bf16 => Kind::Plain,
            Format::Q8_0 | Format::Q4_0 | Format::Q4_1 | Format::Q5_0 | Format::Q5_1 => Kind::Small,
            Format::Q4K | Format::Q5K | Format::Q6K => Kind::Large,
        }
    }
}

// === impl Activations ===

impl Activations {
    /// `numbers` are rows of `n_columns`, which are whole blocks of the kind.
    pub fn new(kind: Kind, numbers: &[f32], n_columns: usize) -> Activations {
        let (blocks_per_row, blocks) = match kind {
            Kind::Plain => (n_columns, Blocks::Plain(numbers.to_vec())),
            Kind::Small => {
                let blocks = Cpu::best().small_blocks(numbers);
                (n_columns / 32, Blocks::Small(blocks))
            }
            Kind::Large => {
                let blocks = Cpu::best().large_blocks(numbers);
                (n_columns / 256, Blocks::Large(blocks))
            }
        };
        Activations {
            n_rows: numbers.len() / n_columns,
            blocks_per_row,
            blocks,
        }
    }

    pub fn kind(&self) -> Kind {
        match self.blocks {
            Blocks::Plain(_) => Kind::Plain,
            Blocks::Small(_) => Kind::Small,
            Blocks::Large(_) => Kind::Large,
        }
    }

    pub fn n_rows(&self) -> usize {
        self.n_rows
    }
}

// === impl Small ===

impl Small {
    #[expect(clippy::cast_precision_loss, reason = "a block's sum is below 2^13")]
    #[inline]
    pub(crate) fn new(numbers: &[f32; 32]) -> Small {
        let largest = largest(numbers);
        let step = largest / 127.0;
        let factor = if largest > 0.0 { 1.0 / step } else { 0.0 };
        let mut bytes = [0; 32];
        for (byte, x) in bytes.iter_mut().zip(numbers) {
            *byte = nearest(x * factor);
        }
        let sum: i32 = bytes.iter().map(|q| i32::from(*q)).sum();
        // ggml keeps this scale as a half.
        let scale = half_to_f32(f32_to_half(step));
        Small {
            quants: packed(&bytes),
            sum,
            scale,
            scaled_sum: scale * sum as f32,
        }
    }
}

// === impl Large ===

impl Large {
    #[inline]
    pub(crate) fn new(numbers: &[f32; 256]) -> Large {
        let largest = largest(numbers);
        let factor = if largest > 0.0 { 127.0 / largest } else { 0.0 };
        let mut bytes = [0; 256];
        for (byte, x) in bytes.iter_mut().zip(numbers) {
            *byte = nearest(x * factor);
        }
        let mut sums = [0; 16];
        for (sum, sixteen) in sums.iter_mut().zip(bytes.as_chunks::<16>().0) {
            *sum = sixteen.iter().map(|q| i32::from(*q)).sum();
        }
        let mut pairs = [0; 4];
        for (pair, sums) in pairs.iter_mut().zip(sums.as_chunks::<4>().0) {
            *pair = (sums[0] + sums[1]) & 0xffff | (sums[2] + sums[3]) << 16;
        }
        Large {
            quants: packed(&bytes),
            sums,
            pairs,
            scale: largest / 127.0,
        }
    }
}

#[inline]
fn largest(numbers: &[f32]) -> f32 {
    // Eight maxima at once: one alone waits for its predecessor at every number.
    let mut most = [0.0_f32; 8];
    for eight in numbers.as_chunks::<8>().0 {
        for (most, x) in most.iter_mut().zip(eight) {
            let size = x.abs();
            *most = if size > *most { size } else { *most };
        }
    }
    most.iter().fold(0.0, |a, b| a.max(*b))
}

/// The nearest whole number, from -127 to 127, ties to even.
#[inline]
#[expect(
    clippy::cast_possible_truncation,
    reason = "the number is clamped; not-a-number becomes 0"
)]
fn nearest(x: f32) -> i8 {
    // Adding 1.5 * 2^23 leaves whole numbers only; `round` is a library call for each number on plain x86-64.
    const SHIFT: f32 = 12_582_912.0;
    ((x.clamp(-127.0, 127.0) + SHIFT) - SHIFT) as i8
}

#[inline]
fn packed<const BYTES: usize, const WORDS: usize>(bytes: &[i8; BYTES]) -> [i32; WORDS] {
    let mut words = [0; WORDS];
    for (word, four) in words.iter_mut().zip(bytes.as_chunks::<4>().0) {
        *word = i32::from_le_bytes(four.map(i8::cast_unsigned));
    }
    words
}
