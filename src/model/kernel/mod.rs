//! Fused operations: convolution, batch norm with ReLU and pool, layer norm, GELU, attention, the ends of residual
//! blocks, products of matrices.
//!
//! Each is one operation on the tape that keeps only its input. They take less time and memory than
//! the operations they replace, and their memory is known in advance, to the byte: [`crate::plan`]
//! relies on it. Each exists twice: for the CPU (`flex.rs`), in tiles that fit a core's cache, and for
//! GPUs (`cube`), as CubeCL kernels.

pub mod adamw;
pub mod anchor;
pub mod attention;
mod bits;
mod buffer;
pub mod conv;
#[cfg(feature = "cube")]
mod cube;
mod element;
mod exp;
pub mod gelu;
pub mod images;
pub mod kept;
pub mod layer_norm;
pub mod norm;
pub mod pooled_sum;
pub mod product;
pub mod residual;
pub mod running;
pub mod scaled_sum;
pub mod squares;

pub use norm::{After, Pool, Rectifier};
