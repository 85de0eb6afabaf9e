//! The inverse discrete cosine transform of libjpeg's `islow`, to the bit: Loeffler, Ligtenberg and
//! Moschytz (1989), in fixed point.
//!
//! Columns first, rounded to two bits of fraction, then rows.

use super::zigzag::{Coefficients, place};

/// Fraction bits of the constants.
const CONSTANT_BITS: u32 = 13;
/// Fraction bits that are kept between columns and rows.
const KEPT_BITS: u32 = 2;
/// What is cut off after the columns, and after the rows, where the transform is 8 times too large.
const SHIFTS: [u32; 2] = [CONSTANT_BITS - KEPT_BITS, CONSTANT_BITS + KEPT_BITS + 3];
/// Largest sum of the sizes of a column's upper, or lower, half: with twice as much, nothing between
/// columns and rows leaves 16 bits, nor any sum 32. Images stay below: what is above is noise, or was
/// written with so coarse steps that little is left of it.
const LARGEST: u16 = 2953;

/// What 1, 3, 5 and 7 are multiplied by for the four odd parts.
const ODD: [[i16; 4]; 4] = [
    [11363, 9633, 6437, 2260],
    [9633, -2259, -11362, -6436],
    [6437, -11362, 2261, 9633],
    [2260, -6436, 9633, -11363],
];
/// What 2 and 6 are multiplied by for the two even parts.
const EVEN: [[i16; 2]; 2] = [[10703, 4433], [4433, -10704]];

/// Writes the 8 × 8 pixels of a block to rows that are `stride` apart. `false` where coefficients are
/// larger than those of any image.
#[inline(always)]
pub fn block(
    coefficients: &Coefficients,
    steps: &Coefficients,
    pixels: &mut [u8],
    stride: usize,
) -> bool {
    let mut columns = [[0i32; 8]; 8];
    for column in 0..8 {
        let mut sizes = [0u32; 2];
        let values: [i32; 8] = std::array::from_fn(|row| {
            let at = place(column, row);
            let value = i32::from(coefficients[at]) * i32::from(steps[at]);
            sizes[row / 4] = sizes[row / 4].saturating_add(value.unsigned_abs());
            value
        });
        if sizes.iter().any(|size| *size > u32::from(LARGEST)) {
            return false;
        }
        let values = eight(values, SHIFTS[0]);
        columns.iter_mut().zip(values).for_each(|(row, value)| row[column] = value);
    }
    for (row, line) in columns.into_iter().zip(pixels.chunks_mut(stride)) {
        let values = eight(row, SHIFTS[1]).map(|value| (value + 128).clamp(0, 255) as u8);
        line[..8].copy_from_slice(&values);
    }
    true
}

/// Writes the pixels of a block that has its first coefficient alone.
#[inline(always)]
pub fn flat(coefficient: i16, step: i16, pixels: &mut [u8], stride: usize) -> bool {
    let value = i32::from(coefficient) * i32::from(step);
    if value.unsigned_abs() > u32::from(LARGEST) {
        return false;
    }
    let value = (((value << KEPT_BITS) + (1 << KEPT_BITS << 2)) >> (KEPT_BITS + 3)) + 128;
    let value = value.clamp(0, 255) as u8;
    pixels.chunks_mut(stride).take(8).for_each(|line| line[..8].fill(value));
    true
}

/// Eight values from eight coefficients.
#[inline(always)]
fn eight(x: [i32; 8], shift: u32) -> [i32; 8] {
    let half = 1 << (shift - 1);
    let outer = [x[0] + x[4], x[0] - x[4]].map(|sum| (sum << CONSTANT_BITS) + half);
    let inner = EVEN.map(|[two, six]| x[2] * i32::from(two) + x[6] * i32::from(six));
    let even = [outer[0] + inner[0], outer[1] + inner[1], outer[1] - inner[1], outer[0] - inner[0]];
    let odd = ODD.map(|[one, three, five, seven]| {
        x[1] * i32::from(one)
            + x[3] * i32::from(three)
            + x[5] * i32::from(five)
            + x[7] * i32::from(seven)
    });
    std::array::from_fn(|at| {
        let mirrored = at.min(7 - at);
        let sum =
            if at < 4 { even[mirrored] + odd[mirrored] } else { even[mirrored] - odd[mirrored] };
        sum >> shift
    })
}

/// The same in 256-bit registers.
#[cfg(target_arch = "x86_64")]
pub mod wide {
    use std::arch::x86_64::*;

    use super::super::zigzag::Coefficients;
    use super::{CONSTANT_BITS, EVEN, LARGEST, ODD, SHIFTS};

    /// See [`super::block`].
    #[inline]
    #[target_feature(enable = "avx2")]
    pub fn block(
        coefficients: &Coefficients,
        steps: &Coefficients,
        pixels: &mut [u8],
        stride: usize,
    ) -> bool {
        let (sixteens, _) = coefficients.as_chunks::<16>();
        let (steps, _) = steps.as_chunks::<16>();
        let mut columns = [_mm256_setzero_si256(); 4];
        let (mut sizes, mut lost) = (_mm256_setzero_si256(), _mm256_setzero_si256());
        for (column, (sixteen, steps)) in columns.iter_mut().zip(sixteens.iter().zip(steps)) {
            // SAFETY: sixteen values of 16 bits are a register.
            let (sixteen, steps) = unsafe {
                (
                    _mm256_loadu_si256(sixteen.as_ptr().cast()),
                    _mm256_loadu_si256(steps.as_ptr().cast()),
                )
            };
            let low = _mm256_mullo_epi16(sixteen, steps);
            // The high half of a product that has 16 bits is the sign of the low one.
            let high = _mm256_mulhi_epi16(sixteen, steps);
            let sign = _mm256_srai_epi16::<15>(low);
            lost = _mm256_or_si256(lost, _mm256_xor_si256(high, sign));
            sizes = _mm256_adds_epu16(sizes, _mm256_abs_epi16(low));
            *column = low;
        }
        let above = _mm256_subs_epu16(sizes, _mm256_set1_epi16(LARGEST as i16));
        let wrong = _mm256_or_si256(above, lost);
        if _mm256_testz_si256(wrong, wrong) == 0 {
            return false;
        }

        // Columns 0 to 3 and 4 to 7 of two rows each → the same of one column and the fourth after.
        let [a, b, c, d] = eight::<{ SHIFTS[0] as i32 }>(columns, 0);
        let (even, odd) = (_mm256_unpacklo_epi16(a, b), _mm256_unpackhi_epi16(a, b));
        let (upper_01, upper_23) =
            (_mm256_unpacklo_epi16(even, odd), _mm256_unpackhi_epi16(even, odd));
        let (even, odd) = (_mm256_unpacklo_epi16(c, d), _mm256_unpackhi_epi16(c, d));
        let (lower_01, lower_23) =
            (_mm256_unpacklo_epi16(even, odd), _mm256_unpackhi_epi16(even, odd));
        let rows = [
            _mm256_unpacklo_epi64(upper_01, lower_01),
            _mm256_unpackhi_epi64(upper_01, lower_01),
            _mm256_unpacklo_epi64(upper_23, lower_23),
            _mm256_unpackhi_epi64(upper_23, lower_23),
        ];
        // Values of the two columns in turns.
        let turns = _mm256_broadcastsi128_si256(_mm_setr_epi8(
            0, 1, 8, 9, 2, 3, 10, 11, 4, 5, 12, 13, 6, 7, 14, 15,
        ));
        let rows = rows
            .map(|it| _mm256_shuffle_epi8(_mm256_permute4x64_epi64::<0b11_01_10_00>(it), turns));
        let [a, b, c, d] = eight::<{ SHIFTS[1] as i32 }>(rows, 128);
        // Bytes: four rows of four columns, which are then turned.
        let turn = _mm256_broadcastsi128_si256(_mm_setr_epi8(
            0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15,
        ));
        let left = _mm256_shuffle_epi8(_mm256_packus_epi16(a, b), turn);
        let right = _mm256_shuffle_epi8(_mm256_packus_epi16(c, d), turn);
        let (first, third) =
            (_mm256_unpacklo_epi32(left, right), _mm256_unpackhi_epi32(left, right));
        let quarters = [
            _mm256_castsi256_si128(first),
            _mm256_castsi256_si128(third),
            _mm256_extracti128_si256::<1>(first),
            _mm256_extracti128_si256::<1>(third),
        ];
        assert!(pixels.len() >= 7 * stride + 8, "room for eight rows");
        for (pair, two) in quarters.into_iter().enumerate() {
            // SAFETY: the rows have room, as was asserted.
            unsafe {
                let row = pixels.as_mut_ptr().add(2 * pair * stride);
                _mm_storel_epi64(row.cast(), two);
                _mm_storel_epi64(row.add(stride).cast(), _mm_unpackhi_epi64(two, two));
            }
        }
        true
    }

    /// Eight values for each of eight lanes from the coefficients 0 and 4, 1 and 5, 2 and 6, 3 and 7,
    /// as 16 bits: values 0 and 1, 2 and 3, … of the lanes 0 to 3 and 4 to 7.
    #[inline]
    #[target_feature(enable = "avx2")]
    fn eight<const SHIFT: i32>(pairs: [__m256i; 4], mean: i32) -> [__m256i; 4] {
        let constants = |one: i16, other: i16| {
            _mm256_set1_epi32(i32::from(one as u16) | i32::from(other) << 16)
        };
        let [p04, p15, p26, p37] = pairs;
        let half = _mm256_set1_epi32((1 << (SHIFT - 1)) + (mean << SHIFT));
        const ONE: i16 = 1 << CONSTANT_BITS;
        let outer = [ONE, -ONE]
            .map(|four| _mm256_add_epi32(_mm256_madd_epi16(p04, constants(ONE, four)), half));
        let inner = EVEN.map(|[two, six]| _mm256_madd_epi16(p26, constants(two, six)));
        let even = [
            _mm256_add_epi32(outer[0], inner[0]),
            _mm256_add_epi32(outer[1], inner[1]),
            _mm256_sub_epi32(outer[1], inner[1]),
            _mm256_sub_epi32(outer[0], inner[0]),
        ];
        let odd = ODD.map(|[one, three, five, seven]| {
            _mm256_add_epi32(
                _mm256_madd_epi16(p15, constants(one, five)),
                _mm256_madd_epi16(p37, constants(three, seven)),
            )
        });
        let sum = |at: usize| _mm256_srai_epi32::<SHIFT>(_mm256_add_epi32(even[at], odd[at]));
        let difference =
            |at: usize| _mm256_srai_epi32::<SHIFT>(_mm256_sub_epi32(even[at], odd[at]));
        [
            _mm256_packs_epi32(sum(0), sum(1)),
            _mm256_packs_epi32(sum(2), sum(3)),
            _mm256_packs_epi32(difference(3), difference(2)),
            _mm256_packs_epi32(difference(1), difference(0)),
        ]
    }
}
