//! Chroma at the size of luma, and YCbCr as RGB: libjpeg's "fancy upsampling" and its fixed point, to
//! the bit.

use super::super::super::raster::PIXEL;

/// Rows of chroma, nearest first, of which the nearer counts three times; with one row it is alone.
#[derive(Clone, Copy)]
pub struct Rows<'a> {
    /// The row that the output's lies in.
    pub near: &'a [u8],
    /// The next one towards it.
    pub far: Option<&'a [u8]>,
}

/// Weighted sums of two rows, which have room for a value before and after them.
#[inline(always)]
pub fn down(Rows { near, far }: Rows, sums: &mut [u16]) {
    match far {
        Some(far) => {
            for ((sum, near), far) in sums.iter_mut().zip(near).zip(far) {
                *sum = 3 * u16::from(*near) + u16::from(*far);
            }
        }
        None => sums.iter_mut().zip(near).for_each(|(sum, near)| *sum = u16::from(*near)),
    }
}

/// Twice as many values across: each is three quarters of the nearer one and a quarter of the other.
///
/// # Shapes
/// - `sums`: `[values + 2]`, a neighbour at either end
/// - `output`: `[values]` pairs
#[inline(always)]
pub fn across(sums: &[u16], is_of_two_rows: bool, output: &mut [[u8; 2]]) {
    // Half a step is added on the left and a little less on the right, so that none is favoured.
    let (shift, left, right) = if is_of_two_rows { (4, 8, 7) } else { (2, 1, 2) };
    let neighbours = sums.iter().zip(&sums[1..]).zip(&sums[2..]);
    for (pair, ((before, value), after)) in output.iter_mut().zip(neighbours) {
        let near = 3 * value;
        *pair = [((near + before + left) >> shift) as u8, ((near + after + right) >> shift) as u8];
    }
}

/// A row of pixels, red, green, blue and one byte that means nothing.
#[inline(always)]
pub fn pixels(luma: &[u8], blue: &[u8], red: &[u8], output: &mut [u8]) {
    const HALF: i32 = 1 << 15;
    let (output, _) = output.as_chunks_mut::<PIXEL>();
    for (pixel, ((luma, blue), red)) in output.iter_mut().zip(luma.iter().zip(blue).zip(red)) {
        let (luma, blue, red) = (i32::from(*luma), i32::from(*blue) - 128, i32::from(*red) - 128);
        let byte = |value: i32| value.clamp(0, 255) as u32;
        let r = byte(luma + ((91881 * red + HALF) >> 16));
        let g = byte(luma + ((-22554 * blue - 46802 * red + HALF) >> 16));
        let b = byte(luma + ((116130 * blue + HALF) >> 16));
        *pixel = (r | g << 8 | b << 16).to_le_bytes();
    }
}

/// A row of grey pixels.
#[inline(always)]
pub fn grey(luma: &[u8], output: &mut [u8]) {
    let (output, _) = output.as_chunks_mut::<PIXEL>();
    output.iter_mut().zip(luma).for_each(|(pixel, luma)| *pixel = [*luma; PIXEL]);
}

/// The same in 256-bit registers.
#[cfg(target_arch = "x86_64")]
pub mod wide {
    use std::arch::x86_64::*;

    use super::PIXEL;

    /// Values taken at once.
    const LANES: usize = 16;

    /// See [`super::across`].
    #[target_feature(enable = "avx2")]
    pub fn across(sums: &[u16], is_of_two_rows: bool, output: &mut [[u8; 2]]) {
        let (shift, left, right) = if is_of_two_rows { (4, 8, 7) } else { (2, 1, 2) };
        let shift = _mm_cvtsi32_si128(shift);
        let (left, right) = (_mm256_set1_epi16(left), _mm256_set1_epi16(right));
        let whole = output.len() / LANES * LANES;
        for at in (0..whole).step_by(LANES) {
            let (sums, output) = (&sums[at..at + LANES + 2], &mut output[at..at + LANES]);
            // SAFETY: sixteen sums from each of three places, and room for as many pairs, are there.
            unsafe {
                let load = |at: usize| _mm256_loadu_si256(sums.as_ptr().add(at).cast());
                let (before, value, after) = (load(0), load(1), load(2));
                let near = _mm256_add_epi16(value, _mm256_slli_epi16::<1>(value));
                let quarter = |far, half| {
                    let sum = _mm256_add_epi16(near, _mm256_add_epi16(far, half));
                    _mm256_srl_epi16(sum, shift)
                };
                let (even, odd) = (quarter(before, left), quarter(after, right));
                let pairs = _mm256_or_si256(even, _mm256_slli_epi16::<8>(odd));
                _mm256_storeu_si256(output.as_mut_ptr().cast(), pairs);
            }
        }
        super::across(&sums[whole..], is_of_two_rows, &mut output[whole..]);
    }

    /// See [`super::pixels`].
    #[target_feature(enable = "avx2")]
    pub fn pixels(luma: &[u8], blue: &[u8], red: &[u8], output: &mut [u8]) {
        let whole = luma.len() / LANES * LANES;
        for at in (0..whole).step_by(LANES) {
            let (luma, blue, red) =
                (&luma[at..at + LANES], &blue[at..at + LANES], &red[at..at + LANES]);
            let output = &mut output[at * PIXEL..(at + LANES) * PIXEL];
            // SAFETY: sixteen bytes of each, and room for sixteen pixels, are there.
            unsafe {
                let load = |it: &[u8]| _mm256_cvtepu8_epi16(_mm_loadu_si128(it.as_ptr().cast()));
                let (low, high) = sixteen(load(luma), load(blue), load(red));
                let output: *mut __m256i = output.as_mut_ptr().cast();
                _mm256_storeu_si256(output, low);
                _mm256_storeu_si256(output.add(1), high);
            }
        }
        super::pixels(&luma[whole..], &blue[whole..], &red[whole..], &mut output[whole * PIXEL..]);
    }

    /// Sixteen pixels from sixteen values each.
    #[target_feature(enable = "avx2")]
    fn sixteen(luma: __m256i, blue: __m256i, red: __m256i) -> (__m256i, __m256i) {
        let middle = _mm256_set1_epi16(128);
        let (blue, red) = (_mm256_sub_epi16(blue, middle), _mm256_sub_epi16(red, middle));
        // A rounded product by a 32768th: of 1.402 and 1.772 what is more than 1, or less than 2.
        let part = |value, factor| _mm256_mulhrs_epi16(value, _mm256_set1_epi16(factor));
        let r = _mm256_add_epi16(_mm256_add_epi16(luma, red), part(red, 13175));
        let twice = _mm256_add_epi16(blue, blue);
        let b = _mm256_add_epi16(_mm256_add_epi16(luma, twice), part(blue, -7471));
        // Of 0.714 what is less than 1, so that it has 16 bits.
        let factors = _mm256_set1_epi32(i32::from(-11277i16 as u16) | 9367 << 16);
        let both = |pairs| {
            let sum =
                _mm256_add_epi32(_mm256_madd_epi16(pairs, factors), _mm256_set1_epi32(1 << 14));
            _mm256_srai_epi32::<15>(sum)
        };
        let g = _mm256_packs_epi32(
            both(_mm256_unpacklo_epi16(blue, red)),
            both(_mm256_unpackhi_epi16(blue, red)),
        );
        let g = _mm256_add_epi16(_mm256_sub_epi16(luma, red), g);
        // Eight of red, then of blue, in each half.
        let red_blue = _mm256_packus_epi16(r, b);
        let green = _mm256_packus_epi16(g, _mm256_setzero_si256());
        let red_green = _mm256_unpacklo_epi8(red_blue, green);
        let blue_none = _mm256_unpackhi_epi8(red_blue, green);
        let first = _mm256_unpacklo_epi16(red_green, blue_none);
        let second = _mm256_unpackhi_epi16(red_green, blue_none);
        (
            _mm256_permute2x128_si256::<0x20>(first, second),
            _mm256_permute2x128_si256::<0x31>(first, second),
        )
    }

    #[cfg(test)]
    mod tests {
        #[test]
        fn factors_of_16_bits_are_those_of_32() {
            for value in -128i32..128 {
                let part = |factor: i32| (value * factor + (1 << 14)) >> 15;
                assert_eq!(value + part(13175), (91881 * value + (1 << 15)) >> 16);
                assert_eq!(2 * value + part(-7471), (116130 * value + (1 << 15)) >> 16);
                for other in -128i32..128 {
                    let green = (-11277 * value + 9367 * other + (1 << 14)) >> 15;
                    let expected = (-22554 * value - 46802 * other + (1 << 15)) >> 16;
                    assert_eq!(green - other, expected);
                }
            }
        }
    }
}
