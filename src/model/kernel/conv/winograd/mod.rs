//! 3 × 3 convolutions at stride 1 by fewer products (Lavin and Gray, CVPR 2016, arXiv 1509.09308), for f32 on the CPU.
//!
//! Input, kernels and output are transformed tile by tile, in between are products of matrices; a gradient of the kernels is
//! the transpose of that.
//!
//! - The forward pass is F(2 × 2, 3 × 3): 16 products for 36, with no more rounding than a direct sum. Logits keep to 1e-5
//!   of the published code's.
//! - Gradients are F(4 × 4, 3 × 3): 36 products for 144, with two to three times the rounding, which gradients bear.
//!
//! [`Winograd`](crate::tiling::winograd::Winograd) decides where it pays.

#![allow(
    clippy::needless_range_loop,
    reason = "lanes, points and taps are numbers of several arrays at once"
)]

mod convolve;
mod gradient;
mod kernels;
mod tiles;
mod transform;

pub use convolve::convolve;
pub use gradient::weight_gradient;
pub use kernels::Kernels;
pub use transform::{Four, Two};
