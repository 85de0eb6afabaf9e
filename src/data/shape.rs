/// Shape of a decoded image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ImageShape {
    /// 1 (grey) or 3 (RGB).
    pub channels: usize,
    /// Pixels from top to bottom.
    pub height: usize,
    /// Pixels from left to right.
    pub width: usize,
}

impl ImageShape {
    /// Values in an image: `channels · height · width`.
    pub fn values(&self) -> usize {
        self.channels * self.height * self.width
    }
}
