/// Images channels last: `[images, height, width, channels]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape4 {
    /// Images.
    pub images: usize,
    /// Height.
    pub height: usize,
    /// Width.
    pub width: usize,
    /// Channels.
    pub channels: usize,
}

impl Shape4 {
    /// Pixels of all images.
    pub fn pixels(self) -> usize {
        self.images * self.height * self.width
    }

    /// Values.
    pub fn values(self) -> usize {
        self.pixels() * self.channels
    }
}
