//! Vectors of eight lanes in plain Rust, for CPUs without the instructions of the other modules.

use std::array::from_fn;

use crate::half::half_to_f32;
use crate::panel::kernels;
use crate::unpack::unpackers;
use crate::vector::steps;

const L: usize = 8;
const GROUP: usize = 4;
/// What is added to the signed bytes of Q8_0.
const BYTE_OFFSET: i32 = 0;

type V = [u32; L];
type F = [f32; L];

fn load(words: &[u32; L]) -> V {
    *words
}

fn store(to: &mut [u32; L], words: V) {
    *to = words;
}

fn splat(word: i32) -> V {
    [word.cast_unsigned(); L]
}

fn and(a: V, mask: u32) -> V {
    a.map(|a| a & mask)
}

fn or(a: V, b: V) -> V {
    from_fn(|i| a[i] | b[i])
}

fn left<const N: u32>(a: V) -> V {
    a.map(|a| a << N)
}

fn right<const N: u32>(a: V) -> V {
    a.map(|a| a >> N)
}

fn right_signed<const N: u32>(a: V) -> V {
    a.map(|a| (a.cast_signed() >> N).cast_unsigned())
}

fn add(a: V, b: V) -> V {
    from_fn(|i| a[i].wrapping_add(b[i]))
}

fn multiply_words(a: V, b: V) -> V {
    from_fn(|i| a[i].wrapping_mul(b[i]))
}

/// Adds the products of unsigned bytes below 64 and signed ones.
fn dot_bytes(sum: V, a: V, b: V) -> V {
    dot_full_bytes(sum, a, b)
}

/// Adds the products of signed bytes.
fn dot_full_bytes(sum: V, a: V, b: V) -> V {
    from_fn(|i| {
        let (a, b) = (a[i].to_le_bytes(), b[i].to_le_bytes());
        let mut sum = sum[i].cast_signed();
        for (a, b) in a.into_iter().zip(b) {
            sum = sum.wrapping_add(i32::from(a.cast_signed()) * i32::from(b.cast_signed()));
        }
        sum.cast_unsigned()
    })
}

/// Adds the products of signed pairs.
fn dot_pairs(sum: V, a: V, b: V) -> V {
    let low = |a: u32| a.cast_signed() << 16 >> 16;
    let high = |a: u32| a.cast_signed() >> 16;
    from_fn(|i| {
        sum[i]
            .wrapping_add((low(a[i]) * low(b[i])).cast_unsigned())
            .wrapping_add((high(a[i]) * high(b[i])).cast_unsigned())
    })
}

fn flip(a: V) -> V {
    a
}

#[expect(clippy::cast_possible_truncation, reason = "the low half is meant")]
fn halves(a: V) -> F {
    a.map(|a| half_to_f32(a as u16))
}

#[expect(
    clippy::cast_precision_loss,
    reason = "the rounding is that of any f32"
)]
fn to_floats(a: V) -> F {
    a.map(|a| a.cast_signed() as f32)
}

fn as_floats(a: V) -> F {
    a.map(f32::from_bits)
}

fn as_words(a: F) -> V {
    a.map(f32::to_bits)
}

fn splat_float(x: f32) -> F {
    [x; L]
}

fn load_floats(x: &[f32; L]) -> F {
    *x
}

fn store_floats(to: &mut [f32; L], x: F) {
    *to = x;
}

fn add_floats(a: F, b: F) -> F {
    from_fn(|i| a[i] + b[i])
}

fn subtract_floats(a: F, b: F) -> F {
    from_fn(|i| a[i] - b[i])
}

fn multiply_floats(a: F, b: F) -> F {
    from_fn(|i| a[i] * b[i])
}

fn multiply_add(a: F, b: F, c: F) -> F {
    from_fn(|i| a[i] * b[i] + c[i])
}

/// Four words of every block, from a byte on.
fn transposed<const SIZE: usize>(rows: &[&[u8; SIZE]; L], at: usize) -> [V; 4] {
    let mut words = [[0; L]; 4];
    for (r, row) in rows.iter().enumerate() {
        let bytes = &row[at..at + 16];
        for (i, four) in bytes.as_chunks::<4>().0.iter().enumerate() {
            words[i][r] = u32::from_le_bytes(*four);
        }
    }
    words
}

fn sum_of(a: F) -> f32 {
    a.iter().sum()
}

/// Fetches nothing ahead.
fn fetch(_: &[u8]) {}

fn widened(halves: &[u16; L]) -> F {
    halves.map(half_to_f32)
}

unpackers!();
kernels!();
steps!();
