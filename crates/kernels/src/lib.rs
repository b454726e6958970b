//! Arithmetic for language models on the CPU: products of GGUF's weights, straight from a file's bytes, with rows of
//! activations, and the steps between them.
//!
//! Owns what depends on the CPU. Each function is compiled for plain Rust, AVX2, AVX-VNNI and AVX-512 VNNI, and the best
//! that the CPU has runs. This is the one crate with `unsafe`: for loads and stores of vectors, and for calling a
//! function that was compiled for a CPU feature after the CPU was asked. It knows nothing of files, networks or threads.

mod activations;
mod format;
mod half;
mod panel;
mod plain;
mod unpack;
mod vector;

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(target_arch = "x86_64")]
mod avxvnni;

use std::ops::Range;
use std::sync::OnceLock;

pub use self::activations::{Activations, Kind};
pub use self::format::Format;
pub use self::half::{bf16_to_f32, f32_to_half, half_to_f32};
pub use self::panel::Weights;

/// Rows that are worked on at once on every kind of CPU: parts of a matrix should begin at multiples of it.
pub const ROWS_AT_ONCE: usize = 16;

/// Which instructions are used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cpu {
    Plain,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    #[cfg(target_arch = "x86_64")]
    AvxVnni,
    #[cfg(target_arch = "x86_64")]
    Avx512,
}

/// Calls the function of that name in the CPU's module.
macro_rules! dispatch {
    ($cpu:expr, $function:ident($($argument:expr),*)) => {
        match $cpu {
            Cpu::Plain => plain::$function($($argument),*),
            // SAFETY: this value exists only where the CPU has the features of the module (`Cpu::all`).
            #[cfg(target_arch = "x86_64")]
            Cpu::Avx2 => unsafe { avx2::$function($($argument),*) },
            // SAFETY: as above.
            #[cfg(target_arch = "x86_64")]
            Cpu::AvxVnni => unsafe { avxvnni::$function($($argument),*) },
            // SAFETY: as above.
            #[cfg(target_arch = "x86_64")]
            Cpu::Avx512 => unsafe { avx512::$function($($argument),*) },
        }
    };
}

// === impl Cpu ===

impl Cpu {
    /// The best that this CPU has.
    pub fn best() -> Cpu {
        static BEST: OnceLock<Cpu> = OnceLock::new();
        *BEST.get_or_init(|| Cpu::all().last().copied().unwrap_or(Cpu::Plain))
    }

    /// What this CPU has, from the slowest to the fastest.
    pub fn all() -> Vec<Cpu> {
        let mut all = vec![Cpu::Plain];
        #[cfg(target_arch = "x86_64")]
        {
            let avx2 = is_x86_feature_detected!("avx2")
                && is_x86_feature_detected!("fma")
                && is_x86_feature_detected!("f16c");
            if avx2 {
                all.push(Cpu::Avx2);
            }
            if avx2 && is_x86_feature_detected!("avxvnni") {
                all.push(Cpu::AvxVnni);
            }
            if avx2
                && is_x86_feature_detected!("avx512f")
                && is_x86_feature_detected!("avx512bw")
                && is_x86_feature_detected!("avx512vl")
                && is_x86_feature_detected!("avx512vnni")
            {
                all.push(Cpu::Avx512);
            }
        }
        all
    }

    /// The product of some rows of the weights with every row of the activations. `out` has one row of results for
    /// each row of activations.
    ///
    /// # Panics
    /// Where sizes do not fit together, or the activations were not made for the weights' format.
    pub fn multiply(
        self,
        weights: Weights<'_>,
        rows: Range<usize>,
        input: &Activations,
        out: &mut [f32],
    ) {
        assert_eq!(input.kind(), Kind::of(weights.format));
        let numbers = match input.kind() {
            Kind::Plain => 1,
            Kind::Small => 32,
            Kind::Large => 256,
        };
        assert_eq!(input.blocks_per_row * numbers, weights.n_columns);
        assert!(weights.n_columns.is_multiple_of(32) && out.len() == rows.len() * input.n_rows);
        dispatch!(self, multiply(weights, rows, input, out));
    }

    pub(crate) fn small_blocks(self, numbers: &[f32]) -> Vec<activations::Small> {
        dispatch!(self, small_blocks(numbers))
    }

    pub(crate) fn large_blocks(self, numbers: &[f32]) -> Vec<activations::Large> {
        dispatch!(self, large_blocks(numbers))
    }

    /// The products of a query with one head of every cached key; keys lie `width` apart, the head begins at `at`.
    pub fn scores(self, query: &[f32], keys: &[u16], width: usize, at: usize, out: &mut [f32]) {
        dispatch!(self, scores(query, keys, width, at, out));
    }

    /// Adds one head of every cached value, each times its weight.
    pub fn mix(self, weights: &[f32], values: &[u16], width: usize, at: usize, out: &mut [f32]) {
        dispatch!(self, mix(weights, values, width, at, out));
    }

    /// Makes scores weights that sum to one.
    pub fn softmax(self, scores: &mut [f32]) {
        dispatch!(self, softmax(scores));
    }

    /// SiLU of every gate, times what is beside it.
    pub fn silu(self, gates: &mut [f32], others: &[f32]) {
        dispatch!(self, silu(gates, others));
    }

    /// The `tanh` form of GELU of every gate, times what is beside it.
    pub fn gelu(self, gates: &mut [f32], others: &[f32]) {
        dispatch!(self, gelu(gates, others));
    }

    /// GELU itself, by the error function, of every number.
    pub fn gelu_exact(self, numbers: &mut [f32]) {
        dispatch!(self, gelu_exact(numbers));
    }
}

#[cfg(test)]
mod tests;
