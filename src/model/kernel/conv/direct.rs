//! A convolution as a product of matrices: the weights with the receptive fields of a panel of pixels at a time.

use std::ops::Range;

use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use super::geometry::Geometry;
use super::micro::{LEFT, RIGHT, product};
use super::reads::{Reads, View};
use super::rows::Rows;
use super::shared::Shared;
use crate::model::kernel::element::Element;
use crate::tiling::direct::{DEPTH, TASK};
use crate::tiling::runs;

/// `[N, C', H', W']` of `[N, C, H, W]` and weights `[C', C · k · k]`. `bias` has a value for each filter, or none.
pub fn convolve<T: Element>(
    geometry: &Geometry,
    input: &[T],
    weights: &Rows,
    bias: &[f32],
) -> Vec<T> {
    let length = geometry.images * geometry.output[0] * geometry.output_plane();
    let mut output = Vec::with_capacity(length);
    let whole = Whole { geometry, input, weights, bias, output: Shared::of(&mut output) };
    runs(0..geometry.pixels(), TASK)
        .into_par_iter()
        .for_each_init(Buffers::default, |buffers, pixels| whole.write(pixels, buffers));
    // SAFETY: the tasks cover all pixels, and each wrote its own, of every filter.
    #[expect(unsafe_code, reason = "zeroing an activation first would cost a pass over it")]
    unsafe {
        output.set_len(length);
    }
    output
}

struct Whole<'a, T> {
    geometry: &'a Geometry,
    input: &'a [T],
    weights: &'a Rows,
    bias: &'a [f32],
    output: Shared<T>,
}

/// What a thread computes in.
#[derive(Default)]
struct Buffers {
    reads: Reads,
    fields: Vec<[f32; RIGHT]>,
    sums: Vec<[[f32; RIGHT]; LEFT]>,
}

impl<T: Element> Whole<'_, T> {
    /// Writes some pixels, of all filters.
    fn write(&self, pixels: Range<usize>, buffers: &mut Buffers) {
        buffers.fields.resize(DEPTH.min(self.geometry.field()), [0.0; RIGHT]);
        buffers.sums.resize(self.weights.panels(), [[0.0; RIGHT]; LEFT]);
        for pixels in runs(pixels, RIGHT) {
            let view = View::whole(self.geometry, self.input);
            buffers.reads.set(self.geometry, view, pixels.clone(), RIGHT);
            Arch::new().dispatch(Panel { whole: self, buffers });
            self.keep(pixels, &buffers.sums);
        }
    }

    /// Adds the bias, and rounds.
    fn keep(&self, pixels: Range<usize>, sums: &[[[f32; RIGHT]; LEFT]]) {
        let (filters, plane) = (self.geometry.output[0], self.geometry.output_plane());
        for (filter, sums) in sums.as_flattened()[..filters].iter().enumerate() {
            let mut line = *sums;
            if let Some(bias) = self.bias.get(filter) {
                line.iter_mut().for_each(|value| *value += bias);
            }
            let mut rest = &line[..];
            for (image, first, length) in self.geometry.parts(pixels.clone()) {
                let (line, after) = rest.split_at(length);
                rest = after;
                let at = (image * filters + filter) * plane + first;
                // SAFETY: panels are disjoint runs of pixels, and each writes the pixels it holds, of every
                // filter, once.
                #[expect(unsafe_code, reason = "panels interleave in the output")]
                let output = unsafe { self.output.part(at..at + length) };
                T::narrow(line, output);
            }
        }
    }
}

/// The sums of a panel of pixels, of all filters.
struct Panel<'a, 'b, T> {
    whole: &'a Whole<'b, T>,
    buffers: &'a mut Buffers,
}

impl<T: Element> WithSimd for Panel<'_, '_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Whole { geometry, input, weights, .. } = *self.whole;
        let Buffers { reads, fields, sums } = self.buffers;
        let view = View::whole(geometry, input);
        for start in (0..geometry.field()).step_by(DEPTH) {
            let values = start..(start + DEPTH).min(geometry.field());
            let fields = &mut fields[..values.len()];
            reads.each(view, values.clone(), |value, pixel, x| fields[value][pixel] = x);
            for (panel, sums) in sums.iter_mut().enumerate() {
                product(simd, weights.panel(panel, values.clone()), fields, sums, start > 0);
            }
        }
    }
}
