//! Gradients of a 3 × 3 convolution at stride 1 as F(4 × 4, 3 × 3): a quarter of the products (Lavin and Gray, CVPR
//! 2016, arXiv 1509.09308), for f32 on the CPU.
//!
//! Input, kernels and output are transformed tile by tile, in between are products of matrices; each gradient is the
//! transpose of that. The rounding error is two to three times that of a direct sum, which gradients bear; the forward
//! pass stays direct, so that logits keep to 1e-5 of the published code's.
//! [`Winograd`](crate::tiling::winograd::Winograd) decides where it pays.

#![allow(
    clippy::needless_range_loop,
    reason = "lanes, points and taps are numbers of several arrays at once"
)]

mod convolve;
mod gradient;
mod kernels;
mod micro;
mod tiles;
mod transform;

pub use convolve::convolve;
pub use gradient::weight_gradient;
pub use kernels::Kernels;
