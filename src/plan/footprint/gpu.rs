//! What a GPU's driver takes for the tensors of a step.

/// The driver's context with the kernels of this program: 300 to 500 MiB, by GPU and driver.
pub const CONTEXT_BYTES: u64 = 512 << 20;
/// The pool grows by multiples of it.
const GRANULE: u64 = 32 << 20;
/// Free blocks between those in use, as a share of those: measured at the peak (docs/gpu.md).
const FRAGMENTATION: f64 = 0.05;
/// Pieces between gradients that stay, as a share of the largest map of a segment: measured as well.
const PIECES: f64 = 0.4;

/// How a step takes and frees its tensors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pattern {
    /// Taken in the forward pass, freed in the backward pass, as on a stack.
    Stack,
    /// Segments are computed again between gradients that stay: what is free lies in pieces, which the largest map
    /// of a segment, of so many bytes, may not fit.
    Recomputed(u64),
}

/// Memory of a GPU that a plan will take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GpuUse {
    /// Bytes of tensors at the peak.
    pub in_use: u64,
    /// Bytes of the pool that holds them, which a run takes in one piece at its start.
    pub reserved: u64,
    /// Bytes of the driver's context.
    pub context: u64,
}

impl GpuUse {
    /// What the driver takes when tensors take `in_use` bytes.
    pub(super) fn of(in_use: u64, pattern: Pattern) -> Self {
        let pieces = match pattern {
            Pattern::Stack => 0.0,
            Pattern::Recomputed(largest) => largest as f64 * PIECES,
        };
        let reserved = (in_use as f64 * (1.0 + FRAGMENTATION) + pieces) as u64;
        let reserved = reserved.next_multiple_of(GRANULE);
        Self { in_use, reserved, context: CONTEXT_BYTES }
    }

    /// Bytes of the GPU in all.
    pub fn total(&self) -> u64 {
        self.reserved + self.context
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pool_holds_more_than_is_in_use() {
        let taken = GpuUse::of(1 << 30, Pattern::Stack);
        assert!(taken.reserved > 1 << 30);
        assert!(taken.reserved as f64 <= 1.15 * (1u64 << 30) as f64);
        assert_eq!(taken.total(), taken.reserved + CONTEXT_BYTES);
        let recomputed = GpuUse::of(1 << 30, Pattern::Recomputed(300 << 20));
        assert_eq!(recomputed.reserved, (1 << 30) + (192 << 20));
    }
}
