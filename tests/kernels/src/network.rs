/// A max-pool with stride 2.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pool {
    /// 2×2; an odd last row or column is dropped.
    Two,
    /// 3×3 with padding 1.
    Three,
}

impl Pool {
    /// The side of the output for a side of the input.
    pub fn side(self, side: usize) -> usize {
        match self {
            Self::Two => side / 2,
            Self::Three => side.div_ceil(2),
        }
    }
}

/// What is left of a value that is not positive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rectifier {
    /// All of it.
    Identity,
    /// Nothing.
    Relu,
    /// A tenth of it.
    Leaky,
}

impl Rectifier {
    /// The slope of a leaky rectifier below 0.
    pub const LEAK: f32 = 0.1;
}
