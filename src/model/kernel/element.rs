use burn::tensor::{bf16, f16};

/// A stored float that is computed with in f32.
pub trait Element: bytemuck::Pod + Send + Sync {
    /// Zero.
    const ZERO: Self;
    /// Widens.
    fn to_f32(self) -> f32;
    /// Rounds to nearest.
    fn from_f32(value: f32) -> Self;
}

impl Element for f32 {
    const ZERO: Self = 0.0;
    fn to_f32(self) -> f32 {
        self
    }
    fn from_f32(value: f32) -> Self {
        value
    }
}

impl Element for f16 {
    const ZERO: Self = f16::ZERO;
    fn to_f32(self) -> f32 {
        self.to_f32()
    }
    fn from_f32(value: f32) -> Self {
        f16::from_f32(value)
    }
}

impl Element for bf16 {
    const ZERO: Self = bf16::ZERO;
    fn to_f32(self) -> f32 {
        self.to_f32()
    }
    fn from_f32(value: f32) -> Self {
        bf16::from_f32(value)
    }
}
