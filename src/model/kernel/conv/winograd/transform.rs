//! The transforms of F(4 × 4, 3 × 3), of several tiles or filters at once: one to a lane of vectors.
//!
//! The points are 0, 1, −1, 2, −½ and ∞. Their products have two to three times the rounding error of a direct sum;
//! with 0, ±1, ±2 it would be four times (Barabasz, Anderson, Soodhalter and Gregg, ACM TOMS 46(4), 2020).

use std::array;

use pulp::Simd;

/// Values of a side of a tile of the output.
pub const OUT: usize = 4;
/// Values of a side of the input under such a tile.
pub const IN: usize = 6;
/// Products for a tile, one for each pair of points.
pub const POINTS: usize = IN * IN;
/// Values of a kernel.
pub const TAPS: usize = 9;

/// `Bᵀ d B`: the input under a tile at the points.
#[inline(always)]
pub fn input<S: Simd, const L: usize>(simd: S, d: &[[f32; L]; POINTS], v: &mut [[f32; L]; POINTS]) {
    for part in 0..L / S::F32_LANES {
        let mut between = [simd.splat_f32s(0.0); POINTS];
        for x in 0..IN {
            let line = input_line(simd, array::from_fn(|y| load::<S, L>(&d[y * IN + x], part)));
            for y in 0..IN {
                between[y * IN + x] = line[y];
            }
        }
        for y in 0..IN {
            let line = input_line(simd, array::from_fn(|x| between[y * IN + x]));
            for x in 0..IN {
                store::<S, L>(&mut v[y * IN + x], part, line[x]);
            }
        }
    }
}

/// `Bᵀ` times a line.
#[inline(always)]
fn input_line<S: Simd>(simd: S, [a, b, c, d, e, f]: [S::f32s; IN]) -> [S::f32s; IN] {
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

/// `G g Gᵀ`: a 3 × 3 kernel at the points.
#[inline(always)]
pub fn kernel<S: Simd, const L: usize>(simd: S, g: &[[f32; L]; TAPS], u: &mut [[f32; L]; POINTS]) {
    for part in 0..L / S::F32_LANES {
        let mut between = [simd.splat_f32s(0.0); IN * 3];
        for x in 0..3 {
            let line = kernel_line(simd, array::from_fn(|y| load::<S, L>(&g[y * 3 + x], part)));
            for y in 0..IN {
                between[y * 3 + x] = line[y];
            }
        }
        for y in 0..IN {
            let line = kernel_line(simd, array::from_fn(|x| between[y * 3 + x]));
            for x in 0..IN {
                store::<S, L>(&mut u[y * IN + x], part, line[x]);
            }
        }
    }
}

#[inline(always)]
fn kernel_line<S: Simd>(simd: S, [a, b, c]: [S::f32s; 3]) -> [S::f32s; IN] {
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

/// `Aᵀ m A`: a tile of the output from the products at the points.
#[inline(always)]
pub fn output<S: Simd, const L: usize>(
    simd: S,
    m: &[[f32; L]; POINTS],
    y: &mut [[f32; L]; OUT * OUT],
) {
    for part in 0..L / S::F32_LANES {
        let mut between = [simd.splat_f32s(0.0); OUT * IN];
        for x in 0..IN {
            let line = output_line(simd, array::from_fn(|k| load::<S, L>(&m[k * IN + x], part)));
            for row in 0..OUT {
                between[row * IN + x] = line[row];
            }
        }
        for row in 0..OUT {
            let line = output_line(simd, array::from_fn(|k| between[row * IN + k]));
            for x in 0..OUT {
                store::<S, L>(&mut y[row * OUT + x], part, line[x]);
            }
        }
    }
}

#[inline(always)]
fn output_line<S: Simd>(simd: S, [a, b, c, d, e, f]: [S::f32s; IN]) -> [S::f32s; OUT] {
    let of = Lines(simd);
    let (sum, difference) = (of.add(b, c), of.sub(b, c));
    [
        of.add(of.add(a, sum), of.add(d, e)),
        of.fma(2.0, d, of.fma(-0.5, e, difference)),
        of.fma(4.0, d, of.fma(0.25, e, sum)),
        of.add(of.fma(8.0, d, of.fma(-0.125, e, difference)), f),
    ]
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

#[inline(always)]
fn load<S: Simd, const L: usize>(values: &[f32; L], part: usize) -> S::f32s {
    S::as_simd_f32s(values).0[part]
}

#[inline(always)]
fn store<S: Simd, const L: usize>(values: &mut [f32; L], part: usize, value: S::f32s) {
    S::as_mut_simd_f32s(values).0[part] = value;
}

/// Arithmetic on vectors.
#[derive(Clone, Copy)]
struct Lines<S>(S);

impl<S: Simd> Lines<S> {
    #[inline(always)]
    fn add(self, a: S::f32s, b: S::f32s) -> S::f32s {
        self.0.add_f32s(a, b)
    }

    #[inline(always)]
    fn sub(self, a: S::f32s, b: S::f32s) -> S::f32s {
        self.0.sub_f32s(a, b)
    }

    #[inline(always)]
    fn times(self, factor: f32, a: S::f32s) -> S::f32s {
        self.0.mul_f32s(self.0.splat_f32s(factor), a)
    }

    /// `factor · a + b`.
    #[inline(always)]
    fn fma(self, factor: f32, a: S::f32s, b: S::f32s) -> S::f32s {
        self.0.mul_add_e_f32s(self.0.splat_f32s(factor), a, b)
    }
}

#[cfg(test)]
mod tests {
    use pulp::Scalar;

    use super::*;

    /// Values without a pattern, from −1 to 1.
    fn values<const N: usize>(seed: u32) -> [[f32; 1]; N] {
        let mut state = seed;
        std::array::from_fn(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            [(state >> 8) as f32 / (1 << 23) as f32 - 1.0]
        })
    }

    fn dot<const N: usize>(a: &[[f32; 1]; N], b: &[[f32; 1]; N]) -> f64 {
        a.iter().zip(b).map(|(a, b)| f64::from(a[0]) * f64::from(b[0])).sum()
    }

    #[test]
    fn a_tile_is_a_convolution() {
        let (d, g) = (values::<POINTS>(1), values::<TAPS>(2));
        let (mut u, mut v, mut m) = ([[0.0]; POINTS], [[0.0]; POINTS], [[0.0]; POINTS]);
        kernel(Scalar, &g, &mut u);
        input(Scalar, &d, &mut v);
        (0..POINTS).for_each(|at| m[at][0] = u[at][0] * v[at][0]);
        let mut y = [[0.0]; OUT * OUT];
        output(Scalar, &m, &mut y);
        for at in 0..OUT * OUT {
            let (row, column) = (at / OUT, at % OUT);
            let expected: f32 = (0..TAPS)
                .map(|tap| g[tap][0] * d[(row + tap / 3) * IN + column + tap % 3][0])
                .sum();
            assert!((y[at][0] - expected).abs() < 1e-5, "{at}: {} {expected}", y[at][0]);
        }
    }

    #[test]
    fn the_gradients_are_the_transposes() {
        let (y, m) = (values::<{ OUT * OUT }>(3), values::<POINTS>(4));
        let (mut to, mut back) = ([[0.0]; POINTS], [[0.0]; OUT * OUT]);
        output_gradient(Scalar, &y, &mut to);
        output(Scalar, &m, &mut back);
        assert!((dot(&to, &m) - dot(&y, &back)).abs() < 1e-4);

        let (g, u) = (values::<TAPS>(5), values::<POINTS>(6));
        let (mut to, mut back) = ([[0.0]; POINTS], [[0.0]; TAPS]);
        kernel(Scalar, &g, &mut to);
        kernel_gradient(Scalar, &u, &mut back);
        assert!((dot(&to, &u) - dot(&g, &back)).abs() < 1e-4);
    }
}
