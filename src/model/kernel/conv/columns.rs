use std::ops::Range;

use super::geometry::Geometry;
use crate::model::kernel::element::Element;

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
