//! 16-bit floats by integer arithmetic without branches: loops over them are vectorised, on every processor.

/// Widens an f16 to f32, exactly.
#[inline(always)]
pub fn f16_to_f32(half: u16) -> f32 {
    /// 2^112: the difference of the exponents' offsets.
    const OFFSET: f32 = f32::from_bits((254 - 15) << 23);
    /// 2^16, where f16 has its infinity.
    const INFINITE: f32 = f32::from_bits((127 + 16) << 23);
    let wide = f32::from_bits(u32::from(half & 0x7fff) << 13) * OFFSET;
    let special = if wide >= INFINITE { 0xff << 23 } else { 0 };
    f32::from_bits(wide.to_bits() | special | (u32::from(half & 0x8000) << 16))
}

/// Rounds to the nearest f16, of two to the even one.
#[inline(always)]
pub fn f32_to_f16(value: f32) -> u16 {
    /// From here on an f16 is not subnormal.
    const NORMAL: u32 = (127 - 14) << 23;
    /// A sum with it is rounded to multiples of the smallest subnormal f16.
    const SUBNORMAL: f32 = f32::from_bits((127 - 15 + 23 - 10 + 1) << 23);
    /// From here on an f16 is infinite.
    const INFINITE: u32 = (127 + 16) << 23;
    let sign = value.to_bits() & 0x8000_0000;
    let bits = value.to_bits() ^ sign;
    let odd = (bits >> 13) & 1;
    let normal = bits.wrapping_sub((127 - 15) << 23).wrapping_add(0xfff + odd) >> 13;
    let subnormal = (f32::from_bits(bits) + SUBNORMAL).to_bits().wrapping_sub(SUBNORMAL.to_bits());
    let special = if bits > 0xff << 23 { 0x7e00 } else { 0x7c00 };
    let finite = if bits < NORMAL { subnormal } else { normal };
    let rounded = if bits >= INFINITE { special } else { finite };
    (rounded | (sign >> 16)) as u16
}

/// Widens a bf16 to f32, exactly.
#[inline(always)]
pub fn bf16_to_f32(half: u16) -> f32 {
    f32::from_bits(u32::from(half) << 16)
}

/// Rounds to the nearest bf16, of two to the even one.
#[inline(always)]
pub fn f32_to_bf16(value: f32) -> u16 {
    let bits = value.to_bits();
    let rounded = bits.wrapping_add(0x7fff + ((bits >> 16) & 1)) >> 16;
    // The sum could make an infinity of what is not a number.
    let not_a_number = (bits >> 16) | 0x40;
    (if value.is_nan() { not_a_number } else { rounded }) as u16
}

#[cfg(test)]
mod tests {
    use half::{bf16, f16};

    use super::*;

    #[test]
    fn every_half_is_widened_exactly() {
        let same = |a: f32, b: f32| a == b || a.is_nan() && b.is_nan();
        for half in 0..=u16::MAX {
            let (f, b) =
                (f16::from_bits(half).to_f32_const(), bf16::from_bits(half).to_f32_const());
            assert!(same(f16_to_f32(half), f), "{half:#x}: {f}");
            assert!(same(bf16_to_f32(half), b), "{half:#x}: {b}");
        }
    }

    #[test]
    fn values_around_every_half_are_rounded_to_the_nearest() {
        // Below, at and above the middle between two, for both widths.
        const LOW: [u32; 10] =
            [0, 1, 0xfff, 0x1000, 0x1001, 0x2fff, 0x3000, 0x7fff, 0x8000, 0x8001];
        for value in (0..=u16::MAX).flat_map(|high| LOW.map(|low| u32::from(high) << 16 | low)) {
            let value = f32::from_bits(value);
            let (half, expected) = (f16::from_bits(f32_to_f16(value)), f16::from_f32_const(value));
            assert!(half == expected || half.is_nan() && expected.is_nan(), "{value}: {half}");
            let (half, expected) =
                (bf16::from_bits(f32_to_bf16(value)), bf16::from_f32_const(value));
            assert!(half == expected || half.is_nan() && expected.is_nan(), "{value}: {half}");
        }
    }
}
