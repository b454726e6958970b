//! Ids: unique, unguessable enough to be quoted in public, and never a secret.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::UnixMillis;

const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// Makes ids such as `req_4fT…`: a prefix and 22 base62 characters.
///
/// Uniqueness rests on 64 random bits for each process and a counter, so making an id costs no system
/// call. Secrets are made elsewhere, from the operating system's randomness alone.
#[derive(Debug)]
pub struct IdSource {
    process: u64,
    next: AtomicU64,
}

impl IdSource {
    /// A source seeded from the operating system.
    pub fn from_entropy() -> Self {
        let mut seed = [0; 16];
        // Without entropy ids are still unique inside the process, and nothing here is secret.
        let _seeded = getrandom::fill(&mut seed).is_ok();
        let (a, b) = seed.split_at(8);
        Self {
            process: u64::from_le_bytes(a.try_into().unwrap_or_default()),
            next: AtomicU64::new(u64::from_le_bytes(b.try_into().unwrap_or_default())),
        }
    }

    /// A number spread evenly over its range, for jitter and for taking turns; not for secrets.
    pub fn number(&self) -> u64 {
        mix(self.process ^ self.next.fetch_add(1, Ordering::Relaxed))
    }

    /// The next id with this prefix, which includes its separator (`req_`, `chatcmpl-`).
    pub fn next(&self, prefix: &str) -> String {
        let n = self.next.fetch_add(1, Ordering::Relaxed);
        let high = mix(self.process ^ n.rotate_left(32));
        spell(prefix, (u128::from(high) << 64) | u128::from(mix(n)))
    }

    /// As [`IdSource::next`], for what is stored in great numbers: ids of different milliseconds sort as those do,
    /// so that an index over them grows at its end alone, where random ids would touch a page of it for each row.
    /// The layout is that of a version 7 UUID (RFC 9562, section 5.7): 48 bits of time above 80 that are unique.
    pub fn next_in_time(&self, prefix: &str, at: UnixMillis) -> String {
        let n = self.next.fetch_add(1, Ordering::Relaxed);
        let unique = (u128::from(self.process & 0xffff) << 64) | u128::from(mix(n));
        spell(prefix, (u128::from(at.0) << 80) | unique)
    }
}

fn spell(prefix: &str, number: u128) -> String {
    let mut out = String::with_capacity(prefix.len() + 22);
    out.push_str(prefix);
    base62(number, 22, &mut out);
    out
}

/// Appends `value` in base62 (`0-9A-Za-z`), zero padded to `width` digits, the highest digits dropped.
pub fn base62(mut value: u128, width: usize, out: &mut String) {
    let mut digits = [b'0'; 22];
    let width = width.min(digits.len());
    // 128 bits are slow to divide: ten digits are cut off at a time.
    for part in digits[..width].rchunks_mut(10) {
        let mut rest = u64::try_from(value % PART).unwrap_or(0);
        value /= PART;
        for digit in part.iter_mut().rev() {
            *digit = ALPHABET[(rest % 62) as usize];
            rest /= 62;
        }
    }
    out.push_str(std::str::from_utf8(&digits[..width]).unwrap_or_default());
}

/// Ten digits of base62.
const PART: u128 = 62_u128.pow(10);

/// The finaliser of SplitMix64 (Steele, Lea, Flood: "Fast splittable pseudorandom number generators").
fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn ids_are_unique_and_of_one_width() {
        let source = IdSource::from_entropy();
        let ids: HashSet<String> = (0..10_000).map(|_| source.next("req_")).collect();
        assert_eq!(ids.len(), 10_000);
        assert!(ids.iter().all(|id| id.len() == 26));
    }

    #[test]
    fn ids_in_time_sort_by_their_milliseconds_and_are_unique_within_one() {
        let source = IdSource::from_entropy();
        let times = [
            0,
            1,
            61,
            62,
            1_790_000_000_000,
            1_790_000_000_001,
            (1 << 48) - 1,
        ];
        let ids: Vec<String> = times
            .iter()
            .flat_map(|at| (0..1000).map(|_| source.next_in_time("req_", UnixMillis(*at))))
            .collect();
        assert!(ids.iter().all(|id| id.len() == 26));
        assert_eq!(ids.iter().collect::<HashSet<_>>().len(), ids.len());
        let milliseconds: Vec<_> = ids.chunks(1000).collect();
        for pair in milliseconds.windows(2) {
            assert!(pair[0].iter().max() < pair[1].iter().min());
        }
    }

    #[test]
    fn base62_pads_with_zeros() {
        let mut out = String::new();
        base62(61, 3, &mut out);
        base62(62, 3, &mut out);
        assert_eq!(out, "00z010");
    }
}
