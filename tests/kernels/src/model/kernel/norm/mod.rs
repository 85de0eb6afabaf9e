pub mod cube;

pub use crate::network::{Pool, Rectifier};

/// What follows the norm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct After {
    /// Rectifier.
    pub rectifier: Rectifier,
    /// Max-pool.
    pub pool: Option<Pool>,
}
