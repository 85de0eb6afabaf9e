//! Pages of a GPU's memory, from which tensors are carved.

/// Pages of one size that a GPU takes for the tensors of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pages {
    /// How many of them there are.
    pub number: u64,
    /// Bytes of each: whole MiB, two at least.
    pub bytes: u64,
}
