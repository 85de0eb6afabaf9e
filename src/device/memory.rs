use burn::prelude::*;
use serde::{Deserialize, Serialize};

use super::allocator;

/// Memory of a run at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct MemoryUse {
    /// Bytes in use now.
    pub current_bytes: u64,
    /// Most bytes in use at once so far.
    pub peak_bytes: u64,
}

/// Measures the memory of a device: the counting allocator on the CPU, the backend's memory pools
/// on a GPU.
#[derive(Debug)]
pub struct MemoryMeter {
    device: Device,
    peak_bytes: u64,
}

impl MemoryMeter {
    /// Starts to measure; `peak_bytes` is a peak to go on from.
    pub fn new(device: &Device, peak_bytes: u64) -> Self {
        allocator::reset_peak();
        Self { device: device.clone(), peak_bytes }
    }

    /// What is in use now, and the peak since the start.
    ///
    /// A GPU's pools are looked at only here. They hold on to what a step took, so what they have
    /// reserved after it is at least its peak.
    pub fn read(&mut self) -> MemoryUse {
        let (current, peak) = match self.device.memory_pool_usage() {
            Some(pools) => (pools.bytes_in_use, pools.bytes_reserved),
            None => (allocator::current_bytes() as u64, allocator::peak_bytes() as u64),
        };
        self.peak_bytes = self.peak_bytes.max(peak);
        MemoryUse { current_bytes: current, peak_bytes: self.peak_bytes }
    }
}
