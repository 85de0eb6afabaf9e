use std::ops::Range;

use super::geometry::Geometry;
use crate::model::kernel::element::Element;

/// Consecutive images of an input, or some consecutive channels of them.
#[derive(Clone, Copy)]
pub struct View<'a, T> {
    /// `[images, channels, H, W]`, row-major.
    pub values: &'a [T],
    /// Channels that are there.
    pub channels: usize,
    /// The first image and the first channel.
    pub first: [usize; 2],
}

impl<'a, T> View<'a, T> {
    /// All of an input.
    pub fn whole(geometry: &Geometry, values: &'a [T]) -> Self {
        Self { values, channels: geometry.input[0], first: [0; 2] }
    }
}

/// Gathers the receptive fields of `pixels`, of some input channels, as the columns of a matrix.
///
/// # Shapes
/// - `input`: `[N, C, H, W]`, or the part of it that `pixels` and `channels` read
/// - `columns`: `[channels · k · k, pixels]`
pub fn gather<T: Element>(
    geometry: &Geometry,
    input: View<T>,
    channels: Range<usize>,
    pixels: Range<usize>,
    columns: &mut [f32],
) {
    let Geometry { input: [_, height, width], kernel, stride, .. } = *geometry;
    let View { values: input, channels: all, first } = input;
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
            let plane = (row.image - first[0]) * all + channel - first[1];
            let at = (plane * height + seen.y) * width + seen.x;
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
