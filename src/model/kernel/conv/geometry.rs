use std::ops::Range;

/// Shapes of a convolution.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Geometry {
    /// Number of images in the batch.
    pub images: usize,
    /// `[C, H, W]` of an input image.
    pub input: [usize; 3],
    /// `[C', H', W']` of an output image.
    pub output: [usize; 3],
    /// Height and width of the kernel.
    pub kernel: usize,
    /// Stride of the convolution, in pixels.
    pub stride: usize,
    /// Zeros around the input.
    pub padding: usize,
}

impl Geometry {
    /// Shapes of a convolution of `[N, C, H, W]` by `[C', C, k, k]`.
    ///
    /// # Panics
    /// When the kernel is larger than the padded image.
    pub fn new(input: [usize; 4], weight: [usize; 4], stride: usize, padding: usize) -> Self {
        let [images, channels, height, width] = input;
        let [filters, weight_channels, kernel, kernel_width] = weight;
        assert_eq!(channels, weight_channels, "channels of image and weight");
        assert_eq!(kernel, kernel_width, "the kernel is square");
        let side = |side: usize| {
            let padded = side + 2 * padding;
            assert!(padded >= kernel, "a {kernel}×{kernel} kernel over {side} pixels");
            (padded - kernel) / stride + 1
        };
        let output = [filters, side(height), side(width)];
        Self { images, input: [channels, height, width], output, kernel, stride, padding }
    }

    /// Pixels of an output image.
    pub fn output_plane(&self) -> usize {
        self.output[1] * self.output[2]
    }

    /// Output pixels of all images.
    pub fn pixels(&self) -> usize {
        self.images * self.output_plane()
    }

    /// Values under the kernel, of one channel.
    pub fn window(&self) -> usize {
        self.kernel * self.kernel
    }

    /// Values under the kernel.
    pub fn field(&self) -> usize {
        self.input[0] * self.window()
    }

    /// The convolution from the gradient of the output to that of the input, at stride 1: the kernel is
    /// rotated by 180° and the channels are exchanged.
    pub fn turned(&self) -> Self {
        Self {
            images: self.images,
            input: self.output,
            output: self.input,
            kernel: self.kernel,
            stride: 1,
            padding: self.kernel - 1 - self.padding,
        }
    }

    /// Divides a run of pixels, counted over all images, into rows of the output.
    pub(super) fn rows(&self, pixels: Range<usize>) -> Vec<Row> {
        let [_, _, width] = self.output;
        let mut rows = Vec::with_capacity(pixels.len() / width + 2);
        let mut at = pixels.start;
        while at < pixels.end {
            let (image, inside) = (at / self.output_plane(), at % self.output_plane());
            let (y, x) = (inside / width, inside % width);
            let length = (width - x).min(pixels.end - at);
            rows.push(Row { image, y, x, length });
            at += length;
        }
        rows
    }

    /// Divides a run of pixels at the borders of images: (image, first pixel, length).
    pub fn parts(&self, pixels: Range<usize>) -> impl Iterator<Item = (usize, usize, usize)> {
        let plane = self.output_plane();
        let mut at = pixels.start;
        std::iter::from_fn(move || {
            (at < pixels.end).then(|| {
                let (image, first) = (at / plane, at % plane);
                let length = (plane - first).min(pixels.end - at);
                at += length;
                (image, first, length)
            })
        })
    }

    /// The input that a row of pixels reads under one kernel position: the input row, the output
    /// columns that fall inside the image, and the input column of the first of them.
    pub(super) fn seen(&self, row: &Row, ky: usize, kx: usize) -> Option<Seen> {
        let [_, height, width] = self.input;
        let y = (row.y * self.stride + ky).checked_sub(self.padding).filter(|y| *y < height)?;
        let first = self.padding.saturating_sub(kx).div_ceil(self.stride).max(row.x);
        let past = (width + self.padding).saturating_sub(kx).div_ceil(self.stride);
        let past = past.min(row.x + row.length);
        (first < past).then(|| Seen {
            y,
            x: first * self.stride + kx - self.padding,
            skip: first - row.x,
            length: past - first,
        })
    }
}

/// Pixels of one row of an output image.
pub(super) struct Row {
    pub image: usize,
    pub y: usize,
    pub x: usize,
    pub length: usize,
}

/// The input that a row reads.
pub(super) struct Seen {
    pub y: usize,
    pub x: usize,
    pub skip: usize,
    pub length: usize,
}
