//! Products of f32 values on tensor cores, to the precision of f32.
//!
//! Tensor cores multiply TF32: 11 of the 24 bits of a value's mantissa. Each value is split into two of those,
//! `v = high + low`, and three products, `low · high + high · low + high · high`, are summed. What is left out is 2⁻²² of
//! a product. Tensor cores cut their sums off rather than round them, so that a long sum would shrink: they sum a
//! [`DEPTH`] of products, and those sums are added as f32 (Ootomo and Yokota, 2022, arXiv 2203.03341).
//!
//! Values of 16 bits are TF32 as they are: one product is exact.

#![allow(
    clippy::needless_range_loop,
    clippy::assign_op_pattern,
    reason = "a kernel knows few of Rust's methods"
)]

use cubecl::client::Client;
use cubecl::cmma::MmaDefinition;
use cubecl::ir::features::MmaConfig;
use cubecl::ir::{ElemType, FloatKind};
use cubecl::prelude::*;

/// Rows, columns and depth of a product of tensor cores.
pub const M: usize = 16;
pub const N: usize = 8;
pub const K: usize = 8;
/// Units of a plane, which makes a product together.
pub const PLANE: usize = 32;
/// Products that tensor cores sum by themselves; what a tile loads at a time.
pub const DEPTH: usize = 16;
/// Factors along that depth.
pub const STEPS: usize = DEPTH / K;

pub type One = Const<1>;
pub type Two = Const<2>;

/// A unit's two rows of a 16 × 8 sum, two columns each.
pub type Sum = Array<Vector<f32, Two>>;

/// Whether the device has these tensor cores.
pub fn has_cores(client: &Client) -> bool {
    let [tf32, f32] = [FloatKind::TF32, FloatKind::F32].map(ElemType::Float);
    let wanted = MmaConfig {
        a_type: tf32,
        b_type: tf32,
        cd_type: f32,
        m: M as u32,
        n: N as u32,
        k: K as u32,
    };
    client.properties().features.matmul.mma.contains(&wanted)
}

/// A unit's part of a factor: 16 × 8 values on the left, 8 × 8 on the right.
#[derive(CubeType)]
pub struct Factor {
    high: Array<Vector<tf32, One>>,
    low: Array<Vector<tf32, One>>,
}

#[cube]
impl Factor {
    /// On the left: of rows `r` and `r + 8`, values at depth `k`, then those at depth `k + 4`, where `r` is a quarter of
    /// the unit's number and `k` the rest. The order of depths is free, if the right side has the same.
    pub fn left(a: f32, b: f32, c: f32, d: f32, #[comptime] exact: bool) -> Factor {
        let mut high = Array::<Vector<tf32, One>>::new(4usize);
        let mut low = Array::<Vector<tf32, One>>::new(4usize);
        split(a, &mut high, &mut low, 0usize, exact);
        split(b, &mut high, &mut low, 1usize, exact);
        split(c, &mut high, &mut low, 2usize, exact);
        split(d, &mut high, &mut low, 3usize, exact);
        Factor { high, low }
    }

    /// On the right: of column `r`, the values at depths `k` and `k + 4`.
    pub fn right(a: f32, b: f32, #[comptime] exact: bool) -> Factor {
        let mut high = Array::<Vector<tf32, One>>::new(2usize);
        let mut low = Array::<Vector<tf32, One>>::new(2usize);
        split(a, &mut high, &mut low, 0usize, exact);
        split(b, &mut high, &mut low, 1usize, exact);
        Factor { high, low }
    }
}

/// The high part is rounded to TF32 and the low part is what is left, so that it may have either sign and the low parts
/// of many products cancel.
#[cube]
fn split(
    value: f32,
    high: &mut Array<Vector<tf32, One>>,
    low: &mut Array<Vector<tf32, One>>,
    #[comptime] at: usize,
    #[comptime] exact: bool,
) {
    if exact {
        high[at] = Vector::<tf32, One>::reinterpret(Vector::<f32, One>::new(value));
    } else {
        let rounded = f32::reinterpret((u32::reinterpret(value) + 0x1000u32) & 0xffff_e000u32);
        high[at] = Vector::<tf32, One>::reinterpret(Vector::<f32, One>::new(rounded));
        low[at] = Vector::<tf32, One>::reinterpret(Vector::<f32, One>::new(value - rounded));
    }
}

/// Adds the products of a left factor and `across` right ones, each of [`STEPS`] along the depth, to the sums from
/// `first` on.
#[cube]
pub fn add_products(
    sums: &mut Sequence<Sum>,
    #[comptime] first: usize,
    left: &Sequence<Factor>,
    right: &Sequence<Factor>,
    #[comptime] across: usize,
    #[comptime] exact: bool,
) {
    let by = MmaDefinition::<tf32, tf32, f32>::new(M, N, K);
    #[unroll]
    for j in 0..across {
        let mut part = zero();
        #[unroll]
        for k in 0..STEPS {
            let (left, right) = (left.index(k), right.index(comptime!(j * STEPS + k)));
            if !exact {
                // The small products first.
                by.execute_inplace(&left.low, &right.high, &mut part);
                by.execute_inplace(&left.high, &right.low, &mut part);
            }
            by.execute_inplace(&left.high, &right.high, &mut part);
        }
        let sum = sums.index_mut(comptime!(first + j));
        sum[0] += part[0];
        sum[1] += part[1];
    }
}

#[cube]
fn zero() -> Sum {
    let mut sum = Array::<Vector<f32, Two>>::new(2usize);
    sum[0] = Vector::new(0.0f32);
    sum[1] = Vector::new(0.0f32);
    sum
}

/// So many sums of 0.
#[cube]
pub fn zeros(#[comptime] count: usize) -> Sequence<Sum> {
    let mut sums = Sequence::<Sum>::new();
    #[unroll]
    for _ in 0..count {
        sums.push(zero());
    }
    sums
}
