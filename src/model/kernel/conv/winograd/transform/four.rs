//! F(4 × 4, 3 × 3) with the points 0, 1, −1, 2, −½ and ∞. Their products have two to three times the rounding error of a
//! direct sum; with 0, ±1, ±2 it would be four times (Barabasz, Anderson, Soodhalter and Gregg, ACM TOMS 46(4), 2020).

use std::array;

use pulp::Simd;

use super::lines::{Lines, load, store};
use super::scheme::{Line, Scheme, TAPS};

/// F(4 × 4, 3 × 3): 36 products for the 144 of a direct sum.
#[derive(Debug, Clone, Copy)]
pub struct Four;

/// Values of a side of a tile of the output.
pub const OUT: usize = Four::OUT;
/// Values of a side of the input under such a tile.
const IN: usize = Four::IN;
/// Products for a tile, one for each pair of points.
pub const POINTS: usize = Four::POINTS;

impl Scheme for Four {
    const OUT: usize = 4;

    #[inline(always)]
    fn input<S: Simd>(simd: S, [a, b, c, d, e, f]: Line<S>) -> Line<S> {
        let of = Lines(simd);
        let (from_c, from_d) = (of.sub(e, c), of.sub(b, d));
        [
            of.fma(1.5, from_d, of.sub(of.add(a, e), of.add(c, c))),
            of.fma(-2.5, c, of.fma(-0.5, d, of.sub(e, b))),
            of.fma(0.5, c, of.fma(-2.5, d, of.add(e, b))),
            of.fma(-0.5, from_d, from_c),
            of.fma(2.0, from_d, from_c),
            of.fma(-1.5, from_c, of.sub(of.add(b, f), of.add(d, d))),
        ]
    }

    #[inline(always)]
    fn kernel<S: Simd>(simd: S, [a, b, c]: [S::f32s; 3]) -> Line<S> {
        let of = Lines(simd);
        let sum = of.add(a, c);
        [
            a,
            of.times(-1.0 / 3.0, of.add(sum, b)),
            of.times(1.0 / 3.0, of.sub(sum, b)),
            of.times(1.0 / 15.0, of.fma(4.0, c, of.fma(2.0, b, a))),
            of.times(8.0 / 15.0, of.fma(-0.5, c, of.fma(-2.0, a, b))),
            c,
        ]
    }

    #[inline(always)]
    fn output<S: Simd>(simd: S, [a, b, c, d, e, f]: Line<S>) -> Line<S> {
        let (of, none) = (Lines(simd), simd.splat_f32s(0.0));
        let (sum, difference) = (of.add(b, c), of.sub(b, c));
        [
            of.add(of.add(a, sum), of.add(d, e)),
            of.fma(2.0, d, of.fma(-0.5, e, difference)),
            of.fma(4.0, d, of.fma(0.25, e, sum)),
            of.add(of.fma(8.0, d, of.fma(-0.125, e, difference)), f),
            none,
            none,
        ]
    }
}

/// `A y Aᵀ`, the transpose of [`output`]: a tile of the output's gradient at the points.
#[inline(always)]
pub fn output_gradient<S: Simd, const L: usize>(
    simd: S,
    y: &[[f32; L]; OUT * OUT],
    m: &mut [[f32; L]; POINTS],
) {
    for part in 0..L / S::F32_LANES {
        let mut between = [simd.splat_f32s(0.0); IN * OUT];
        for x in 0..OUT {
            let line =
                output_gradient_line(simd, array::from_fn(|k| load::<S, L>(&y[k * OUT + x], part)));
            for row in 0..IN {
                between[row * OUT + x] = line[row];
            }
        }
        for row in 0..IN {
            let line = output_gradient_line(simd, array::from_fn(|k| between[row * OUT + k]));
            for x in 0..IN {
                store::<S, L>(&mut m[row * IN + x], part, line[x]);
            }
        }
    }
}

#[inline(always)]
fn output_gradient_line<S: Simd>(simd: S, [a, b, c, d]: [S::f32s; OUT]) -> [S::f32s; IN] {
    let of = Lines(simd);
    let (even, odd) = (of.add(a, c), of.add(b, d));
    [
        a,
        of.add(even, odd),
        of.sub(even, odd),
        of.fma(8.0, d, of.fma(4.0, c, of.fma(2.0, b, a))),
        of.fma(-0.125, d, of.fma(0.25, c, of.fma(-0.5, b, a))),
        d,
    ]
}

/// `Gᵀ u G`, the transpose of [`kernel`]: the gradient of a 3 × 3 kernel.
#[inline(always)]
pub fn kernel_gradient<S: Simd, const L: usize>(
    simd: S,
    u: &[[f32; L]; POINTS],
    g: &mut [[f32; L]; TAPS],
) {
    for part in 0..L / S::F32_LANES {
        let mut between = [simd.splat_f32s(0.0); IN * 3];
        for x in 0..IN {
            let line =
                kernel_gradient_line(simd, array::from_fn(|k| load::<S, L>(&u[k * IN + x], part)));
            for y in 0..3 {
                between[y * IN + x] = line[y];
            }
        }
        for y in 0..3 {
            let line = kernel_gradient_line(simd, array::from_fn(|k| between[y * IN + k]));
            for x in 0..3 {
                store::<S, L>(&mut g[y * 3 + x], part, line[x]);
            }
        }
    }
}

#[inline(always)]
fn kernel_gradient_line<S: Simd>(simd: S, [a, b, c, d, e, f]: [S::f32s; IN]) -> [S::f32s; 3] {
    let of = Lines(simd);
    let (b, c) = (of.times(1.0 / 3.0, b), of.times(1.0 / 3.0, c));
    let (d, e) = (of.times(1.0 / 15.0, d), of.times(8.0 / 15.0, e));
    let (sum, difference) = (of.add(b, c), of.sub(c, b));
    [
        of.add(a, of.fma(-2.0, e, of.add(d, difference))),
        of.sub(of.fma(2.0, d, e), sum),
        of.add(f, of.fma(-0.5, e, of.fma(4.0, d, difference))),
    ]
}
