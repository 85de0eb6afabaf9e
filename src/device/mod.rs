//! Where to compute, and how much memory that takes.

pub mod allocator;
#[cfg(any(feature = "cuda", test))]
mod cache;
mod cap;
mod cpu;
#[cfg(feature = "cuda")]
mod cuda;
mod driver;
mod errors;
mod kind;
#[cfg(any(feature = "cuda", test))]
#[cfg_attr(not(feature = "cuda"), expect(dead_code, reason = "its tests need no GPU"))]
mod libdevice;
mod memory;
pub mod nvidia;
mod pages;
#[cfg(feature = "cuda")]
mod pool;
mod select;

pub(crate) use cap::exceeded;
pub use cap::{has_cap, set_cap};
pub use cpu::is_cpu;
pub(crate) use errors::DeviceFailure;
pub use kind::DeviceKind;
pub use memory::{MemoryMeter, MemoryUse, largest_page, release, take_pages};
pub use pages::Pages;
pub use select::{DeviceError, Selected, check, kind_of, read_records_onto_cpu, select};
