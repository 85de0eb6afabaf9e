//! Where to compute, and how much memory that takes.

pub mod allocator;
mod cpu;
#[cfg(feature = "cuda")]
mod driver;
mod memory;
pub mod nvidia;
mod select;

pub use cpu::is_cpu;
pub use memory::{MemoryMeter, MemoryUse};
pub use select::{DeviceError, Selected, select};
