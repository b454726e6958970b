//! Matrices and vectors of the model file. A matrix is a range of the file's bytes: nothing is unpacked or kept twice.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use tollgate_kernels::{Activations, Cpu, Kind, ROWS_AT_ONCE, Weights};

use super::pool::Pool;
use crate::error::EngineError;
use crate::gguf::{Encoding, Tensor};

/// A model file's bytes, read once.
pub(crate) type FileBytes = Arc<Cow<'static, [u8]>>;

/// Parts into which a product is split for each thread, so that a thread which is held up delays the others little.
const PARTS_PER_THREAD: usize = 4;

/// Products below which threads cost more than they bring.
const WORTH_THREADS: usize = 1 << 20;

/// Weights, by row.
#[derive(Clone)]
pub(super) struct Matrix {
    file: FileBytes,
    range: Range<usize>,
    encoding: Encoding,
    n_rows: usize,
    n_columns: usize,
}

/// Rows of activations that meet several matrices, made ready for each kind of weights once.
pub(super) struct Input {
    numbers: Vec<f32>,
    n_columns: usize,
    made: [Option<Arc<Activations>>; 3],
}

// === impl Matrix ===

impl Matrix {
    /// The tensor must have `n_rows` rows of `n_columns` numbers.
    pub(super) fn from_tensor(
        file: &FileBytes,
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
        // The smallest step of the arithmetic; no model's sizes are odd.
        if !n_columns.is_multiple_of(32) {
            return Err(EngineError::unsupported_model(format!(
                "the rows of the tensor {name} have {n_columns} numbers, which is not a multiple of 32"
            )));
        }
        if file.get(tensor.range.clone()).is_none() {
            return Err(EngineError::corrupt(format!(
                "the tensor {name} lies beyond the end of the file"
            )));
        }
        Ok(Matrix {
            file: Arc::clone(file),
            range: tensor.range.clone(),
            encoding: tensor.encoding,
            n_rows,
            n_columns,
        })
    }

    pub(super) fn n_rows(&self) -> usize {
        self.n_rows
    }

    /// Appends one row as plain numbers.
    pub(super) fn append_row(&self, row: usize, numbers: &mut Vec<f32>) {
        self.encoding.decode(self.weights().row(row), numbers);
    }

    /// The product with every row of the input, row after row.
    pub(super) fn times(&self, input: &mut Input, pool: &Pool) -> Vec<f32> {
        let input = input.of(Kind::of(self.encoding));
        let n_inputs = input.n_rows();
        let work = self.n_rows * self.n_columns * n_inputs;
        let n_parts = if pool.n_threads() == 1 || work < WORTH_THREADS {
            1
        } else {
            (pool.n_threads() * PARTS_PER_THREAD).min(self.n_rows.div_ceil(ROWS_AT_ONCE))
        };
        let part_rows = self.n_rows.div_ceil(n_parts).next_multiple_of(ROWS_AT_ONCE);
        let n_parts = self.n_rows.div_ceil(part_rows);
        let matrix = self.clone();
        let part = move |index: usize| {
            let rows = index * part_rows..((index + 1) * part_rows).min(matrix.n_rows);
            let mut out = vec![0.0; rows.len() * n_inputs];
            Cpu::best().multiply(matrix.weights(), rows, &input, &mut out);
            out
        };
        let mut parts = pool.map(n_parts, part);
        if parts.len() == 1 {
            return parts.remove(0);
        }
        let mut product = Vec::with_capacity(self.n_rows * n_inputs);
        for i in 0..n_inputs {
            for part in &parts {
                let width = part.len() / n_inputs;
                product.extend_from_slice(&part[i * width..][..width]);
            }
        }
        product
    }

    fn weights(&self) -> Weights<'_> {
        Weights {
            format: self.encoding,
            n_columns: self.n_columns,
            data: &self.file[self.range.clone()],
        }
    }
}

impl fmt::Debug for Matrix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Matrix({} x {}, {:?})",
            self.n_rows, self.n_columns, self.encoding
        )
    }
}

// === impl Input ===

impl Input {
    pub(super) fn new(numbers: Vec<f32>, n_columns: usize) -> Input {
        Input {
            numbers,
            n_columns,
            made: [None, None, None],
        }
    }

    fn of(&mut self, kind: Kind) -> Arc<Activations> {
        let made = &mut self.made[kind as usize];
        let made = made
            .get_or_insert_with(|| Arc::new(Activations::new(kind, &self.numbers, self.n_columns)));
        Arc::clone(made)
    }
}

/// A tensor of plain numbers that must have `length` of them.
pub(super) fn vector(tensor: &Tensor<'_>, length: usize) -> Result<Vec<f32>, EngineError> {
    if tensor.dimensions != [length] {
        return Err(EngineError::corrupt(format!(
            "the tensor {} has the shape {:?} and should have [{length}]",
            tensor.name, tensor.dimensions
        )));
    }
    match tensor.encoding {
        Encoding::F32 | Encoding::F16 | Encoding::Bf16 => {
            let mut numbers = Vec::with_capacity(length.min(tensor.data.len()));
            tensor.encoding.decode(tensor.data, &mut numbers);
            Ok(numbers)
        }
        other => Err(EngineError::unsupported_model(format!(
            "the tensor {} is {other:?}; vectors are read as F32, F16 or BF16",
            tensor.name
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrong_shapes_and_encodings_are_named() {
        let file: FileBytes = Arc::new(Cow::Borrowed(&[0; 64]));
        let mut tensor = Tensor {
            name: "t",
            dimensions: vec![32, 1],
            encoding: Encoding::F16,
            range: 0..64,
            data: &[0; 64],
        };
        let message = |result: Result<Matrix, EngineError>| result.err().unwrap().message;
        assert!(message(Matrix::from_tensor(&file, &tensor, 2, 32)).contains("shape"));
        assert!(Matrix::from_tensor(&file, &tensor, 1, 32).is_ok());
        assert!(vector(&tensor, 32).err().unwrap().message.contains("shape"));
        tensor.dimensions = vec![16, 2];
        assert!(message(Matrix::from_tensor(&file, &tensor, 2, 16)).contains("multiple of 32"));
        tensor.dimensions = vec![32];
        tensor.encoding = Encoding::Q8_0;
        assert!(vector(&tensor, 32).err().unwrap().message.contains("Q8_0"));
    }

    /// Splitting rows over threads changes nothing, to the last bit.
    #[test]
    fn the_number_of_threads_does_not_change_a_product() {
        let bytes: Vec<u8> = (0..101).cycle().step_by(37).take(34 * 4 * 333).collect();
        let file: FileBytes = Arc::new(Cow::Owned(bytes));
        let tensor = Tensor {
            name: "t",
            dimensions: vec![128, 333],
            encoding: Encoding::Q8_0,
            range: 0..file.len(),
            data: &file,
        };
        let matrix = Matrix::from_tensor(&file, &tensor, 333, 128).unwrap();
        let numbers: Vec<f32> = (0..128_u8).cycle().take(128 * 5).map(f32::from).collect();
        let product = |n_threads| {
            let mut input = Input::new(numbers.clone(), 128);
            let product = matrix.times(&mut input, &Pool::new(n_threads));
            product.iter().map(|x| x.to_bits()).collect::<Vec<u32>>()
        };
        let alone = product(1);
        assert_eq!(alone.len(), 333 * 5);
        for n_threads in [2, 3, 8] {
            assert_eq!(product(n_threads), alone, "{n_threads} threads");
        }
    }
}
