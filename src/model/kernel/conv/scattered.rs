//! The gradient of an input for any stride: gradients of receptive fields, added at the pixels they came from.

use std::ops::Range;

use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use super::geometry::Geometry;
use super::micro::{LEFT, RIGHT, product};
use super::reads::{Reads, View};
use super::rows::Rows;
use crate::model::kernel::element::Element;
use crate::tiling::runs;

/// `[N, C, H, W]` of the output's gradient and transposed weights, `[C · k · k, C']`.
pub fn scattered<T: Element>(geometry: &Geometry, d_output: &[T], weights: &Rows) -> Vec<T> {
    let size = geometry.input.iter().product::<usize>();
    let plane = geometry.output_plane();
    let mut d_input = vec![T::ZERO; geometry.images * size];
    d_input.par_chunks_mut(size.max(1)).enumerate().for_each_init(
        || Buffers { sums: vec![0.0; size], ..Buffers::default() },
        |buffers, (image, d_input)| {
            buffers.sums.fill(0.0);
            buffers.gradient.resize(geometry.output[0], [0.0; RIGHT]);
            for pixels in runs(image * plane..(image + 1) * plane, RIGHT) {
                let view = View::<T> { values: &[], channels: 0, first: [image, 0] };
                buffers.reads.set(geometry, view, pixels.clone(), RIGHT);
                Arch::new().dispatch(Panel { geometry, d_output, weights, pixels, buffers });
            }
            d_input.iter_mut().zip(&buffers.sums).for_each(|(d_x, sum)| *d_x = T::from_f32(*sum));
        },
    );
    d_input
}

/// What a thread computes in.
#[derive(Default)]
struct Buffers {
    reads: Reads,
    /// Of the output at a panel of pixels: `[C', RIGHT]`.
    gradient: Vec<[f32; RIGHT]>,
    /// Of an image.
    sums: Vec<f32>,
}

/// Adds what some pixels of an image give.
struct Panel<'a, T> {
    geometry: &'a Geometry,
    d_output: &'a [T],
    weights: &'a Rows,
    pixels: Range<usize>,
    buffers: &'a mut Buffers,
}

impl<T: Element> WithSimd for Panel<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Buffers { reads, gradient, sums } = self.buffers;
        let (filters, plane) = (self.geometry.output[0], self.geometry.output_plane());
        let (image, first) = (self.pixels.start / plane, self.pixels.start % plane);
        let count = self.pixels.len();
        for (filter, line) in gradient.iter_mut().enumerate() {
            let at = (image * filters + filter) * plane + first;
            T::widen(&self.d_output[at..at + count], &mut line[..count]);
            line[count..].fill(0.0);
        }
        let mut of_field = [[0.0; RIGHT]; LEFT];
        let field = self.geometry.field();
        for panel in 0..self.weights.panels() {
            let weights = self.weights.panel(panel, 0..filters);
            product(simd, weights, gradient, &mut of_field, false);
            let values = panel * LEFT..field.min((panel + 1) * LEFT);
            values.zip(&of_field).for_each(|(value, line)| reads.add(value, line, sums));
        }
    }
}
