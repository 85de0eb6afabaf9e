use std::ops::Range;

use crate::model::kernel::element::Element;

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
    fn rows(&self, pixels: Range<usize>) -> Vec<Row> {
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
    fn seen(&self, row: &Row, ky: usize, kx: usize) -> Option<Seen> {
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
struct Row {
    image: usize,
    y: usize,
    x: usize,
    length: usize,
}

/// The input that a row reads.
struct Seen {
    y: usize,
    x: usize,
    skip: usize,
    length: usize,
}

/// Gathers the receptive fields of `pixels`, of some input channels, as the columns of a matrix.
///
/// # Shapes
/// - `input`: `[N, C, H, W]`
/// - `columns`: `[channels · k · k, pixels]`
pub fn gather<T: Element>(
    geometry: &Geometry,
    input: &[T],
    channels: Range<usize>,
    pixels: Range<usize>,
    columns: &mut [f32],
) {
    let Geometry { input: [all, height, width], kernel, stride, .. } = *geometry;
    let rows = geometry.rows(pixels.clone());
    let lines = columns.chunks_exact_mut(pixels.len());
    let positions = channels.flat_map(|channel| {
        (0..kernel).flat_map(move |ky| (0..kernel).map(move |kx| (channel, ky, kx)))
    });
    for (line, (channel, ky, kx)) in lines.zip(positions) {
        let mut rest = line;
        for row in &rows {
            let (line, after) = rest.split_at_mut(row.length);
            rest = after;
            let Some(seen) = geometry.seen(row, ky, kx) else {
                line.fill(0.0);
                continue;
            };
            line[..seen.skip].fill(0.0);
            line[seen.skip + seen.length..].fill(0.0);
            let line = &mut line[seen.skip..seen.skip + seen.length];
            let at = ((row.image * all + channel) * height + seen.y) * width + seen.x;
            if stride == 1 {
                T::widen(&input[at..at + seen.length], line);
            } else {
                let input = input[at..].iter().step_by(stride);
                line.iter_mut().zip(input).for_each(|(value, x)| *value = x.to_f32());
            }
        }
    }
}

/// Adds the columns of a matrix to the receptive fields of `pixels` of one image: the transpose of
/// [`gather`].
///
/// # Shapes
/// - `columns`: `[C · k · k, pixels]`
/// - `image`: `[C, H, W]`
pub fn scatter(geometry: &Geometry, columns: &[f32], pixels: Range<usize>, image: &mut [f32]) {
    let Geometry { input: [channels, height, width], kernel, stride, .. } = *geometry;
    let rows = geometry.rows(pixels.clone());
    let lines = columns.chunks_exact(pixels.len());
    let positions = (0..channels).flat_map(|channel| {
        (0..kernel).flat_map(move |ky| (0..kernel).map(move |kx| (channel, ky, kx)))
    });
    for (line, (channel, ky, kx)) in lines.zip(positions) {
        let mut rest = line;
        for row in &rows {
            let (line, after) = rest.split_at(row.length);
            rest = after;
            let Some(seen) = geometry.seen(row, ky, kx) else { continue };
            let line = &line[seen.skip..seen.skip + seen.length];
            let at = (channel * height + seen.y) * width + seen.x;
            let image = image[at..].iter_mut().step_by(stride);
            image.zip(line).for_each(|(x, value)| *x += value);
        }
    }
}
