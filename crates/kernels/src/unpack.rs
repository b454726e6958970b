//! How blocks of each format become a panel, written once and compiled for each kind of CPU.
//!
//! Words are read from all rows of a panel at once, so that each lane has its row's; the bits of quants and scales are
//! then sorted for all rows together. The layouts are those of `format`.

/// Writes the functions that unpack, for the vectors that the surrounding module defines.
macro_rules! unpackers {
    ($(#[$feature:meta])*) => {
        /// Scales and minima of Q4_K and Q5_K.
        $(#[$feature])*
        fn unpack_head<const SIZE: usize>(rows: &[&[u8; SIZE]; L], panel: &mut Panel<L>) {
            let [both, a, b, c] = transposed(rows, 0);
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
        fn unpack_four(rows: &[&[u8; 144]; L], panel: &mut Panel<L>) {
            unpack_head(rows, panel);
            for piece in 0..8 {
                let nibbles = transposed(rows, 16 + piece * 16);
                let word = piece / 2 * 16 + piece % 2 * 4;
                for i in 0..4 {
                    store(&mut panel.quants[word + i], and(nibbles[i], 0x0f0f_0f0f));
                    store(&mut panel.quants[word + 8 + i], and(right::<4>(nibbles[i]), 0x0f0f_0f0f));
                }
            }
        }

        $(#[$feature])*
        fn unpack_five(rows: &[&[u8; 176]; L], panel: &mut Panel<L>) {
            unpack_head(rows, panel);
            let mut fifths = [transposed(rows, 16), transposed(rows, 32)];
            for piece in 0..8 {
                let nibbles = transposed(rows, 48 + piece * 16);
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
        fn unpack_six(rows: &[&[u8; 210]; L], panel: &mut Panel<L>) {
            let two = 0x3030_3030;
            for piece in 0..4 {
                let (half, eighth) = (piece / 2, piece % 2);
                let first = transposed(rows, half * 64 + eighth * 16);
                let second = transposed(rows, half * 64 + 32 + eighth * 16);
                let high = transposed(rows, 128 + half * 32 + eighth * 16);
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
            let scales = transposed(rows, 192);
            for i in 0..4 {
                store(&mut panel.scales[i * 4], right_signed::<24>(left::<24>(scales[i])));
                store(&mut panel.scales[i * 4 + 1], right_signed::<24>(left::<16>(scales[i])));
                store(&mut panel.scales[i * 4 + 2], right_signed::<24>(left::<8>(scales[i])));
                store(&mut panel.scales[i * 4 + 3], right_signed::<24>(scales[i]));
            }
            store(&mut panel.scale, as_words(halves(pair_at(rows, 208))));
        }

        /// Unpacks block `index` of every row as the panel's block `slot`.
        $(#[$feature])*
        fn unpack_small(
            format: Format,
            rows: &[&[u8]; L],
            index: usize,
            panel: &mut Panel<L>,
            slot: usize,
        ) {
            match format {
                Format::Q8_0 => unpack_bytes(&blocks_at(rows, index * 34), panel, slot),
                Format::Q4_0 => {
                    unpack_nibbles::<18, false, false>(&blocks_at(rows, index * 18), panel, slot);
                }
                Format::Q4_1 => {
                    unpack_nibbles::<20, true, false>(&blocks_at(rows, index * 20), panel, slot);
                }
                Format::Q5_0 => {
                    unpack_nibbles::<22, false, true>(&blocks_at(rows, index * 22), panel, slot);
                }
                _ => unpack_nibbles::<24, true, true>(&blocks_at(rows, index * 24), panel, slot),
            }
        }

        $(#[$feature])*
        fn unpack_bytes(rows: &[&[u8; 34]; L], panel: &mut Panel<L>, slot: usize) {
            store(&mut panel.scales[slot], as_words(halves(pair_at(rows, 0))));
            for piece in 0..2 {
                let quants = transposed(rows, 2 + piece * 16);
                for i in 0..4 {
                    store(&mut panel.quants[slot * 8 + piece * 4 + i], flip(quants[i]));
                }
            }
        }

        $(#[$feature])*
        fn unpack_nibbles<const SIZE: usize, const MINIMA: bool, const FIFTHS: bool>(
            rows: &[&[u8; SIZE]; L],
            panel: &mut Panel<L>,
            slot: usize,
        ) {
            store(&mut panel.scales[slot], as_words(halves(pair_at(rows, 0))));
            if MINIMA {
                store(&mut panel.minima[slot], as_words(halves(pair_at(rows, 2))));
            }
            let start = if MINIMA { 4 } else { 2 };
            let mut fifths = splat(0);
            if FIFTHS {
                fifths = or(pair_at(rows, start), left::<16>(pair_at(rows, start + 2)));
            }
            let nibbles = transposed(rows, if FIFTHS { start + 4 } else { start });
            for i in 0..4 {
                let mut low = and(nibbles[i], 0x0f0f_0f0f);
                let mut high = and(right::<4>(nibbles[i]), 0x0f0f_0f0f);
                if FIFTHS {
                    low = or(low, spread(fifths));
                    high = or(high, spread(right::<16>(fifths)));
                    fifths = right::<4>(fifths);
                }
                store(&mut panel.quants[slot * 8 + i], low);
                store(&mut panel.quants[slot * 8 + 4 + i], high);
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
        fn pair_at<const SIZE: usize>(rows: &[&[u8; SIZE]; L], at: usize) -> V {
            let mut words = [0; L];
            for (word, row) in words.iter_mut().zip(rows) {
                *word = u32::from(u16::from_le_bytes([row[at], row[at + 1]]));
            }
            load(&words)
        }

        $(#[$feature])*
        fn unpack_plain(format: Format, rows: &[&[u8]; L], columns: Range<usize>, panel: &mut Panel<L>) {
            let at = format.row_bytes(columns.start);
            let n_pieces = format.row_bytes(columns.len()) / 16;
            for piece in 0..n_pieces {
                let blocks = blocks_at::<L, 16>(rows, at + piece * 16);
                for (i, word) in transposed(&blocks, 0).into_iter().enumerate() {
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
pub(crate) use unpackers;
