//! Q8_0 matrices and their product with activations.
//!
//! A block is 32 signed bytes and a scale. Activations are brought to 16-bit integers by blocks of 32 as well, so a
//! block's product is whole-number arithmetic that compilers turn into vector instructions on every CPU (`pmaddwd` on
//! plain x86-64). Sixteen bits, not the usual eight: it costs nothing here and keeps the result as near to the exact
//! one as f32 would. The order of the sums is fixed, so a token's result does not depend on what else is in the batch.

use crate::error::EngineError;
use crate::gguf::{Encoding, Tensor};

const BLOCK: usize = 32;
/// A block's largest activation becomes this. 32 products of it and -128 stay within an i32.
const LARGEST: f32 = 32767.0;

/// Weights, by row.
pub(super) struct Matrix {
    quants: Vec<[i8; BLOCK]>,
    scales: Vec<f32>,
    n_rows: usize,
    blocks_per_row: usize,
}

/// Rows of activations, as integers.
pub(super) struct Activations {
    quants: Vec<[i16; BLOCK]>,
    scales: Vec<f32>,
}

// === impl Matrix ===

impl Matrix {
    /// The tensor must have `n_rows` rows of `n_columns` numbers.
    pub(super) fn from_tensor(
        tensor: &Tensor<'_>,
        n_rows: usize,
        n_columns: usize,
    ) -> Result<Matrix, EngineError> {
        let name = tensor.name;
        if tensor.dimensions != [n_columns, n_rows] {
            return Err(EngineError::corrupt(format!(
                "the tensor {name} has the shape {:?} and should have [{n_columns}, {n_rows}]",
                tensor.dimensions
            )));
        }
        if tensor.encoding != Encoding::Q8_0 {
            return Err(EngineError::unsupported_model(format!(
                "the tensor {name} is {:?}; matrices are read as Q8_0",
                tensor.encoding
            )));
        }
        let blocks_per_row = n_columns / BLOCK;
        let (_, block_bytes) = tensor.encoding.block();
        let mut matrix = Matrix {
            quants: Vec::with_capacity(n_rows * blocks_per_row),
            scales: Vec::with_capacity(n_rows * blocks_per_row),
            n_rows,
            blocks_per_row,
        };
        for block in tensor.data.chunks_exact(block_bytes) {
            matrix
                .scales
                .push(half(u16::from_le_bytes([block[0], block[1]])));
            let mut quants = [0; BLOCK];
            for (quant, byte) in quants.iter_mut().zip(&block[2..]) {
                *quant = byte.cast_signed();
            }
            matrix.quants.push(quants);
        }
        Ok(matrix)
    }

    pub(super) fn n_rows(&self) -> usize {
        self.n_rows
    }

    /// Appends one row as plain numbers.
    pub(super) fn append_row(&self, row: usize, numbers: &mut Vec<f32>) {
        let blocks = row * self.blocks_per_row..(row + 1) * self.blocks_per_row;
        for (quants, scale) in self.quants[blocks.clone()].iter().zip(&self.scales[blocks]) {
            numbers.extend(quants.iter().map(|quant| f32::from(*quant) * scale));
        }
    }

    /// The product with every row of the activations, row after row.
    pub(super) fn times(&self, activations: &Activations) -> Vec<f32> {
        let width = self.blocks_per_row;
        let n_inputs = activations.scales.len() / width;
        let mut product = vec![0.0; n_inputs * self.n_rows];
        let rows = self
            .quants
            .chunks_exact(width)
            .zip(self.scales.chunks_exact(width));
        for (row, weights) in rows.enumerate() {
            let inputs = activations
                .quants
                .chunks_exact(width)
                .zip(activations.scales.chunks_exact(width));
            // A row of weights stays in the nearest cache while all inputs meet it.
            for (input, numbers) in inputs.enumerate() {
                product[input * self.n_rows + row] = dot(weights, numbers);
            }
        }
        product
    }
}

// === impl Activations ===

impl Activations {
    /// A row is as long as a row of the matrix that it will meet, so it is whole blocks.
    pub(super) fn from_rows(numbers: &[f32]) -> Activations {
        let mut activations = Activations {
            quants: Vec::with_capacity(numbers.len() / BLOCK),
            scales: Vec::with_capacity(numbers.len() / BLOCK),
        };
        for block in numbers.chunks_exact(BLOCK) {
            let largest = block.iter().fold(0.0_f32, |most, x| most.max(x.abs()));
            let factor = if largest > 0.0 {
                LARGEST / largest
            } else {
                0.0
            };
            let mut quants = [0; BLOCK];
            for (quant, x) in quants.iter_mut().zip(block) {
                *quant = nearest(x * factor);
            }
            activations.quants.push(quants);
            activations.scales.push(largest / LARGEST);
        }
        activations
    }
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "the cast saturates, and not-a-number becomes 0"
)]
fn nearest(x: f32) -> i16 {
    // `round` is a library call for each number on plain x86-64; this is the same up to ties.
    (x + 0.5_f32.copysign(x)) as i16
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a block's sum is below 2^28; the rounding is that of any f32 sum"
)]
fn dot(weights: (&[[i8; BLOCK]], &[f32]), numbers: (&[[i16; BLOCK]], &[f32])) -> f32 {
    let mut sum = 0.0;
    let blocks = weights
        .0
        .iter()
        .zip(weights.1)
        .zip(numbers.0.iter().zip(numbers.1));
    for ((a, scale_a), (b, scale_b)) in blocks {
        let mut block = 0_i32;
        for i in 0..BLOCK {
            // Cannot overflow (see `LARGEST`); a checked sum would not be vectorised.
            block = block.wrapping_add(i32::from(a[i]).wrapping_mul(i32::from(b[i])));
        }
        sum += block as f32 * (scale_a * scale_b);
    }
    sum
}

/// A tensor of plain numbers that must have `length` of them.
pub(super) fn vector(tensor: &Tensor<'_>, length: usize) -> Result<Vec<f32>, EngineError> {
    if tensor.dimensions != [length] {
        return Err(EngineError::corrupt(format!(
            "the tensor {} has the shape {:?} and should have [{length}]",
            tensor.name, tensor.dimensions
        )));
    }
    let pairs = || {
        tensor
            .data
            .chunks_exact(2)
            .map(|b| u16::from_le_bytes([b[0], b[1]]))
    };
    match tensor.encoding {
        Encoding::F32 => Ok(tensor
            .data
            .chunks_exact(4)
            .map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]))
            .collect()),
        Encoding::F16 => Ok(pairs().map(half).collect()),
        Encoding::Bf16 => Ok(pairs()
            .map(|b| f32::from_bits(u32::from(b) << 16))
            .collect()),
        Encoding::Q8_0 => Err(EngineError::unsupported_model(format!(
            "the tensor {} is Q8_0; vectors are read as F32, F16 or BF16",
            tensor.name
        ))),
    }
}

/// An IEEE half as f32.
fn half(bits: u16) -> f32 {
    let sign = u32::from(bits & 0x8000) << 16;
    let exponent = u32::from(bits >> 10 & 0x1f);
    let fraction = u32::from(bits & 0x3ff);
    match exponent {
        // Zero and subnormals: a multiple of 2^-24, which f32 holds exactly.
        0 => {
            let size = f32::from(bits & 0x3ff) * 2.0_f32.powi(-24);
            if sign == 0 { size } else { -size }
        }
        0x1f => f32::from_bits(sign | 0x7f80_0000 | fraction << 13),
        _ => f32::from_bits(sign | (exponent + 112) << 23 | fraction << 13),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;

    #[test]
    fn halves_are_exact() {
        for (bits, expect) in [
            (0x0000, 0.0),
            (0x0001, 2.0_f32.powi(-24)),
            (0x03ff, 1023.0 * 2.0_f32.powi(-24)),
            (0x0400, 2.0_f32.powi(-14)),
            (0x3c00, 1.0),
            (0x3555, 0.333_251_95),
            (0xc000, -2.0),
            (0x7bff, 65504.0),
            (0x8001, -(2.0_f32.powi(-24))),
            (0x7c00, f32::INFINITY),
        ] {
            assert_eq!(half(bits).to_bits(), f32::to_bits(expect), "{bits:#x}");
        }
        assert!(half(0x7e00).is_nan());
    }

    /// Against f64 arithmetic on the same weights, for uneven and extreme values.
    #[test]
    fn products_are_as_exact_as_f32() {
        let (n_rows, n_columns) = (7, 96);
        let mut random = Random::from_seed(11);
        let mut data = Vec::new();
        for _ in 0..n_rows * n_columns / BLOCK {
            data.extend(0x2c66_u16.to_le_bytes());
            data.extend((0..BLOCK).map(|_| random.next().to_le_bytes()[0]));
        }
        let tensor = Tensor {
            name: "t",
            dimensions: vec![n_columns, n_rows],
            encoding: Encoding::Q8_0,
            data: &data,
        };
        let matrix = Matrix::from_tensor(&tensor, n_rows, n_columns).unwrap();
        #[expect(clippy::cast_possible_truncation, reason = "test values")]
        let mut numbers: Vec<f32> = (0..3 * n_columns)
            .map(|_| random.unit() as f32 * 8.0 - 4.0)
            .collect();
        numbers[5] = 1000.0;
        numbers[100..196].fill(0.0);
        let product = matrix.times(&Activations::from_rows(&numbers));
        for input in 0..3 {
            for row in 0..n_rows {
                let mut weights = Vec::new();
                matrix.append_row(row, &mut weights);
                let numbers = &numbers[input * n_columns..][..n_columns];
                let (mut exact, mut bound) = (0.0, 0.0);
                for (w, x) in weights.chunks_exact(BLOCK).zip(numbers.chunks_exact(BLOCK)) {
                    let largest = x.iter().fold(0.0_f32, |most, x| most.max(x.abs()));
                    for (w, x) in w.iter().zip(x) {
                        exact += f64::from(*w) * f64::from(*x);
                        // Half a step of the block's 16 bits, and what any f32 sum loses.
                        bound += f64::from(w.abs()) * f64::from(largest) / 65_534.0;
                        bound += 1e-6 * f64::from((w * x).abs());
                    }
                }
                let found = f64::from(product[input * n_rows + row]);
                assert!((found - exact).abs() <= bound, "{found} {exact} {bound}");
            }
        }
    }

    #[test]
    fn wrong_shapes_and_encodings_are_named() {
        let tensor = Tensor {
            name: "t",
            dimensions: vec![32, 1],
            encoding: Encoding::F16,
            data: &[0; 64],
        };
        assert!(
            Matrix::from_tensor(&tensor, 2, 32)
                .err()
                .unwrap()
                .message
                .contains("shape")
        );
        assert!(
            Matrix::from_tensor(&tensor, 1, 32)
                .err()
                .unwrap()
                .message
                .contains("F16")
        );
        assert!(vector(&tensor, 32).err().unwrap().message.contains("shape"));
    }
}
