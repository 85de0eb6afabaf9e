//! The transforms of tiles and kernels, of several at once: one to a lane of vectors.

mod four;
mod lines;
mod scheme;
mod two;

use std::array;

use pulp::Simd;

pub use four::{Four, OUT, POINTS, kernel_gradient, output_gradient};
use lines::{load, store};
use scheme::MOST_IN;
pub use scheme::{MOST_POINTS, MOST_VALUES, Scheme, TAPS};
pub use two::Two;

/// `Bᵀ d B`: the input under a tile at the points.
#[inline(always)]
pub fn input<T: Scheme, S: Simd, const L: usize>(
    simd: S,
    d: &[[f32; L]; MOST_POINTS],
    v: &mut [[f32; L]; MOST_POINTS],
) {
    let none = simd.splat_f32s(0.0);
    for part in 0..L / S::F32_LANES {
        let mut between = [none; MOST_POINTS];
        for x in 0..T::IN {
            let mut line = [none; MOST_IN];
            (0..T::IN).for_each(|y| line[y] = load::<S, L>(&d[y * T::IN + x], part));
            let line = T::input(simd, line);
            (0..T::IN).for_each(|y| between[y * T::IN + x] = line[y]);
        }
        for y in 0..T::IN {
            let mut line = [none; MOST_IN];
            (0..T::IN).for_each(|x| line[x] = between[y * T::IN + x]);
            let line = T::input(simd, line);
            (0..T::IN).for_each(|x| store::<S, L>(&mut v[y * T::IN + x], part, line[x]));
        }
    }
}

/// `G g Gᵀ`: a 3 × 3 kernel at the points.
#[inline(always)]
pub fn kernel<T: Scheme, S: Simd, const L: usize>(
    simd: S,
    g: &[[f32; L]; TAPS],
    u: &mut [[f32; L]; MOST_POINTS],
) {
    let none = simd.splat_f32s(0.0);
    for part in 0..L / S::F32_LANES {
        let mut between = [none; MOST_IN * 3];
        for x in 0..3 {
            let line = T::kernel(simd, array::from_fn(|y| load::<S, L>(&g[y * 3 + x], part)));
            (0..T::IN).for_each(|y| between[y * 3 + x] = line[y]);
        }
        for y in 0..T::IN {
            let line = T::kernel(simd, array::from_fn(|x| between[y * 3 + x]));
            (0..T::IN).for_each(|x| store::<S, L>(&mut u[y * T::IN + x], part, line[x]));
        }
    }
}

/// `Aᵀ m A`: a tile of the output from the products at the points.
#[inline(always)]
pub fn output<T: Scheme, S: Simd, const L: usize>(
    simd: S,
    m: &[[f32; L]; MOST_POINTS],
    y: &mut [[f32; L]; MOST_VALUES],
) {
    let none = simd.splat_f32s(0.0);
    for part in 0..L / S::F32_LANES {
        let mut between = [none; MOST_POINTS];
        for x in 0..T::IN {
            let mut line = [none; MOST_IN];
            (0..T::IN).for_each(|k| line[k] = load::<S, L>(&m[k * T::IN + x], part));
            let line = T::output(simd, line);
            (0..T::OUT).for_each(|row| between[row * T::IN + x] = line[row]);
        }
        for row in 0..T::OUT {
            let mut line = [none; MOST_IN];
            (0..T::IN).for_each(|k| line[k] = between[row * T::IN + k]);
            let line = T::output(simd, line);
            (0..T::OUT).for_each(|x| store::<S, L>(&mut y[row * T::OUT + x], part, line[x]));
        }
    }
}

#[cfg(test)]
mod tests {
    use pulp::Scalar;

    use super::*;

    /// Values without a pattern, from −1 to 1.
    fn values<const N: usize>(seed: u32) -> [[f32; 1]; N] {
        let mut state = seed;
        array::from_fn(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            [(state >> 8) as f32 / (1 << 23) as f32 - 1.0]
        })
    }

    fn dot<const N: usize>(a: &[[f32; 1]; N], b: &[[f32; 1]; N]) -> f64 {
        a.iter().zip(b).map(|(a, b)| f64::from(a[0]) * f64::from(b[0])).sum()
    }

    fn a_tile_is_a_convolution<T: Scheme>() {
        let (d, g) = (values::<MOST_POINTS>(1), values::<TAPS>(2));
        let [mut u, mut v, mut m] = [[[0.0]; MOST_POINTS]; 3];
        kernel::<T, _, 1>(Scalar, &g, &mut u);
        input::<T, _, 1>(Scalar, &d, &mut v);
        (0..T::POINTS).for_each(|at| m[at][0] = u[at][0] * v[at][0]);
        let mut y = [[0.0]; MOST_VALUES];
        output::<T, _, 1>(Scalar, &m, &mut y);
        for at in 0..T::OUT * T::OUT {
            let (row, column) = (at / T::OUT, at % T::OUT);
            let expected: f32 = (0..TAPS)
                .map(|tap| g[tap][0] * d[(row + tap / 3) * T::IN + column + tap % 3][0])
                .sum();
            assert!((y[at][0] - expected).abs() < 1e-5, "{at}: {} {expected}", y[at][0]);
        }
    }

    #[test]
    fn tiles_of_both_sizes_are_convolutions() {
        a_tile_is_a_convolution::<Two>();
        a_tile_is_a_convolution::<Four>();
    }

    #[test]
    fn the_gradients_are_the_transposes() {
        let (y, m) = (values::<MOST_VALUES>(3), values::<POINTS>(4));
        let (mut to, mut back) = ([[0.0]; POINTS], [[0.0]; MOST_VALUES]);
        output_gradient(Scalar, &y, &mut to);
        output::<Four, _, 1>(Scalar, &m, &mut back);
        assert!((dot(&to, &m) - dot(&y, &back)).abs() < 1e-4);

        let (g, u) = (values::<TAPS>(5), values::<POINTS>(6));
        let (mut to, mut back) = ([[0.0]; POINTS], [[0.0]; TAPS]);
        kernel::<Four, _, 1>(Scalar, &g, &mut to);
        kernel_gradient(Scalar, &u, &mut back);
        assert!((dot(&to, &u) - dot(&g, &back)).abs() < 1e-4);
    }
}
