//! What is computed in registers, for any processor and for those with AVX2.

use super::zigzag::Coefficients;
use super::{colour, idct};

/// Whether the processor has registers that make it worth while not to leave all to the library, whose
/// loops are assembly on every processor.
pub fn are_wide() -> bool {
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx2")
        && is_x86_feature_detected!("bmi1")
        && is_x86_feature_detected!("bmi2")
    {
        return true;
    }
    false
}

/// The inner loops of a decoder.
pub trait Kernels {
    /// See [`idct::block`].
    fn transform(
        block: &Coefficients,
        steps: &Coefficients,
        pixels: &mut [u8],
        stride: usize,
    ) -> bool;
    /// See [`colour::across`].
    fn across(sums: &[u16], is_of_two_rows: bool, output: &mut [[u8; 2]]);
    /// See [`colour::pixels`].
    fn pixels(luma: &[u8], blue: &[u8], red: &[u8], output: &mut [u8]);
}

/// For any processor.
pub struct Plain;

impl Kernels for Plain {
    #[inline(always)]
    fn transform(
        block: &Coefficients,
        steps: &Coefficients,
        pixels: &mut [u8],
        stride: usize,
    ) -> bool {
        idct::block(block, steps, pixels, stride)
    }

    #[inline(always)]
    fn across(sums: &[u16], is_of_two_rows: bool, output: &mut [[u8; 2]]) {
        colour::across(sums, is_of_two_rows, output);
    }

    #[inline(always)]
    fn pixels(luma: &[u8], blue: &[u8], red: &[u8], output: &mut [u8]) {
        colour::pixels(luma, blue, red, output);
    }
}

/// For a processor with AVX2, and no other: who names it has made sure of that.
#[cfg(target_arch = "x86_64")]
pub struct Wide;

#[cfg(target_arch = "x86_64")]
impl Kernels for Wide {
    #[inline(always)]
    fn transform(
        block: &Coefficients,
        steps: &Coefficients,
        pixels: &mut [u8],
        stride: usize,
    ) -> bool {
        // SAFETY: the processor has AVX2.
        unsafe { idct::wide::block(block, steps, pixels, stride) }
    }

    #[inline(always)]
    fn across(sums: &[u16], is_of_two_rows: bool, output: &mut [[u8; 2]]) {
        // SAFETY: the processor has AVX2.
        unsafe { colour::wide::across(sums, is_of_two_rows, output) }
    }

    #[inline(always)]
    fn pixels(luma: &[u8], blue: &[u8], red: &[u8], output: &mut [u8]) {
        // SAFETY: the processor has AVX2.
        unsafe { colour::wide::pixels(luma, blue, red, output) }
    }
}

#[cfg(all(test, target_arch = "x86_64"))]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// On a processor without them there is nothing to compare.
        #[test]
        fn registers_do_not_matter(
            block: [i16; 64],
            (bits, steps) in (0u32..16, vec(1i16..256, 64)),
            samples in vec(any::<[u8; 3]>(), 1..70),
            is_of_two_rows: bool,
        ) {
            prop_assume!(are_wide());
            // From blocks that are too large to those of hardly any contrast.
            let block = block.map(|it| it >> bits);
            let steps = steps.try_into().expect("64 were drawn");
            let (mut plain, mut wide) = ([0; 8 * 9], [0; 8 * 9]);
            let is_fine = Plain::transform(&block, &steps, &mut plain, 9);
            prop_assert_eq!(is_fine, Wide::transform(&block, &steps, &mut wide, 9));
            if is_fine {
                prop_assert_eq!(plain, wide);
            }

            let most = if is_of_two_rows { 4 } else { 1 };
            let sums: Vec<u16> = samples.iter().map(|it| most * u16::from(it[0])).collect();
            let sums = [&sums[..1], &sums, &sums[sums.len() - 1..]].concat();
            let (mut plain, mut wide) = (vec![[0; 2]; samples.len()], vec![[0; 2]; samples.len()]);
            Plain::across(&sums, is_of_two_rows, &mut plain);
            Wide::across(&sums, is_of_two_rows, &mut wide);
            prop_assert_eq!(plain, wide);

            let plane = |at: usize| samples.iter().map(|it| it[at]).collect::<Vec<u8>>();
            let (luma, blue, red) = (plane(0), plane(1), plane(2));
            let (mut plain, mut wide) = (vec![0; 4 * luma.len()], vec![0; 4 * luma.len()]);
            Plain::pixels(&luma, &blue, &red, &mut plain);
            Wide::pixels(&luma, &blue, &red, &mut wide);
            prop_assert_eq!(plain, wide);
        }
    }
}
