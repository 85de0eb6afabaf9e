//! Batch norm and ReLU of a single value.

/// The batch norm of one channel, as `scale · x + shift`.
#[derive(Debug, Clone, Copy)]
pub struct ChannelNorm {
    pub scale: f32,
    pub shift: f32,
}

impl ChannelNorm {
    pub fn at(self, x: f32) -> f32 {
        x * self.scale + self.shift
    }
}

/// Zero for values that are not positive. NaN stays NaN, so that an overflow stays visible.
pub fn relu(value: f32) -> f32 {
    if value <= 0.0 { 0.0 } else { value }
}
