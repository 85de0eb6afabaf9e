//! F(2 × 2, 3 × 3) with the points 0, 1, −1 and ∞: nothing but sums and halves, so that the rounding error is not above
//! that of a direct sum.

use pulp::Simd;

use super::lines::Lines;
use super::scheme::{Line, Scheme};

/// F(2 × 2, 3 × 3): 16 products for the 36 of a direct sum.
#[derive(Debug, Clone, Copy)]
pub struct Two;

impl Scheme for Two {
    const OUT: usize = 2;

    #[inline(always)]
    fn input<S: Simd>(simd: S, [a, b, c, d, ..]: Line<S>) -> Line<S> {
        let (of, none) = (Lines(simd), simd.splat_f32s(0.0));
        [of.sub(a, c), of.add(b, c), of.sub(c, b), of.sub(b, d), none, none]
    }

    #[inline(always)]
    fn kernel<S: Simd>(simd: S, [a, b, c]: [S::f32s; 3]) -> Line<S> {
        let (of, none) = (Lines(simd), simd.splat_f32s(0.0));
        let sum = of.add(a, c);
        [a, of.times(0.5, of.add(sum, b)), of.times(0.5, of.sub(sum, b)), c, none, none]
    }

    #[inline(always)]
    fn output<S: Simd>(simd: S, [a, b, c, d, ..]: Line<S>) -> Line<S> {
        let (of, none) = (Lines(simd), simd.splat_f32s(0.0));
        [of.add(a, of.add(b, c)), of.sub(of.sub(b, c), d), none, none, none, none]
    }
}
