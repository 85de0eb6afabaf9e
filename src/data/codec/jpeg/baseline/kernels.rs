//! What is computed in registers, for any processor and for those with AVX2.

use super::block::Coefficients;
use super::{colour, idct};

/// The inner loops of a decoder.
pub trait Kernels {
    /// See [`idct::block`].
    fn transform(block: &Coefficients, steps: &Coefficients, pixels: &mut [u8], stride: usize)
    -> bool;
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
