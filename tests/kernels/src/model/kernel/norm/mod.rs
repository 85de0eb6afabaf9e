pub mod cube;

pub use crate::network::Pool;

/// What follows the norm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct After {
    /// ReLU.
    pub relu: bool,
    /// Max-pool.
    pub pool: Option<Pool>,
}
