//! Crossing the text of strings many bytes at a time.

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGH: u64 = 0x8080_8080_8080_8080;

/// How many bytes from `start` on are a string's plain text: no quote, no backslash, no control character.
#[inline]
pub(super) fn plain_len(text: &[u8], start: usize) -> usize {
    let mut at = start;
    // A block without any of them is crossed whole: the compiler makes vector instructions of this loop.
    while let Some(block) = text[at..].first_chunk::<32>() {
        let ends = |b: u8| b < 0x20 || b == b'"' || b == b'\\';
        if block.iter().fold(false, |found, &b| found | ends(b)) {
            break;
        }
        at += 32;
    }
    while let Some(word) = text[at..].first_chunk::<8>() {
        let word = u64::from_le_bytes(*word);
        let quote = word ^ (ONES * u64::from(b'"'));
        let backslash = word ^ (ONES * u64::from(b'\\'));
        // The lowest bit that is set is exact; only bits above it can be borrowed into being.
        let hits = ((word.wrapping_sub(ONES * 0x20) & !word)
            | (quote.wrapping_sub(ONES) & !quote)
            | (backslash.wrapping_sub(ONES) & !backslash))
            & HIGH;
        if hits != 0 {
            return at - start + (hits.trailing_zeros() / 8) as usize;
        }
        at += 8;
    }
    let rest = text[at..]
        .iter()
        .take_while(|&&b| b >= 0x20 && b != b'"' && b != b'\\')
        .count();
    at - start + rest
}
