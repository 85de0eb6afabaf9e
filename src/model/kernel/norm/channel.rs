//! Batch norm of a single value.

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
