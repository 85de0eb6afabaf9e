//! A global allocator that counts: mimalloc underneath, because a third of CPU time was page faults
//! from fresh allocations, and two counters on top, so that the peak of a run on the CPU is known
//! to the byte and the same every time.

use std::alloc::{GlobalAlloc, Layout};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};

use mimalloc::MiMalloc;

static CURRENT: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);
/// Most bytes that may be in use; 0 is any number.
static CAP: AtomicUsize = AtomicUsize::new(0);
static OVER: AtomicBool = AtomicBool::new(false);

/// mimalloc with a count of bytes in use and their peak.
#[derive(Debug, Default)]
pub struct CountingAllocator;

/// Bytes in use, as asked for by the program.
pub fn current_bytes() -> usize {
    CURRENT.load(Relaxed)
}

/// Most bytes in use at once since the start or the last [`reset_peak`].
pub fn peak_bytes() -> usize {
    PEAK.load(Relaxed)
}

/// Starts a new measurement of the peak.
pub fn reset_peak() {
    PEAK.store(current_bytes(), Relaxed);
}

/// Sets the most bytes that may be in use. More are still given: an allocation cannot fail without
/// ending the process. But [`went_over`] will tell.
pub fn set_cap(bytes: Option<u64>) {
    CAP.store(bytes.map_or(0, |bytes| usize::try_from(bytes).unwrap_or(usize::MAX)), Relaxed);
    OVER.store(false, Relaxed);
}

/// The cap, if there is one.
pub fn cap() -> Option<u64> {
    Some(CAP.load(Relaxed)).filter(|cap| *cap != 0).map(|cap| cap as u64)
}

/// Whether more bytes than the cap were in use since this was last asked.
pub fn went_over() -> bool {
    OVER.swap(false, Relaxed)
}

fn grow(bytes: usize) {
    let now = CURRENT.fetch_add(bytes, Relaxed) + bytes;
    PEAK.fetch_max(now, Relaxed);
    let cap = CAP.load(Relaxed);
    if cap != 0 && now > cap {
        OVER.store(true, Relaxed);
    }
}

fn shrink(bytes: usize) {
    CURRENT.fetch_sub(bytes, Relaxed);
}

// SAFETY: every call is mimalloc's own with the same arguments; counting touches no allocation.
#[expect(unsafe_code, reason = "GlobalAlloc is an unsafe trait")]
unsafe impl GlobalAlloc for CountingAllocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let pointer = unsafe { MiMalloc.alloc(layout) };
        if !pointer.is_null() {
            grow(layout.size());
        }
        pointer
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        let pointer = unsafe { MiMalloc.alloc_zeroed(layout) };
        if !pointer.is_null() {
            grow(layout.size());
        }
        pointer
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        shrink(layout.size());
        unsafe { MiMalloc.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        let moved = unsafe { MiMalloc.realloc(pointer, layout, size) };
        if !moved.is_null() {
            // Old and new may live at once while they are copied; counted as one, like any
            // allocator that grows in place.
            shrink(layout.size());
            grow(size);
        }
        moved
    }
}

/// `mi_option_purge_delay` of mimalloc 2 and 3; the bindings leave it out.
const OPTION_PURGE_DELAY: libmimalloc_sys::mi_option_t = 15;

/// Whether freed pages are kept for the next step, or go back to the system at once.
///
/// A training step frees and asks for the same gigabytes again and again; each page that went back
/// must be faulted in and zeroed once more.
pub fn keep_freed_pages(keep: bool) {
    let milliseconds = if keep { -1 } else { 0 };
    // SAFETY: mi_option_set may be called at any time; it takes effect for later purges.
    #[expect(unsafe_code, reason = "mimalloc's options have only a C interface")]
    unsafe {
        libmimalloc_sys::mi_option_set(OPTION_PURGE_DELAY, milliseconds);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_what_is_asked_for() {
        // Other tests allocate at the same time; the block is large against them.
        const BLOCK: usize = 256 << 20;
        reset_peak();
        let before = current_bytes();
        let block = std::hint::black_box(vec![1u8; BLOCK]);
        assert!(current_bytes() + (64 << 20) > before + BLOCK);
        drop(block);
        assert!(peak_bytes() >= BLOCK);
        assert!(current_bytes() < before + BLOCK);
    }
}
