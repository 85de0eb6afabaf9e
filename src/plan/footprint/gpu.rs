//! What a GPU's driver takes for the tensors of a step.

use crate::device::Pages;

/// The driver's context with the kernels of this program: 300 to 500 MiB, by GPU and driver.
pub const CONTEXT_BYTES: u64 = 512 << 20;
/// The driver's pool grows by multiples of it.
const GRANULE: u64 = 32 << 20;
/// The page of tensors of 64 KiB or less.
const SMALL_TENSORS: u64 = 8 << 20;
/// Free memory between tensors, as a share of theirs: measured at the peak (docs/gpu.md).
const FRAGMENTATION: f64 = 0.05;
/// The same where segments are computed again between gradients that stay: a share of all tensors, and no less than
/// that and a share of the largest map of a segment.
const RECOMPUTED: f64 = 0.08;
/// The same where the largest map is that of a residual block, as in ResNet12.
const RECOMPUTED_BLOCKS: f64 = 0.16;
/// The share of all tensors up to which the map of another layer finds room between the gradients.
const SMALL_MAP: f64 = 0.05;
const PIECES: f64 = 0.4;
/// What is lost at the end of a page that another follows, as a share of the largest tensor: measured as well.
const PAGE_ENDS: f64 = 0.15;
/// A page has a quarter of a GPU's memory at most, so more of them fit no GPU.
const MOST_PAGES: u64 = 4;

/// How a step takes and frees its tensors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pattern {
    /// Taken in the forward pass, freed in the backward pass, as on a stack.
    Stack,
    /// Segments are computed again between gradients that stay: what is free lies in pieces, which the largest map
    /// of a segment may not fit.
    Recomputed {
        /// Bytes of the largest map.
        map: u64,
        /// Whether it is one of a residual block.
        in_blocks: bool,
    },
}

/// Memory of a GPU that a plan will take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GpuUse {
    /// Bytes of tensors at the peak.
    pub in_use: u64,
    /// Bytes of the pool that holds them, which a run takes as pages at its start.
    pub reserved: u64,
    /// Bytes of the tensors with what is free between them.
    carved: u64,
    /// Bytes that no tensor is larger than.
    largest: u64,
    /// Bytes of the driver's context.
    pub context: u64,
}

impl GpuUse {
    /// What the driver takes when tensors take `in_use` bytes, none of them more than `largest`.
    pub(super) fn of(in_use: u64, largest: u64, pattern: Pattern) -> Self {
        let tensors = in_use as f64;
        let lost = match pattern {
            Pattern::Recomputed { map, in_blocks }
                if in_blocks || map as f64 > tensors * SMALL_MAP =>
            {
                let share = if in_blocks { RECOMPUTED_BLOCKS } else { RECOMPUTED };
                (tensors * share).max(tensors * FRAGMENTATION + map as f64 * PIECES)
            }
            _ => tensors * FRAGMENTATION,
        };
        let carved = in_use + lost as u64;
        let reserved = (carved + SMALL_TENSORS).next_multiple_of(GRANULE);
        Self { in_use, reserved, carved, largest, context: CONTEXT_BYTES }
    }

    /// The pages to carve the tensors from, on a GPU whose pages have at most `limit` bytes: one, or where it would be
    /// larger than that, several of which each holds the largest tensor twice. Nothing where the tensors are too large
    /// for the pages of that GPU.
    pub fn pages(&self, limit: u64) -> Option<Pages> {
        let of = |number: u64| {
            let ends = (self.largest as f64 * PAGE_ENDS) as u64 * (number - 1);
            let share = (self.carved + ends).div_ceil(number);
            // Rounded as the driver's pool does, with the page of small tensors in what is left of the last one.
            let bytes = (share + SMALL_TENSORS).next_multiple_of(GRANULE) - SMALL_TENSORS;
            (bytes <= limit).then_some(Pages { number, bytes })
        };
        let mut several = (2..=MOST_PAGES).filter_map(of);
        of(1).or_else(|| several.find(|it| 2 * self.largest <= it.bytes))
    }

    /// Bytes of the GPU in all.
    pub fn total(&self) -> u64 {
        self.reserved + self.context
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIB: u64 = 1 << 30;
    const MIB: u64 = 1 << 20;

    #[test]
    fn a_pool_holds_more_than_is_in_use() {
        let taken = GpuUse::of(4 * GIB, 200 * MIB, Pattern::Stack);
        assert!(taken.reserved > 4 * GIB);
        assert!(taken.reserved as f64 <= 1.15 * 4.0 * GIB as f64);
        assert_eq!(taken.total(), taken.reserved + CONTEXT_BYTES);
        let reserved = |map, in_blocks| {
            GpuUse::of(4 * GIB, 200 * MIB, Pattern::Recomputed { map, in_blocks }).reserved
        };
        assert!(reserved(300 * MIB, false) > taken.reserved);
        assert!(reserved(300 * MIB, true) > reserved(300 * MIB, false));
        assert_eq!(reserved(20 * MIB, false), taken.reserved);
    }

    #[test]
    fn a_gpu_with_smaller_pages_gives_several() {
        let taken = GpuUse::of(3 * GIB, 300 * MIB, Pattern::Stack);
        let one = taken.pages(6 * GIB).unwrap();
        assert_eq!((one.number, one.bytes + SMALL_TENSORS), (1, taken.reserved));
        let three = taken.pages(5 * GIB / 4).unwrap();
        assert_eq!(three.number, 3);
        assert!(three.bytes <= 5 * GIB / 4 && three.number * three.bytes >= 3 * GIB);
        assert_eq!(taken.pages(GIB / 2), None, "more than the GPU has");
    }

    #[test]
    fn a_tensor_that_nearly_fills_a_page_has_one_page_with_all_others() {
        let taken = GpuUse::of(3 * GIB, GIB, Pattern::Stack);
        assert_eq!(taken.pages(4 * GIB).map(|it| it.number), Some(1));
        assert_eq!(taken.pages(2 * GIB), None, "two would lose what is left of each");
    }
}
