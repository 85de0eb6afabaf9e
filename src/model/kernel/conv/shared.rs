//! One output for several threads.

use std::mem::MaybeUninit;
use std::ops::Range;

/// Uninitialised memory that several threads write into.
pub struct Shared<T>(*mut MaybeUninit<T>, usize);

// SAFETY: the parts that are handed out are disjoint; see `part`.
#[expect(unsafe_code, reason = "tiles interleave in the output")]
unsafe impl<T: Send> Sync for Shared<T> {}

impl<T> Shared<T> {
    /// The room that a vector has.
    pub fn of(values: &mut Vec<T>) -> Self {
        let room = values.spare_capacity_mut();
        Self(room.as_mut_ptr(), room.len())
    }

    /// Some of the values.
    ///
    /// # Safety
    /// No two parts that are alive at once may overlap, and none may outlive the vector.
    #[expect(unsafe_code, clippy::mut_from_ref, reason = "tiles interleave in the output")]
    pub unsafe fn part(&self, range: Range<usize>) -> &mut [MaybeUninit<T>] {
        assert!(range.start <= range.end && range.end <= self.1, "{range:?} of {}", self.1);
        // SAFETY: the range is inside the vector, and the caller guarantees that it is not shared.
        unsafe { std::slice::from_raw_parts_mut(self.0.add(range.start), range.len()) }
    }
}
