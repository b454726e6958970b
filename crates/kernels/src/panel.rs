//! The product of weights and activations, written once and compiled for each kind of CPU.
//!
//! A panel is as many rows of weights as a vector has lanes, one row a lane. Its blocks are unpacked from the file's
//! bytes into a few kilobytes that stay in the nearest cache, and then meet every row of the activations: the work of
//! unpacking is shared by a whole prompt or batch, and nothing larger than a panel is ever unpacked.
//!
//! The same steps run for one row of activations and for many, and blocks are summed as whole numbers, in order. So a
//! number does not depend on what else is in the batch, nor on how rows are spread over threads.

use std::ops::Range;

use crate::format::Format;

/// A matrix in the file's own bytes, row after row.
#[derive(Debug, Clone, Copy)]
pub struct Weights<'a> {
    pub format: Format,
    pub n_columns: usize,
    pub data: &'a [u8],
}

/// One panel's unpacked blocks: `L` rows, 256 columns or fewer.
#[repr(align(64))]
pub(crate) struct Panel<const L: usize> {
    /// Four bytes of each row to a word; plain numbers have a word each.
    pub(crate) quants: [[u32; L]; 64],
    /// Of each sub-block: whole numbers in the K formats, else f32.
    pub(crate) scales: [[u32; L]; 16],
    /// Of each sub-block: two whole numbers to a word in the K formats, else f32.
    pub(crate) minima: [[u32; L]; 8],
    /// Of the whole block, in the K formats.
    pub(crate) scale: [u32; L],
    pub(crate) minimum: [u32; L],
}

// === impl Weights ===

impl<'a> Weights<'a> {
    pub fn row(&self, row: usize) -> &'a [u8] {
        let size = self.format.row_bytes(self.n_columns);
        &self.data[row * size..][..size]
    }

    pub(crate) fn bytes(&self, rows: Range<usize>) -> &'a [u8] {
        let size = self.format.row_bytes(self.n_columns);
        &self.data[rows.start * size..rows.end * size]
    }
}

// === impl Panel ===

impl<const L: usize> Panel<L> {
    pub(crate) fn new() -> Panel<L> {
        Panel {
            quants: [[0; L]; 64],
            scales: [[0; L]; 16],
            minima: [[0; L]; 8],
            scale: [0; L],
            minimum: [0; L],
        }
    }
}

/// The rows of a panel. What is beyond the last row repeats it.
pub(crate) fn panel_rows<'a, const L: usize>(
    weights: &Weights<'a>,
    rows: &Range<usize>,
) -> [&'a [u8]; L] {
    let mut slices: [&[u8]; L] = [&[]; L];
    for (i, slice) in slices.iter_mut().enumerate() {
        *slice = weights.row((rows.start + i).min(rows.end - 1));
    }
    slices
}

/// One of `n` about equal parts of the next panel's bytes, which are fetched while this panel is worked on: rows lie too
/// far apart for the CPU to guess what comes.
pub(crate) fn share(ahead: &[u8], index: usize, n: usize) -> &[u8] {
    &ahead[ahead.len() * index / n..ahead.len() * (index + 1) / n]
}

/// The rows' blocks of a format, at a byte of each row. Of a known size, so that reading in them needs no checks.
pub(crate) fn blocks_at<'a, const L: usize, const SIZE: usize>(
    rows: &[&'a [u8]; L],
    at: usize,
) -> [&'a [u8; SIZE]; L] {
    let mut blocks = [&[0; SIZE]; L];
    for (block, row) in blocks.iter_mut().zip(rows) {
        if let Some(found) = row.get(at..).and_then(<[u8]>::first_chunk) {
            *block = found;
        }
    }
    blocks
}

/// Writes `multiply` for the vectors that the surrounding module defines: `L` lanes, `V` of whole numbers, `F` of f32,
/// `GROUP` rows of activations at once, and the operations on them.
macro_rules! kernels {
    ($(#[$feature:meta])*) => {
        use std::ops::Range;

        use crate::activations::{Activations, Blocks, Large, Small};
        use crate::format::Format;
        use crate::panel::{Panel, Weights, blocks_at, panel_rows, share};

        /// The product of some rows of the weights with every row of the activations. `out` has the results of one
        /// row of activations after the other.
        $(#[$feature])*
        pub(crate) fn multiply(
            weights: Weights<'_>,
            rows: Range<usize>,
            input: &Activations,
            out: &mut [f32],
        ) {
            let width = rows.len();
            let mut panel = Panel::<L>::new();
            let mut sums = vec![[0.0; L]; input.n_rows];
            for first in rows.clone().step_by(L) {
                let n = L.min(rows.end - first);
                let slices = panel_rows::<L>(&weights, &(first..first + n));
                let ahead = weights.bytes(first + n..(first + n + L).min(rows.end));
                sums.fill([0.0; L]);
                match &input.blocks {
                    Blocks::Plain(numbers) => {
                        multiply_plain((weights, ahead), &slices, &mut panel, numbers, &mut sums);
                    }
                    Blocks::Small(blocks) => {
                        multiply_small((weights, ahead), &slices, &mut panel, blocks, &mut sums);
                    }
                    Blocks::Large(blocks) => {
                        multiply_large((weights, ahead), &slices, &mut panel, blocks, &mut sums);
                    }
                }
                for (i, sums) in sums.iter().enumerate() {
                    out[i * width + first - rows.start..][..n].copy_from_slice(&sums[..n]);
                }
            }
        }

        /// How many of the rows left are worked on together.
        fn group_size(n_left: usize) -> usize {
            match n_left {
                0 | 1 => 1,
                n if n >= GROUP => GROUP,
                _ => 2,
            }
        }

        $(#[$feature])*
        fn multiply_large(
            (weights, ahead): (Weights<'_>, &[u8]),
            rows: &[&[u8]; L],
            panel: &mut Panel<L>,
            blocks: &[Large],
            sums: &mut [[f32; L]],
        ) {
            let per_row = weights.n_columns / 256;
            for index in 0..per_row {
                fetch(share(ahead, index, per_row));
                let column = &blocks[index..];
                match weights.format {
                    Format::Q4K => {
                        unpack_four(&blocks_at(rows, index * 144), panel);
                        meet_large::<8, 0, true>(panel, column, per_row, sums);
                    }
                    Format::Q5K => {
                        unpack_five(&blocks_at(rows, index * 176), panel);
                        meet_large::<8, 0, true>(panel, column, per_row, sums);
                    }
                    _ => {
                        unpack_six(&blocks_at(rows, index * 210), panel);
                        meet_large::<4, 32, false>(panel, column, per_row, sums);
                    }
                }
            }
        }

        $(#[$feature])*
        fn meet_large<const PER: usize, const OFFSET: i32, const MINIMA: bool>(
            panel: &Panel<L>,
            column: &[Large],
            per_row: usize,
            sums: &mut [[f32; L]],
        ) {
            let mut at = 0;
            while at < sums.len() {
                let n = group_size(sums.len() - at);
                let mut group = [&column[at * per_row]; GROUP];
                for (i, block) in group.iter_mut().enumerate().take(n) {
                    *block = &column[(at + i) * per_row];
                }
                let sums = &mut sums[at..at + n];
                match n {
                    1 => group_large::<1, PER, OFFSET, MINIMA>(panel, &[group[0]], sums),
                    2 => group_large::<2, PER, OFFSET, MINIMA>(panel, &[group[0], group[1]], sums),
                    _ => group_large::<GROUP, PER, OFFSET, MINIMA>(panel, &group, sums),
                }
                at += n;
            }
        }

        $(#[$feature])*
        fn group_large<const N: usize, const PER: usize, const OFFSET: i32, const MINIMA: bool>(
            panel: &Panel<L>,
            blocks: &[&Large; N],
            sums: &mut [[f32; L]],
        ) {
            let mut totals = [splat(0); N];
            for j in 0..64 / PER {
                let mut dots = [splat(0); N];
                if OFFSET != 0 {
                    for t in 0..N {
                        dots[t] = splat(-OFFSET * blocks[t].sums[j]);
                    }
                }
                for i in j * PER..(j + 1) * PER {
                    let quants = load(&panel.quants[i]);
                    for t in 0..N {
                        dots[t] = dot_bytes(dots[t], quants, splat(blocks[t].quants[i]));
                    }
                }
                let scale = load(&panel.scales[j]);
                for t in 0..N {
                    totals[t] = add(totals[t], multiply_words(dots[t], scale));
                }
            }
            let scale = as_floats(load(&panel.scale));
            for t in 0..N {
                let mut number = multiply_floats(to_floats(totals[t]), scale);
                if MINIMA {
                    let mut total = splat(0);
                    for p in 0..4 {
                        total = dot_pairs(total, load(&panel.minima[p]), splat(blocks[t].pairs[p]));
                    }
                    let minimum = as_floats(load(&panel.minimum));
                    number = subtract_floats(number, multiply_floats(to_floats(total), minimum));
                }
                let sum = add_floats(load_floats(&sums[t]), multiply_floats(number, splat_float(blocks[t].scale)));
                store_floats(&mut sums[t], sum);
            }
        }

        $(#[$feature])*
        fn multiply_small(
            (weights, ahead): (Weights<'_>, &[u8]),
            rows: &[&[u8]; L],
            panel: &mut Panel<L>,
            blocks: &[Small],
            sums: &mut [[f32; L]],
        ) {
            let per_row = weights.n_columns / 32;
            for first in (0..per_row).step_by(8) {
                fetch(share(ahead, first / 8, per_row.div_ceil(8)));
                let n = (per_row - first).min(8);
                for i in 0..n {
                    unpack_small(weights.format, rows, first + i, panel, i);
                }
                let column = &blocks[first..];
                match weights.format {
                    Format::Q8_0 => meet_small::<BYTE_OFFSET, true, false>(panel, n, column, per_row, sums),
                    Format::Q4_0 => meet_small::<8, false, false>(panel, n, column, per_row, sums),
                    Format::Q5_0 => meet_small::<16, false, false>(panel, n, column, per_row, sums),
                    _ => meet_small::<0, false, true>(panel, n, column, per_row, sums),
                }
            }
        }

        $(#[$feature])*
        fn meet_small<const OFFSET: i32, const BYTES: bool, const MINIMA: bool>(
            panel: &Panel<L>,
            n_blocks: usize,
            column: &[Small],
            per_row: usize,
            sums: &mut [[f32; L]],
        ) {
            let mut at = 0;
            while at < sums.len() {
                let n = group_size(sums.len() - at);
                let mut group = [&column[..0]; GROUP];
                for (i, blocks) in group.iter_mut().enumerate().take(n) {
                    *blocks = &column[(at + i) * per_row..][..n_blocks];
                }
                let sums = &mut sums[at..at + n];
                match n {
                    1 => group_small::<1, OFFSET, BYTES, MINIMA>(panel, &[group[0]], sums),
                    2 => group_small::<2, OFFSET, BYTES, MINIMA>(panel, &[group[0], group[1]], sums),
                    _ => group_small::<GROUP, OFFSET, BYTES, MINIMA>(panel, &group, sums),
                }
                at += n;
            }
        }

        $(#[$feature])*
        fn group_small<const N: usize, const OFFSET: i32, const BYTES: bool, const MINIMA: bool>(
            panel: &Panel<L>,
            blocks: &[&[Small]; N],
            sums: &mut [[f32; L]],
        ) {
            let mut totals = [splat_float(0.0); N];
            for t in 0..N {
                totals[t] = load_floats(&sums[t]);
            }
            for j in 0..blocks[0].len() {
                let mut dots = [splat(0); N];
                for t in 0..N {
                    dots[t] = splat(-OFFSET * blocks[t][j].sum);
                }
                for i in 0..8 {
                    let quants = load(&panel.quants[j * 8 + i]);
                    for t in 0..N {
                        let numbers = splat(blocks[t][j].quants[i]);
                        dots[t] = if BYTES {
                            dot_full_bytes(dots[t], quants, numbers)
                        } else {
                            dot_bytes(dots[t], quants, numbers)
                        };
                    }
                }
                let scale = as_floats(load(&panel.scales[j]));
                for t in 0..N {
                    let both = multiply_floats(scale, splat_float(blocks[t][j].scale));
                    totals[t] = add_floats(totals[t], multiply_floats(to_floats(dots[t]), both));
                    if MINIMA {
                        let minimum = as_floats(load(&panel.minima[j]));
                        let sum = splat_float(blocks[t][j].scaled_sum);
                        totals[t] = add_floats(totals[t], multiply_floats(minimum, sum));
                    }
                }
            }
            for t in 0..N {
                store_floats(&mut sums[t], totals[t]);
            }
        }

        $(#[$feature])*
        fn multiply_plain(
            (weights, ahead): (Weights<'_>, &[u8]),
            rows: &[&[u8]; L],
            panel: &mut Panel<L>,
            numbers: &[f32],
            sums: &mut [[f32; L]],
        ) {
            let per_row = weights.n_columns;
            for first in (0..per_row).step_by(64) {
                fetch(share(ahead, first / 64, per_row.div_ceil(64)));
                let n = (per_row - first).min(64);
                unpack_plain(weights.format, rows, first..first + n, panel);
                let mut at = 0;
                while at < sums.len() {
                    let n_rows = group_size(sums.len() - at);
                    let mut group = [&numbers[..0]; GROUP];
                    for (i, row) in group.iter_mut().enumerate().take(n_rows) {
                        *row = &numbers[(at + i) * per_row + first..][..n];
                    }
                    let sums = &mut sums[at..at + n_rows];
                    match n_rows {
                        1 => group_plain::<1>(panel, &[group[0]], sums),
                        2 => group_plain::<2>(panel, &[group[0], group[1]], sums),
                        _ => group_plain::<GROUP>(panel, &group, sums),
                    }
                    at += n_rows;
                }
            }
        }

        $(#[$feature])*
        fn group_plain<const N: usize>(panel: &Panel<L>, rows: &[&[f32]; N], sums: &mut [[f32; L]]) {
            let mut totals = [splat_float(0.0); N];
            for i in 0..rows[0].len() {
                let weight = as_floats(load(&panel.quants[i]));
                for t in 0..N {
                    totals[t] = multiply_add(weight, splat_float(rows[t][i]), totals[t]);
                }
            }
            for t in 0..N {
                let sum = add_floats(load_floats(&sums[t]), totals[t]);
                store_floats(&mut sums[t], sum);
            }
        }
    };
}
pub(crate) use kernels;
