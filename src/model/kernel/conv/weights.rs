//! The gradient of the weights: the product of receptive fields with the output's gradient, summed over all pixels.
//!
//! It is computed in pieces of some channels over some pixels; the pieces depend only on the shapes.

use std::ops::Range;

use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use super::geometry::Geometry;
use super::micro::{LEFT, RIGHT, product};
use super::reads::{Reads, View};
use super::source::Source;
use crate::model::kernel::element::Element;
use crate::tiling::direct::{SUMMED, pieces};
use crate::tiling::runs;

/// `[C', C · k · k]`, summed over all pixels of all images.
pub fn gradient<T: Element>(
    geometry: &Geometry,
    input: &impl Source<T>,
    d_output: &[T],
) -> Vec<f32> {
    let (filters, channels, window) = (geometry.output[0], geometry.input[0], geometry.window());
    let (width, length) = pieces(channels, window, geometry.pixels());
    let by_channel = runs(0..channels, width);
    let by_pixel = runs(0..geometry.pixels(), length);
    let tasks: Vec<_> = by_channel
        .iter()
        .flat_map(|channels| by_pixel.iter().map(move |pixels| (channels.clone(), pixels.clone())))
        .collect();
    let sums: Vec<Sums> = tasks
        .par_iter()
        .map(|(channels, pixels)| piece(geometry, input, d_output, channels, pixels))
        .collect();

    let (field, right) = (channels * window, filters.div_ceil(RIGHT));
    let mut total = vec![0.0; filters * field];
    for ((channels, _), sums) in tasks.iter().zip(sums) {
        let first = channels.start * window;
        for value in 0..channels.len() * window {
            for filter in 0..filters {
                let sums = &sums[value / LEFT * right + filter / RIGHT];
                total[filter * field + first + value] += sums[value % LEFT][filter % RIGHT];
            }
        }
    }
    total
}

/// `[panels of the field, panels of filters]`.
type Sums = Vec<[[f32; RIGHT]; LEFT]>;

fn piece<T: Element>(
    geometry: &Geometry,
    input: &impl Source<T>,
    d_output: &[T],
    channels: &Range<usize>,
    pixels: &Range<usize>,
) -> Sums {
    let field = channels.start * geometry.window()..channels.end * geometry.window();
    let panels = geometry.output[0].div_ceil(RIGHT);
    let mut sums = vec![[[0.0; RIGHT]; LEFT]; field.len().div_ceil(LEFT) * panels];
    let most = SUMMED.min(pixels.len());
    let mut left = vec![[0.0; LEFT]; most];
    let mut right = vec![[0.0; RIGHT]; panels * most];
    let (mut reads, mut memory) = (Reads::default(), Default::default());
    for pixels in runs(pixels.clone(), SUMMED) {
        let count = pixels.len();
        let view = input.view(geometry, channels.clone(), pixels.clone(), &mut memory);
        reads.set(geometry, view, pixels.clone(), count);
        let (left, right) = (&mut left[..count], &mut right[..panels * count]);
        picked(geometry, d_output, pixels, right);
        let (field, reads, sums) = (field.clone(), &reads, &mut sums);
        Arch::new().dispatch(Run { view, field, reads, left, right, sums });
    }
    sums
}

/// The output's gradient at `pixels`: `[N, C', H', W']` → `[panels of filters, pixels, RIGHT]`.
fn picked<T: Element>(
    geometry: &Geometry,
    d_output: &[T],
    pixels: Range<usize>,
    right: &mut [[f32; RIGHT]],
) {
    let (filters, plane) = (geometry.output[0], geometry.output_plane());
    for (panel, right) in right.chunks_exact_mut(pixels.len()).enumerate() {
        let of_panel = panel * RIGHT..filters.min((panel + 1) * RIGHT);
        let mut rest = right;
        for (image, first, length) in geometry.parts(pixels.clone()) {
            let (right, after) = rest.split_at_mut(length);
            rest = after;
            for (lane, filter) in of_panel.clone().enumerate() {
                let at = (image * filters + filter) * plane + first;
                let values = right.iter_mut().zip(&d_output[at..at + length]);
                values.for_each(|(line, d)| line[lane] = d.to_f32());
            }
        }
    }
}

/// Adds the products of some pixels.
struct Run<'a, T> {
    view: View<'a, T>,
    field: Range<usize>,
    reads: &'a Reads,
    left: &'a mut [[f32; LEFT]],
    right: &'a [[f32; RIGHT]],
    sums: &'a mut [[[f32; RIGHT]; LEFT]],
}

impl<T: Element> WithSimd for Run<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { view, field, reads, left, right, sums } = self;
        let count = left.len();
        let panels = right.len() / count;
        for (panel, sums) in sums.chunks_exact_mut(panels).enumerate() {
            let first = field.start + panel * LEFT;
            let values = first..field.end.min(first + LEFT);
            reads.each(view, values, |lane, pixel, x| left[pixel][lane] = x);
            for (right, sums) in right.chunks_exact(count).zip(sums) {
                product(simd, left, right, sums, true);
            }
        }
    }
}
