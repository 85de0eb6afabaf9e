//! Operations of our own on the CPU: convolution, and batch norm with what follows it.
//!
//! Each is one operation on the tape that keeps its input alone, and works in tiles that fit a
//! core's cache. So both time and memory are less than those of the operations they replace, and
//! the memory is known beforehand, to the byte: [`crate::plan`] counts on it.

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

/// Whether these operations exist for a device; elsewhere compose them.
pub fn is_supported(device: &Device) -> bool {
    match device.as_dispatch() {
        DispatchDevice::Flex(_) => true,
        DispatchDevice::Autodiff(inner) => matches!(**inner, DispatchDevice::Flex(_)),
        #[cfg_attr(not(feature = "cuda"), expect(unreachable_patterns, reason = "CPU only"))]
        _ => false,
    }
}
