//! The bookkeeping of the driver's stream-ordered pool.
//!
//! Physical memory is reserved in granules at the end of one range of addresses, and blocks are carved from it
//! best fit. Free neighbours become one block. Nothing is moved: a real driver may also map free physical memory
//! to other addresses, so it needs no more than this.

use std::collections::BTreeMap;

/// Every block starts at a multiple of it.
pub const ALIGNMENT: u64 = 512;
/// Physical memory is reserved in multiples of it.
pub const GRANULE: u64 = 32 << 20;

/// Offsets of blocks, free and taken.
#[derive(Default)]
pub struct Heap {
    taken: BTreeMap<u64, u64>,
    free: BTreeMap<u64, u64>,
    /// Bytes of physical memory.
    pub reserved: u64,
    /// Bytes taken.
    pub used: u64,
    pub reserved_high: u64,
    pub used_high: u64,
}

impl Heap {
    /// Takes a block; `None` when it needs more than `limit` bytes of physical memory.
    pub fn alloc(&mut self, bytes: u64, limit: u64) -> Option<u64> {
        let size = bytes.max(1).next_multiple_of(ALIGNMENT);
        let best = self.free.iter().filter(|(_, free)| **free >= size).min_by_key(|(_, free)| **free);
        let offset = match best {
            Some((&offset, &free)) => {
                self.free.remove(&offset);
                if free > size {
                    self.free.insert(offset + size, free - size);
                }
                offset
            }
            None => self.grow(size, limit)?,
        };
        self.taken.insert(offset, size);
        self.used += size;
        self.used_high = self.used_high.max(self.used);
        Some(offset)
    }

    /// Reserves as much as a block of `size` needs beyond what is free at the end, and takes it from there.
    fn grow(&mut self, size: u64, limit: u64) -> Option<u64> {
        let tail = self.free.last_key_value().filter(|(at, free)| **at + **free == self.reserved);
        let (offset, at_end) = tail.map_or((self.reserved, 0), |(at, free)| (*at, *free));
        let more = (size - at_end).next_multiple_of(GRANULE);
        if self.reserved + more > limit {
            return None;
        }
        self.free.remove(&offset);
        self.reserved += more;
        self.reserved_high = self.reserved_high.max(self.reserved);
        if at_end + more > size {
            self.free.insert(offset + size, at_end + more - size);
        }
        Some(offset)
    }

    /// Gives a block back and returns its size; `None` when there is none at `offset`.
    pub fn free(&mut self, offset: u64) -> Option<u64> {
        let size = self.taken.remove(&offset)?;
        self.used -= size;
        let (mut start, mut end) = (offset, offset + size);
        if let Some((&at, &free)) = self.free.range(..start).next_back()
            && at + free == start
        {
            self.free.remove(&at);
            start = at;
        }
        if let Some(&free) = self.free.get(&end) {
            self.free.remove(&end);
            end += free;
        }
        self.free.insert(start, end - start);
        Some(size)
    }

    /// Gives physical memory at the end back to the device until `keep` bytes are left.
    pub fn trim(&mut self, keep: u64) {
        let Some((&at, &free)) = self.free.last_key_value() else { return };
        if at + free != self.reserved {
            return;
        }
        let to = at.next_multiple_of(GRANULE).max(keep.next_multiple_of(GRANULE)).min(self.reserved);
        self.free.remove(&at);
        if to > at {
            self.free.insert(at, to - at);
        }
        self.reserved = to;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_become_one_and_the_best_fit_is_taken() {
        let mut heap = Heap::default();
        let blocks: Vec<u64> = (0..4).map(|_| heap.alloc(1 << 20, u64::MAX).unwrap()).collect();
        assert_eq!(blocks, [0, 1 << 20, 2 << 20, 3 << 20]);
        heap.free(blocks[1]);
        assert_eq!(heap.alloc(1 << 20, u64::MAX), Some(1 << 20));
        heap.free(blocks[1]);
        heap.free(blocks[2]);
        assert_eq!(heap.alloc(2 << 20, u64::MAX), Some(1 << 20));
        assert_eq!((heap.used, heap.used_high, heap.reserved), (4 << 20, 4 << 20, GRANULE));
    }

    #[test]
    fn it_grows_at_the_end_up_to_the_limit_and_trims() {
        let mut heap = Heap::default();
        assert_eq!(heap.alloc(GRANULE / 2, 2 * GRANULE), Some(0));
        // Half a granule is free at the end: one more holds it.
        assert_eq!(heap.alloc(GRANULE, 2 * GRANULE), Some(GRANULE / 2));
        assert_eq!(heap.reserved, 2 * GRANULE);
        assert_eq!(heap.alloc(GRANULE, 2 * GRANULE), None);
        heap.free(GRANULE / 2);
        heap.trim(0);
        assert_eq!((heap.reserved, heap.reserved_high), (GRANULE, 2 * GRANULE));
        assert_eq!(heap.free(7), None);
    }
}
