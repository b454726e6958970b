//! IEEE halves and bfloat16: to f32 exactly, and from f32 to the nearest half.

/// An IEEE half as f32.
pub fn half_to_f32(bits: u16) -> f32 {
    let sign = u32::from(bits & 0x8000) << 16;
    let exponent = u32::from(bits >> 10 & 0x1f);
    let fraction = u32::from(bits & 0x3ff);
    match exponent {
        // Zero and subnormals: a multiple of 2^-24, which f32 holds exactly.
        0 => {
            let size = f32::from(bits & 0x3ff) * 2.0_f32.powi(-24);
            if sign == 0 { size } else { -size }
        }
        0x1f => f32::from_bits(sign | 0x7f80_0000 | fraction << 13),
        _ => f32::from_bits(sign | (exponent + 112) << 23 | fraction << 13),
    }
}

/// The nearest half, ties to even; what is too large becomes infinite.
#[expect(
    clippy::cast_possible_truncation,
    reason = "each shift leaves at most 16 bits"
)]
pub fn f32_to_half(number: f32) -> u16 {
    let bits = number.to_bits();
    let sign = (bits >> 16 & 0x8000) as u16;
    let size = bits & 0x7fff_ffff;
    if size > 0x7f80_0000 {
        return sign | 0x7e00;
    }
    // 65520 is halfway from the largest half to the next power of two.
    if size >= 0x477f_f000 {
        return sign | 0x7c00;
    }
    // Below 2^-14 the result is a multiple of 2^-24: adding 0.5 makes the FPU round to just that.
    if size < 0x3880_0000 {
        let rounded = f32::from_bits(size) + 0.5;
        return sign | (rounded.to_bits() - 0.5_f32.to_bits()) as u16;
    }
    let odd = size >> 13 & 1;
    sign | ((size - (112 << 23) + 0xfff + odd) >> 13) as u16
}

/// A bfloat16 as f32.
pub fn bf16_to_f32(bits: u16) -> f32 {
    f32::from_bits(u32::from(bits) << 16)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_are_exact() {
        for (bits, expect) in [
            (0x0000, 0.0),
            (0x0001, 2.0_f32.powi(-24)),
            (0x03ff, 1023.0 * 2.0_f32.powi(-24)),
            (0x0400, 2.0_f32.powi(-14)),
            (0x3c00, 1.0),
            (0x3555, 0.333_251_95),
            (0xc000, -2.0),
            (0x7bff, 65504.0),
            (0x8001, -(2.0_f32.powi(-24))),
            (0x7c00, f32::INFINITY),
        ] {
            assert_eq!(
                half_to_f32(bits).to_bits(),
                f32::to_bits(expect),
                "{bits:#x}"
            );
        }
        assert!(half_to_f32(0x7e00).is_nan());
    }

    #[test]
    fn every_half_survives_the_way_to_f32_and_back() {
        for bits in 0..=u16::MAX {
            let number = half_to_f32(bits);
            if !number.is_nan() {
                assert_eq!(f32_to_half(number), bits);
            }
        }
    }

    #[test]
    fn a_number_between_two_halves_goes_to_the_nearer_and_a_tie_to_the_even_one() {
        for bits in 0..0x7bff_u16 {
            let (low, high) = (half_to_f32(bits), half_to_f32(bits + 1));
            // Exact: neighbours differ in one bit of 11.
            let middle = f32::midpoint(low, high);
            assert_eq!(f32_to_half(middle), bits + (bits & 1));
            assert_eq!(f32_to_half(middle.next_down()), bits);
            assert_eq!(f32_to_half(middle.next_up()), bits + 1);
        }
    }
}
