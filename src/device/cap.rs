//! The most memory that this process may take of a device, noticed after a step that took more.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use burn::prelude::*;

use super::{allocator, is_cpu};

/// Most bytes that the GPU's pool may hold; 0 is any number.
static POOL: AtomicU64 = AtomicU64::new(0);

/// Sets the most bytes that may be in use on the CPU, or that a GPU's pool may hold.
pub fn set_cap(device: &Device, bytes: Option<u64>) {
    if is_cpu(device) {
        allocator::set_cap(bytes);
    } else {
        POOL.store(bytes.unwrap_or(0), Relaxed);
    }
}

/// Whether there is one.
pub fn has_cap() -> bool {
    allocator::cap().is_some() || POOL.load(Relaxed) != 0
}

/// What to say where more than the cap was taken since this was last asked.
pub(crate) fn exceeded() -> Option<String> {
    if let Some(cap) = allocator::cap() {
        let over = allocator::went_over();
        return over.then(|| format!("the step needs more than the {cap} bytes that it may use"));
    }
    #[cfg(feature = "cuda")]
    if let cap @ 1.. = POOL.load(Relaxed) {
        let held = super::cuda::pool()?.usage().ok()?.reserved_high;
        return (held > cap)
            .then(|| format!("the GPU's pool held {held} bytes, more than the {cap} that it may"));
    }
    None
}
