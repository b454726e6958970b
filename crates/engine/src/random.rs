//! The pseudo-random numbers behind a seed: xoshiro256** 1.0, its state filled by SplitMix64, as their authors
//! recommend (Blackman and Vigna, <https://prng.di.unimi.it/>).
//!
//! Written here because a seed is a promise: the same seed must give the same answer in every later version.
//! Not for secrets.

use std::hash::{BuildHasher, Hasher, RandomState};

#[derive(Debug, Clone)]
pub(crate) struct Random {
    state: [u64; 4],
}

impl Random {
    pub(crate) fn from_seed(seed: u64) -> Random {
        let mut mix = seed;
        Random {
            state: std::array::from_fn(|_| split_mix(&mut mix)),
        }
    }

    /// A different sequence every time: the standard library's hasher keys come from the operating system.
    pub(crate) fn unseeded() -> Random {
        Random::from_seed(RandomState::new().build_hasher().finish())
    }

    pub(crate) fn next(&mut self) -> u64 {
        let [a, b, c, d] = self.state;
        let result = b.wrapping_mul(5).rotate_left(7).wrapping_mul(9);
        let c2 = c ^ a;
        let d2 = d ^ b;
        self.state = [a ^ d2, b ^ c2, c2 ^ (b << 17), d2.rotate_left(45)];
        result
    }

    /// Evenly over [0, 1), in steps of 2^-53.
    #[expect(clippy::cast_precision_loss, reason = "53 bits are exact in an f64")]
    pub(crate) fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }
}

fn split_mix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Known answers of the authors' C code.
    #[test]
    fn sequences_equal_the_reference() {
        let mut state = 1_234_567;
        assert_eq!(split_mix(&mut state), 6_457_827_717_110_365_317);
        assert_eq!(split_mix(&mut state), 3_203_168_211_198_807_973);
        let mut random = Random {
            state: [1, 2, 3, 4],
        };
        let first: Vec<u64> = (0..4).map(|_| random.next()).collect();
        assert_eq!(first, [11520, 0, 1_509_978_240, 1_215_971_899_390_074_240]);
    }

    #[test]
    fn units_stay_below_one_and_differ_by_seed() {
        let (mut a, mut b) = (Random::from_seed(1), Random::from_seed(2));
        let (xs, ys): (Vec<f64>, Vec<f64>) = (0..1000).map(|_| (a.unit(), b.unit())).unzip();
        assert_ne!(xs, ys);
        assert!(xs.iter().chain(&ys).all(|x| (0.0..1.0).contains(x)));
        let mean = xs.iter().sum::<f64>() / 1000.0;
        assert!((mean - 0.5).abs() < 0.05, "mean {mean}");
    }
}
