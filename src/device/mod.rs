//! Where to compute, and how much memory that takes.

pub mod allocator;
mod cpu;
#[cfg(feature = "cuda")]
mod driver;
mod kind;
mod memory;
pub mod nvidia;
mod select;

pub use cpu::is_cpu;
pub use kind::DeviceKind;
pub use memory::{MemoryMeter, MemoryUse};
pub use select::{DeviceError, Selected, kind_of, read_records_onto_cpu, select};
