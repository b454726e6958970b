//! The steps between the matrices, written once and compiled for each kind of CPU: attention over a cache of halves, the
//! activations of feed-forward layers, and numbers brought to bytes.

/// Writes the steps for the vectors that the surrounding module defines, beside what `kernels` needs: `widened`.
macro_rules! steps {
    ($(#[$feature:meta])*) => {
        /// The products of a query with one head of every cached key. Keys lie `width` apart, the head begins at `at`.
        $(#[$feature])*
        pub(crate) fn scores(query: &[f32], keys: &[u16], width: usize, at: usize, out: &mut [f32]) {
            let (lanes, rest) = query.as_chunks::<L>();
            for (out, key) in out.iter_mut().zip(keys.chunks_exact(width)) {
                let (halves, rest_halves) = key[at..at + query.len()].as_chunks::<L>();
                let mut sum = splat_float(0.0);
                for (a, b) in lanes.iter().zip(halves) {
                    sum = multiply_add(load_floats(a), widened(b), sum);
                }
                let mut total = sum_of(sum);
                for (a, b) in rest.iter().zip(rest_halves) {
                    total += a * crate::half::half_to_f32(*b);
                }
                *out = total;
            }
        }

        /// Adds one head of every cached value, each times its weight.
        $(#[$feature])*
        pub(crate) fn mix(weights: &[f32], values: &[u16], width: usize, at: usize, out: &mut [f32]) {
            let length = out.len();
            let (lanes, rest) = out.as_chunks_mut::<L>();
            for (i, lane) in lanes.iter_mut().enumerate() {
                let mut sum = load_floats(lane);
                for (weight, value) in weights.iter().zip(values.chunks_exact(width)) {
                    let halves = &value[at + i * L..][..L];
                    if let Some(halves) = halves.first_chunk::<L>() {
                        sum = multiply_add(splat_float(*weight), widened(halves), sum);
                    }
                }
                store_floats(lane, sum);
            }
            let from = at + length - rest.len();
            for (weight, value) in weights.iter().zip(values.chunks_exact(width)) {
                for (out, half) in rest.iter_mut().zip(&value[from..]) {
                    *out += weight * crate::half::half_to_f32(*half);
                }
            }
        }

        $(#[$feature])*
        pub(crate) fn small_blocks(numbers: &[f32]) -> Vec<crate::activations::Small> {
            let mut blocks = Vec::with_capacity(numbers.len() / 32);
            for block in numbers.as_chunks().0 {
                blocks.push(crate::activations::Small::new(block));
            }
            blocks
        }

        $(#[$feature])*
        pub(crate) fn large_blocks(numbers: &[f32]) -> Vec<crate::activations::Large> {
            let mut blocks = Vec::with_capacity(numbers.len() / 256);
            for block in numbers.as_chunks().0 {
                blocks.push(crate::activations::Large::new(block));
            }
            blocks
        }

        /// `x / (1 + e^-x)` of every gate, times what is beside it.
        $(#[$feature])*
        pub(crate) fn silu(gates: &mut [f32], others: &[f32]) {
            for (gate, other) in gates.iter_mut().zip(others) {
                *gate = *gate / (1.0 + crate::vector::exp(-*gate)) * other;
            }
        }

        /// The `tanh` form of GELU of every gate, times what is beside it.
        $(#[$feature])*
        pub(crate) fn gelu(gates: &mut [f32], others: &[f32]) {
            for (gate, other) in gates.iter_mut().zip(others) {
                let x = *gate;
                let turn = 2.0 * 0.797_884_6 * x * (1.0 + 0.044_715 * x * x);
                *gate = x / (1.0 + crate::vector::exp(-turn)) * other;
            }
        }

        /// GELU itself, by the error function.
        $(#[$feature])*
        pub(crate) fn gelu_exact(numbers: &mut [f32]) {
            for x in numbers {
                *x *= 0.5 + 0.5 * crate::vector::erf(*x * std::f32::consts::FRAC_1_SQRT_2);
            }
        }

        /// Makes the scores weights that sum to one.
        $(#[$feature])*
        pub(crate) fn softmax(scores: &mut [f32]) {
            let mut most = f32::NEG_INFINITY;
            for score in scores.iter() {
                most = if *score > most { *score } else { most };
            }
            for score in scores.iter_mut() {
                *score = crate::vector::exp(*score - most);
            }
            let (lanes, rest) = scores.as_chunks::<8>();
            let mut sums = [0.0_f32; 8];
            for lane in lanes {
                for i in 0..8 {
                    sums[i] += lane[i];
                }
            }
            let mut sum = 0.0;
            for part in sums.iter().chain(rest) {
                sum += part;
            }
            let factor = 1.0 / sum;
            for score in scores.iter_mut() {
                *score *= factor;
            }
        }
    };
}
pub(crate) use steps;

/// e^x to within two units of the last place, without branches so that it can be vectorised. Below -87 it is 0.
#[inline]
pub(crate) fn exp(x: f32) -> f32 {
    const SHIFT: f32 = 12_582_912.0;
    let clamped = x.clamp(-87.0, 88.0);
    let whole = (clamped * std::f32::consts::LOG2_E + SHIFT) - SHIFT;
    // ln 2 in two parts, the first with few bits, so that the rest is exact.
    let rest = (clamped - whole * 0.693_359_4) - whole * -2.121_944_4e-4;
    let mut sum = 1.987_569_1e-4;
    for coefficient in [
        1.398_199_9e-3,
        8.333_452e-3,
        4.166_579_6e-2,
        1.666_666_5e-1,
        0.5,
    ] {
        sum = sum * rest + coefficient;
    }
    let power = sum * rest * rest + rest + 1.0;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "from -126 to 127; not-a-number becomes 0"
    )]
    let scale = f32::from_bits(((whole as i32 + 127) as u32) << 23);
    let result = power * scale;
    if x < -87.0 { 0.0 } else { result }
}

/// The error function to within 6e-7, without branches: formula 7.1.26 of Abramowitz and Stegun's handbook.
#[inline]
pub(crate) fn erf(x: f32) -> f32 {
    let size = x.abs();
    let t = 1.0 / (1.0 + 0.327_591_1 * size);
    let mut sum = 1.061_405_4;
    for coefficient in [-1.453_152, 1.421_413_7, -0.284_496_74, 0.254_829_6] {
        sum = sum * t + coefficient;
    }
    (1.0 - sum * t * exp(-size * size)).copysign(x)
}

#[cfg(test)]
mod tests {
    use super::{erf, exp};

    /// Against the series of the error function, summed in f64.
    #[test]
    fn the_error_function_is_near_its_series() {
        let mut x = -4.0_f32;
        while x < 4.0 {
            let z = f64::from(x);
            let (mut term, mut exact) = (z, z);
            for n in 1..120 {
                let n = f64::from(n);
                term *= -z * z / n;
                exact += term / (2.0 * n + 1.0);
            }
            exact *= std::f64::consts::FRAC_2_SQRT_PI;
            let found = f64::from(erf(x));
            assert!((found - exact).abs() < 6e-7, "erf({x}): {found} {exact}");
            x += 0.001_3;
        }
        let ends = [0.0, 20.0, f32::NEG_INFINITY].map(|x| erf(x).to_bits());
        assert!(f32::from_bits(ends[0]).abs() < 2e-7);
        assert_eq!(ends[1..], [1.0_f32.to_bits(), (-1.0_f32).to_bits()]);
        assert!(erf(f32::NAN).is_nan());
    }

    #[test]
    fn powers_of_e_are_as_exact_as_f32() {
        let mut x = -86.0_f32;
        while x < 88.0 {
            let exact = f64::from(x).exp();
            let found = f64::from(exp(x));
            assert!((found / exact - 1.0).abs() < 3e-7, "e^{x}: {found} {exact}");
            x += 0.001_7;
        }
        let ends = [0.0, -200.0, f32::NEG_INFINITY].map(|x| exp(x).to_bits());
        assert_eq!(ends, [1.0_f32.to_bits(), 0, 0]);
        assert!(exp(f32::NAN).is_nan());
    }
}
