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

/// Writes `multiply` for the vectors that the surrounding module defines: `L` lanes, `V` of whole numbers, `F` of f32,
/// `GROUP` rows of activations at once, and the operations on them.
macro_rules! kernels {
    ($(#[$feature:meta])*) => {
        use std::ops::Range;

        use crate::activations::{Activations, Blocks, Large, Small};
        use crate::format::Format;
        use crate::panel::{Panel, Weights, panel_rows};

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
                sums.fill([0.0; L]);
                match &input.blocks {
                    Blocks::Plain(numbers) => {
                        multiply_plain(weights, &slices, &mut panel, numbers, &mut sums);
                    }
                    Blocks::Small(blocks) => {
                        multiply_small(weights, &slices, &mut panel, blocks, &mut sums);
                    }
                    Blocks::Large(blocks) => {
                        multiply_large(weights, &slices, &mut panel, blocks, &mut sums);
                    }
                }
                for (i, sums) in sums.iter().enumerate() {
                    out[i * width + first - rows.start..][..n].copy_from_slice(&sums[..n]);
                }
            }
        }

        $(#[$feature])*
        fn multiply_large(
            weights: Weights<'_>,
            rows: &[&[u8]; L],
            panel: &mut Panel<L>,
            blocks: &[Large],
            sums: &mut [[f32; L]],
        ) {
            let per_row = weights.n_columns / 256;
            for index in 0..per_row {
                let column = &blocks[index..];
                match weights.format {
                    Format::Q4K => {
                        unpack_four(rows, index * 144, panel);
                        meet_large::<8, 0, true>(panel, column, per_row, sums);
                    }
                    Format::Q5K => {
                        unpack_five(rows, index * 176, panel);
                        meet_large::<8, 0, true>(panel, column, per_row, sums);
                    }
                    _ => {
                        unpack_six(rows, index * 210, panel);
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
                let n = if sums.len() - at >= GROUP { GROUP } else { 1 };
                let mut group = [&column[at * per_row]; GROUP];
                for (i, block) in group.iter_mut().enumerate().take(n) {
                    *block = &column[(at + i) * per_row];
                }
                let sums = &mut sums[at..at + n];
                if n == GROUP {
                    group_large::<GROUP, PER, OFFSET, MINIMA>(panel, &group, sums);
                } else {
                    group_large::<1, PER, OFFSET, MINIMA>(panel, &[group[0]], sums);
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

        /// Scales and minima of Q4_K and Q5_K.
        $(#[$feature])*
        fn unpack_head(rows: &[&[u8]; L], at: usize, panel: &mut Panel<L>) {
            let [both, a, b, c] = transposed(rows, at);
            store(&mut panel.scale, as_words(halves(both)));
            store(&mut panel.minimum, as_words(halves(right::<16>(both))));
            let low = 0x3f3f_3f3f;
            let scales = [and(a, low), or(and(c, 0x0f0f_0f0f), and(right::<2>(a), 0x3030_3030))];
            let minima = [and(b, low), or(and(right::<4>(c), 0x0f0f_0f0f), and(right::<2>(b), 0x3030_3030))];
            for half in 0..2 {
                let (s, m) = (scales[half], minima[half]);
                store(&mut panel.scales[half * 4], and(s, 0xff));
                store(&mut panel.scales[half * 4 + 1], and(right::<8>(s), 0xff));
                store(&mut panel.scales[half * 4 + 2], and(right::<16>(s), 0xff));
                store(&mut panel.scales[half * 4 + 3], right::<24>(s));
                store(&mut panel.minima[half * 2], or(and(m, 0xff), left::<8>(and(m, 0xff00))));
                store(&mut panel.minima[half * 2 + 1], or(and(right::<16>(m), 0xff), left::<16>(right::<24>(m))));
            }
        }

        $(#[$feature])*
        fn unpack_four(rows: &[&[u8]; L], at: usize, panel: &mut Panel<L>) {
            unpack_head(rows, at, panel);
            for piece in 0..8 {
                let nibbles = transposed(rows, at + 16 + piece * 16);
                let word = piece / 2 * 16 + piece % 2 * 4;
                for i in 0..4 {
                    store(&mut panel.quants[word + i], and(nibbles[i], 0x0f0f_0f0f));
                    store(&mut panel.quants[word + 8 + i], and(right::<4>(nibbles[i]), 0x0f0f_0f0f));
                }
            }
        }

        $(#[$feature])*
        fn unpack_five(rows: &[&[u8]; L], at: usize, panel: &mut Panel<L>) {
            unpack_head(rows, at, panel);
            let mut fifths = [transposed(rows, at + 16), transposed(rows, at + 32)];
            for piece in 0..8 {
                let nibbles = transposed(rows, at + 48 + piece * 16);
                let word = piece / 2 * 16 + piece % 2 * 4;
                for i in 0..4 {
                    let fifth = fifths[piece % 2][i];
                    let low = and(nibbles[i], 0x0f0f_0f0f);
                    let high = and(right::<4>(nibbles[i]), 0x0f0f_0f0f);
                    store(&mut panel.quants[word + i], or(low, left::<4>(and(fifth, 0x0101_0101))));
                    store(&mut panel.quants[word + 8 + i], or(high, left::<3>(and(fifth, 0x0202_0202))));
                    // The next sub-blocks' bits come to the front.
                    fifths[piece % 2][i] = right::<2>(fifth);
                }
            }
        }

        $(#[$feature])*
        fn unpack_six(rows: &[&[u8]; L], at: usize, panel: &mut Panel<L>) {
            let two = 0x3030_3030;
            for piece in 0..4 {
                let (half, eighth) = (piece / 2, piece % 2);
                let first = transposed(rows, at + half * 64 + eighth * 16);
                let second = transposed(rows, at + half * 64 + 32 + eighth * 16);
                let high = transposed(rows, at + 128 + half * 32 + eighth * 16);
                let word = half * 32 + eighth * 4;
                for i in 0..4 {
                    let (a, b, h) = (first[i], second[i], high[i]);
                    let quarters = [
                        or(and(a, 0x0f0f_0f0f), and(left::<4>(h), two)),
                        or(and(b, 0x0f0f_0f0f), and(left::<2>(h), two)),
                        or(and(right::<4>(a), 0x0f0f_0f0f), and(h, two)),
                        or(and(right::<4>(b), 0x0f0f_0f0f), and(right::<2>(h), two)),
                    ];
                    for (quarter, quants) in quarters.into_iter().enumerate() {
                        store(&mut panel.quants[word + quarter * 8 + i], quants);
                    }
                }
            }
            let scales = transposed(rows, at + 192);
            for i in 0..4 {
                store(&mut panel.scales[i * 4], right_signed::<24>(left::<24>(scales[i])));
                store(&mut panel.scales[i * 4 + 1], right_signed::<24>(left::<16>(scales[i])));
                store(&mut panel.scales[i * 4 + 2], right_signed::<24>(left::<8>(scales[i])));
                store(&mut panel.scales[i * 4 + 3], right_signed::<24>(scales[i]));
            }
            store(&mut panel.scale, as_words(halves(pair_at(rows, at + 208))));
        }

        $(#[$feature])*
        fn multiply_small(
            weights: Weights<'_>,
            rows: &[&[u8]; L],
            panel: &mut Panel<L>,
            blocks: &[Small],
            sums: &mut [[f32; L]],
        ) {
            let per_row = weights.n_columns / 32;
            for first in (0..per_row).step_by(8) {
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
                let n = if sums.len() - at >= GROUP { GROUP } else { 1 };
                let mut group = [&column[..0]; GROUP];
                for (i, blocks) in group.iter_mut().enumerate().take(n) {
                    *blocks = &column[(at + i) * per_row..][..n_blocks];
                }
                let sums = &mut sums[at..at + n];
                if n == GROUP {
                    group_small::<GROUP, OFFSET, BYTES, MINIMA>(panel, &group, sums);
                } else {
                    group_small::<1, OFFSET, BYTES, MINIMA>(panel, &[group[0]], sums);
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
        fn unpack_small(format: Format, rows: &[&[u8]; L], index: usize, panel: &mut Panel<L>, slot: usize) {
            let (_, size) = format.block();
            let at = index * size;
            let word = slot * 8;
            let head = pair_at(rows, at);
            store(&mut panel.scales[slot], as_words(halves(head)));
            if format == Format::Q8_0 {
                for piece in 0..2 {
                    let quants = transposed(rows, at + 2 + piece * 16);
                    for i in 0..4 {
                        store(&mut panel.quants[word + piece * 4 + i], flip(quants[i]));
                    }
                }
                return;
            }
            let mut start = at + 2;
            if matches!(format, Format::Q4_1 | Format::Q5_1) {
                store(&mut panel.minima[slot], as_words(halves(pair_at(rows, start))));
                start += 2;
            }
            let mut fifths = splat(0);
            if matches!(format, Format::Q5_0 | Format::Q5_1) {
                fifths = or(pair_at(rows, start), left::<16>(pair_at(rows, start + 2)));
                start += 4;
            }
            let nibbles = transposed(rows, start);
            for i in 0..4 {
                let low = or(and(nibbles[i], 0x0f0f_0f0f), spread(fifths));
                let high = or(and(right::<4>(nibbles[i]), 0x0f0f_0f0f), spread(right::<16>(fifths)));
                store(&mut panel.quants[word + i], low);
                store(&mut panel.quants[word + 4 + i], high);
                fifths = right::<4>(fifths);
            }
        }

        /// The lowest four bits, each as the fifth bit of a byte.
        $(#[$feature])*
        fn spread(bits: V) -> V {
            or(
                or(left::<4>(and(bits, 1)), left::<11>(and(bits, 2))),
                or(left::<18>(and(bits, 4)), left::<25>(and(bits, 8))),
            )
        }

        /// Sixteen bits of every row.
        $(#[$feature])*
        fn pair_at(rows: &[&[u8]; L], at: usize) -> V {
            let mut words = [0; L];
            for (word, row) in words.iter_mut().zip(rows) {
                let bytes = &row[at..at + 2];
                *word = u32::from(u16::from_le_bytes([bytes[0], bytes[1]]));
            }
            load(&words)
        }

        $(#[$feature])*
        fn multiply_plain(
            weights: Weights<'_>,
            rows: &[&[u8]; L],
            panel: &mut Panel<L>,
            numbers: &[f32],
            sums: &mut [[f32; L]],
        ) {
            let per_row = weights.n_columns;
            for first in (0..per_row).step_by(64) {
                let n = (per_row - first).min(64);
                unpack_plain(weights.format, rows, first..first + n, panel);
                let mut at = 0;
                while at < sums.len() {
                    let n_rows = if sums.len() - at >= GROUP { GROUP } else { 1 };
                    let mut group = [&numbers[..0]; GROUP];
                    for (i, row) in group.iter_mut().enumerate().take(n_rows) {
                        *row = &numbers[(at + i) * per_row + first..][..n];
                    }
                    let sums = &mut sums[at..at + n_rows];
                    if n_rows == GROUP {
                        group_plain::<GROUP>(panel, &group, sums);
                    } else {
                        group_plain::<1>(panel, &[group[0]], sums);
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

        $(#[$feature])*
        fn unpack_plain(format: Format, rows: &[&[u8]; L], columns: Range<usize>, panel: &mut Panel<L>) {
            let at = format.row_bytes(columns.start);
            let n_pieces = format.row_bytes(columns.len()) / 16;
            for piece in 0..n_pieces {
                for (i, word) in transposed(rows, at + piece * 16).into_iter().enumerate() {
                    let i = piece * 4 + i;
                    match format {
                        Format::F16 => {
                            store(&mut panel.quants[i * 2], as_words(halves(word)));
                            store(&mut panel.quants[i * 2 + 1], as_words(halves(right::<16>(word))));
                        }
                        Format::Bf16 => {
                            store(&mut panel.quants[i * 2], left::<16>(word));
                            store(&mut panel.quants[i * 2 + 1], and(word, 0xffff_0000));
                        }
                        _ => store(&mut panel.quants[i], word),
                    }
                }
            }
        }
    };
}
pub(crate) use kernels;
