//! The product of two panels, in registers.

use pulp::Simd;

use crate::tiling::{FILTERS, PANEL};

/// Columns of the left panel.
pub const LEFT: usize = FILTERS;
/// Columns of the right panel.
pub const RIGHT: usize = PANEL;

/// `sums (+)= leftᵀ · right`: of panels `[depth, LEFT]` and `[depth, RIGHT]`.
#[inline(always)]
pub fn product<S: Simd>(
    simd: S,
    left: &[[f32; LEFT]],
    right: &[[f32; RIGHT]],
    sums: &mut [[f32; RIGHT]; LEFT],
    add: bool,
) {
    if S::REGISTER_COUNT >= 32 {
        rows::<S, 8>(simd, left, right, sums, add);
    } else {
        rows::<S, 4>(simd, left, right, sums, add);
    }
}

/// The product, `R` rows and two vectors of columns at a time.
#[inline(always)]
fn rows<S: Simd, const R: usize>(
    simd: S,
    left: &[[f32; LEFT]],
    right: &[[f32; RIGHT]],
    sums: &mut [[f32; RIGHT]; LEFT],
    add: bool,
) {
    for first in (0..LEFT).step_by(R) {
        for pair in (0..RIGHT / S::F32_LANES).step_by(2) {
            let mut held = [[simd.splat_f32s(0.0); 2]; R];
            for (left, right) in left.iter().zip(right) {
                let right = S::as_simd_f32s(right).0;
                let (a, b) = (right[pair], right[pair + 1]);
                for row in 0..R {
                    let value = simd.splat_f32s(left[first + row]);
                    held[row][0] = simd.mul_add_e_f32s(value, a, held[row][0]);
                    held[row][1] = simd.mul_add_e_f32s(value, b, held[row][1]);
                }
            }
            for row in 0..R {
                let sums = S::as_mut_simd_f32s(&mut sums[first + row]).0;
                for (at, held) in held[row].into_iter().enumerate() {
                    let sum = &mut sums[pair + at];
                    *sum = if add { simd.add_f32s(*sum, held) } else { held };
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use pulp::{Arch, WithSimd};

    use super::*;

    struct Product<'a>(&'a [[f32; LEFT]], &'a [[f32; RIGHT]], &'a mut [[f32; RIGHT]; LEFT], bool);

    impl WithSimd for Product<'_> {
        type Output = ();
        #[inline(always)]
        fn with_simd<S: Simd>(self, simd: S) {
            product(simd, self.0, self.1, self.2, self.3);
        }
    }

    #[test]
    fn every_instruction_set_multiplies() {
        let depth = 5;
        let left: Vec<[f32; LEFT]> =
            (0..depth).map(|k| std::array::from_fn(|i| (k * 3 + i) as f32)).collect();
        let right: Vec<[f32; RIGHT]> =
            (0..depth).map(|k| std::array::from_fn(|j| (k + j) as f32 - 9.0)).collect();
        let check = |sums: &[[f32; RIGHT]; LEFT], times: f32| {
            for i in 0..LEFT {
                for j in 0..RIGHT {
                    let sum: f32 = (0..depth).map(|k| left[k][i] * right[k][j]).sum();
                    assert_eq!(sums[i][j], sum * times, "{i} {j}");
                }
            }
        };
        let mut sums = [[7.0; RIGHT]; LEFT];
        Arch::new().dispatch(Product(&left, &right, &mut sums, false));
        check(&sums, 1.0);
        Arch::new().dispatch(Product(&left, &right, &mut sums, true));
        check(&sums, 2.0);
        Product(&left, &right, &mut sums, false).with_simd(pulp::Scalar);
        check(&sums, 1.0);
        #[cfg(target_arch = "x86_64")]
        if let Some(simd) = pulp::x86::V3::try_new() {
            Product(&left, &right, &mut sums, true).with_simd(simd);
            check(&sums, 2.0);
        }
    }
}
