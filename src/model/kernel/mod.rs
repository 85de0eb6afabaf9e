//! Fused operations: convolution, batch norm with ReLU and pool, layer norm, the end of a residual
//! block.
//!
//! Each is one operation on the tape that keeps only its input, and works in tiles that fit a core's
//! cache. They take less time and memory than the operations they replace, and their memory is known
//! in advance, to the byte: [`crate::plan`] relies on it.

pub mod anchor;
mod buffer;
pub mod conv;
mod element;
pub mod layer_norm;
pub mod norm;
pub mod residual;

use burn::backend::DispatchDevice;
use burn::prelude::*;

pub use norm::{After, Pool};

/// Whether a device has these operations; on other devices they are composed of Burn's.
pub fn is_supported(device: &Device) -> bool {
    match device.as_dispatch() {
        DispatchDevice::Flex(_) => true,
        DispatchDevice::Autodiff(inner) => matches!(**inner, DispatchDevice::Flex(_)),
        #[cfg_attr(not(feature = "cuda"), expect(unreachable_patterns, reason = "CPU only"))]
        _ => false,
    }
}
