use burn::prelude::*;
use serde::{Deserialize, Serialize};

use super::{Pages, allocator};

/// Memory of a run at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct MemoryUse {
    /// Bytes in use now.
    pub current_bytes: u64,
    /// Most bytes in use at once so far. Where a GPU's tensors are carved from pages, those of the pages.
    pub peak_bytes: u64,
    /// Most bytes that the GPU's pool held so far: those in use, and those kept for later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reserved_bytes: Option<u64>,
}

/// Measures the memory of a device: the counting allocator on the CPU, the driver's pool on a GPU.
#[derive(Debug)]
pub struct MemoryMeter {
    device: Device,
    peak_bytes: u64,
    reserved_bytes: u64,
}

impl MemoryMeter {
    /// Starts to measure; the reported peak is at least `peak_bytes`, an earlier one.
    pub fn new(device: &Device, peak_bytes: u64) -> Self {
        allocator::reset_peak();
        #[cfg(feature = "cuda")]
        if let Some(pool) = super::cuda::pool() {
            // Without it, the peak includes what happened before.
            let _ = pool.reset_high();
        }
        Self { device: device.clone(), peak_bytes, reserved_bytes: 0 }
    }

    /// What is in use now, and the peak since the start.
    pub fn read(&mut self) -> MemoryUse {
        let Some((current, peak, reserved)) = self.of_gpu() else {
            self.peak_bytes = self.peak_bytes.max(allocator::peak_bytes() as u64);
            let current_bytes = allocator::current_bytes() as u64;
            return MemoryUse { current_bytes, peak_bytes: self.peak_bytes, reserved_bytes: None };
        };
        self.peak_bytes = self.peak_bytes.max(peak);
        self.reserved_bytes = self.reserved_bytes.max(reserved);
        MemoryUse {
            current_bytes: current,
            peak_bytes: self.peak_bytes,
            reserved_bytes: Some(self.reserved_bytes),
        }
    }

    /// Bytes of a GPU: in use now, and the high marks of use and of the pool.
    fn of_gpu(&self) -> Option<(u64, u64, u64)> {
        // Tells a GPU from the CPU, and waits until the GPU's queue has been handed to the driver.
        let pools = self.device.memory_pool_usage()?;
        #[cfg(feature = "cuda")]
        if let Some(usage) = super::cuda::pool().and_then(|pool| pool.usage().ok()) {
            let used = if super::cuda::in_pages() { pools.bytes_in_use } else { usage.used };
            return Some((used, usage.used_high, usage.reserved_high));
        }
        Some((pools.bytes_in_use, pools.bytes_in_use, pools.bytes_reserved))
    }
}

/// Most bytes of one of the [`Pages`] of the GPU in use, if one is: a quarter of its memory.
pub fn largest_page() -> Option<u64> {
    #[cfg(feature = "cuda")]
    return super::cuda::largest_page();
    #[cfg(not(feature = "cuda"))]
    None
}

/// Has the GPU in use take pages, from which all later tensors are carved.
///
/// The driver's own pool does not join free pieces of several allocations, so that it holds up to 1.7 times what is in
/// use (docs/gpu.md). Where the GPU has no room for the pages, none is taken, and each tensor stays an allocation of
/// the driver. Returns whether they were taken.
pub fn take_pages(device: &Device, pages: Pages) -> bool {
    #[cfg(feature = "cuda")]
    let taken = super::cuda::take_pages(device, pages);
    #[cfg(not(feature = "cuda"))]
    let (taken, _) = (false, pages);
    if !taken {
        release(device);
    }
    taken
}

/// Returns memory that is kept for later to the device.
pub fn release(device: &Device) {
    device.memory_cleanup();
    #[cfg(feature = "cuda")]
    if let Some(pool) = super::cuda::pool() {
        // What cannot be given back now is given back when it is needed.
        let _ = pool.trim();
    }
}
