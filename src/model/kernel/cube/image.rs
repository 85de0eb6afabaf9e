/// Images channels last: `[images, height, width, channels]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape4 {
    /// Number of images in the batch.
    pub images: usize,
    /// Height of each image in pixels.
    pub height: usize,
    /// Width of each image in pixels.
    pub width: usize,
    /// Channels of each pixel.
    pub channels: usize,
}

impl Shape4 {
    /// Pixels of all images.
    pub fn pixels(self) -> usize {
        self.images * self.height * self.width
    }

    /// Values of all images and channels.
    pub fn values(self) -> usize {
        self.pixels() * self.channels
    }
}
