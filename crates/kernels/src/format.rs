//! How weights are stored in a GGUF file, and their exact values.
//!
//! The layouts are ggml's (<https://github.com/ggml-org/ggml/blob/master/src/ggml-common.h>), the values those of its
//! Python package `gguf`, to the last bit. Products with whole matrices go another way (`panel`).

use crate::half::{bf16_to_f32, half_to_f32};

/// How numbers are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    F32,
    F16,
    Bf16,
    /// 32 signed bytes and a scale.
    Q8_0,
    /// 32 numbers of 4 bits about 8 and a scale.
    Q4_0,
    /// 32 numbers of 4 bits, a scale and a minimum.
    Q4_1,
    /// 32 numbers of 5 bits about 16 and a scale.
    Q5_0,
    /// 32 numbers of 5 bits, a scale and a minimum.
    Q5_1,
    /// 256 numbers of 4 bits; 8 scales and minima of 6 bits with a scale each.
    Q4K,
    /// 256 numbers of 5 bits; 8 scales and minima of 6 bits with a scale each.
    Q5K,
    /// 256 numbers of 6 bits about 32; 16 scales of 8 bits with a scale.
    Q6K,
}

// === impl Format ===

impl Format {
    /// Numbers in a block, and bytes of a block.
    pub const fn block(self) -> (usize, usize) {
        match self {
            Format::F32 => (1, 4),
            Format::F16 | Format::Bf16 => (1, 2),
            Format::Q8_0 => (32, 34),
            Format::Q4_0 => (32, 18),
            Format::Q4_1 => (32, 20),
            Format::Q5_0 => (32, 22),
            Format::Q5_1 => (32, 24),
            Format::Q4K => (256, 144),
            Format::Q5K => (256, 176),
            Format::Q6K => (256, 210),
        }
    }

    /// Bytes of a row of so many numbers, which are whole blocks.
    pub const fn row_bytes(self, n_columns: usize) -> usize {
        let (numbers, bytes) = self.block();
        n_columns / numbers * bytes
    }

    /// Appends the numbers that whole blocks stand for.
    pub fn decode(self, data: &[u8], numbers: &mut Vec<f32>) {
        let (_, size) = self.block();
        for block in data.chunks_exact(size) {
            match self {
                Format::F32 => numbers.push(f32::from_bits(word(block, 0))),
                Format::F16 => numbers.push(half_at(block, 0)),
                Format::Bf16 => numbers.push(bf16_to_f32(u16::from_le_bytes([block[0], block[1]]))),
                Format::Q8_0 => {
                    let scale = half_at(block, 0);
                    numbers.extend(
                        block[2..]
                            .iter()
                            .map(|q| f32::from(q.cast_signed()) * scale),
                    );
                }
                Format::Q4_0 | Format::Q4_1 | Format::Q5_0 | Format::Q5_1 => {
                    self.decode_nibbles(block, numbers);
                }
                Format::Q4K | Format::Q5K => self.decode_four_and_five(block, numbers),
                Format::Q6K => decode_six(block, numbers),
            }
        }
    }

    fn decode_nibbles(self, block: &[u8], numbers: &mut Vec<f32>) {
        let has_minimum = matches!(self, Format::Q4_1 | Format::Q5_1);
        let scale = half_at(block, 0);
        let start = if has_minimum { 4 } else { 2 };
        let (fifths, nibbles) = match self {
            Format::Q5_0 | Format::Q5_1 => (word(block, start), &block[start + 4..]),
            _ => (0, &block[start..]),
        };
        for i in 0..32 {
            let nibble = nibbles[i % 16] >> (i / 16 * 4) & 15;
            let fifth = u8::from(fifths >> i & 1 == 1) << 4;
            let quant = f32::from(nibble | fifth);
            numbers.push(match self {
                Format::Q4_0 => scale * (quant - 8.0),
                Format::Q5_0 => scale * (quant - 16.0),
                _ => scale * quant + half_at(block, 2),
            });
        }
    }

    fn decode_four_and_five(self, block: &[u8], numbers: &mut Vec<f32>) {
        let (scale, minimum) = (half_at(block, 0), half_at(block, 2));
        let packed = &block[4..16];
        let (fifths, nibbles) = match self {
            Format::Q5K => (Some(&block[16..48]), &block[48..]),
            _ => (None, &block[16..]),
        };
        for j in 0..8 {
            let (s, m) = if j < 4 {
                (packed[j] & 63, packed[j + 4] & 63)
            } else {
                (
                    packed[j + 4] & 15 | packed[j - 4] >> 6 << 4,
                    packed[j + 4] >> 4 | packed[j] >> 6 << 4,
                )
            };
            let (scale, minimum) = (scale * f32::from(s), minimum * f32::from(m));
            for i in 0..32 {
                let nibble = nibbles[j / 2 * 32 + i] >> (j % 2 * 4) & 15;
                let fifth = fifths.map_or(0, |fifths| (fifths[i] >> j & 1) << 4);
                numbers.push(scale * f32::from(nibble | fifth) - minimum);
            }
        }
    }
}

fn decode_six(block: &[u8], numbers: &mut Vec<f32>) {
    let (low, rest) = block.split_at(128);
    let (high, rest) = rest.split_at(64);
    let scale = half_at(rest, 16);
    for i in 0..256 {
        let (half, within) = (i / 128, i % 128);
        let (quarter, at) = (within / 32, within % 32);
        let nibble = low[half * 64 + quarter % 2 * 32 + at] >> (quarter / 2 * 4) & 15;
        let pair = high[half * 32 + at] >> (quarter * 2) & 3;
        let scale = scale * f32::from(rest[i / 16].cast_signed());
        numbers.push(scale * (f32::from(nibble | pair << 4) - 32.0));
    }
}

fn half_at(block: &[u8], at: usize) -> f32 {
    half_to_f32(u16::from_le_bytes([block[at], block[at + 1]]))
}

fn word(block: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([block[at], block[at + 1], block[at + 2], block[at + 3]])
}
