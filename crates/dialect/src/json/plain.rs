//! Crossing the text of strings many bytes at a time.

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGH: u64 = 0x8080_8080_8080_8080;

/// How many bytes from `start` on are a string's plain text: no quote, no backslash, no control character.
#[inline]
pub(super) fn plain_len(text: &[u8], start: usize) -> usize {
    let mut at = start;
    // Code and lists have an escape every few bytes: one word finds most of them.
    match next_word(text, at).map(end_in) {
        Some(Some(n)) => return n,
        Some(None) => at += 8,
        None => {}
    }
    // A block without any of them is crossed whole: the compiler makes vector instructions of this loop.
    while let Some(block) = text[at..].first_chunk::<32>() {
        let ends = |b: u8| b < 0x20 || b == b'"' || b == b'\\';
        if block.iter().fold(false, |found, &b| found | ends(b)) {
            break;
        }
        at += 32;
    }
    while let Some(word) = next_word(text, at) {
        if let Some(n) = end_in(word) {
            return at - start + n;
        }
        at += 8;
    }
    let rest = text[at..]
        .iter()
        .take_while(|&&b| b >= 0x20 && b != b'"' && b != b'\\')
        .count();
    at - start + rest
}

#[inline]
fn next_word(text: &[u8], at: usize) -> Option<u64> {
    text[at..]
        .first_chunk()
        .map(|word| u64::from_le_bytes(*word))
}

/// The place of the first byte of a word that is no plain text.
#[inline]
fn end_in(word: u64) -> Option<usize> {
    let quote = word ^ (ONES * u64::from(b'"'));
    let backslash = word ^ (ONES * u64::from(b'\\'));
    // The lowest bit that is set is exact; only bits above it can be borrowed into being.
    let hits = ((word.wrapping_sub(ONES * 0x20) & !word)
        | (quote.wrapping_sub(ONES) & !quote)
        | (backslash.wrapping_sub(ONES) & !backslash))
        & HIGH;
    (hits != 0).then(|| (hits.trailing_zeros() / 8) as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_is_found_wherever_it_stands() {
        for end in [b'"', b'\\', b'\n', 0, 0x1f] {
            for length in 0..100 {
                // What comes before is plain, also where its bits look like an end's.
                let plain = [b'a', b' ', b'#', b'!', 0x7f, 0x80, 0xa2, 0xff];
                let mut text: Vec<u8> = plain.into_iter().cycle().take(length).collect();
                assert_eq!(plain_len(&text, 0), length);
                text.push(end);
                text.extend([b'x'; 40]);
                for start in [0, length / 2, length] {
                    assert_eq!(plain_len(&text, start), length - start, "{end} {length}");
                }
            }
        }
    }
}
