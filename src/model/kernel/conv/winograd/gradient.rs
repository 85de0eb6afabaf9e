//! The gradient of the kernels: at the points it is a product of matrices, summed over the tiles.

use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use super::tiles::Tiles;
use super::transform::{self, Four, OUT, POINTS, TAPS};
use crate::model::kernel::conv::geometry::Geometry;
use crate::model::kernel::conv::micro::{LEFT, RIGHT, product};
use crate::model::kernel::element::Element;
use crate::tiling::winograd::Winograd;

/// Tiles whose gradients are transformed at once: some filters of each fill the widest vectors.
const AT_ONCE: usize = 2;
/// Points whose sums are one task.
const SHARE: usize = POINTS / 4;

/// `[C', C · 9]`, summed over all tiles, for the input `[N, C, H, W]` and the gradient of the output.
pub fn weight_gradient<E: Element>(
    geometry: &Geometry,
    sizes: Winograd,
    input: &[E],
    d_output: &[E],
) -> Vec<f32> {
    let tiles = Tiles::<Four>::of(geometry);
    let (at_once, length) = (sizes.summed_filters(), sizes.summed_tiles());
    let right_panels = sizes.channels.div_ceil(RIGHT);
    let mut total = vec![0.0; sizes.filters * sizes.channels * TAPS];
    let mut rights = vec![[0.0; RIGHT]; right_panels * POINTS * length];
    let mut lefts = vec![[0.0; LEFT]; at_once.div_ceil(LEFT) * POINTS * length];
    let mut sums = vec![[[0.0; RIGHT]; LEFT]; right_panels * POINTS * at_once.div_ceil(LEFT)];
    for (number, total) in total.chunks_mut(at_once * sizes.channels * TAPS).enumerate() {
        let first = number * at_once;
        let left_panels = at_once.min(sizes.filters - first).div_ceil(LEFT);
        let lefts = &mut lefts[..left_panels * POINTS * length];
        let sums = &mut sums[..right_panels * POINTS * left_panels];
        for start in (0..sizes.tiles).step_by(length) {
            let count = length.min(sizes.tiles - start);
            let run = Run { tiles, start, count };
            rights.par_chunks_mut(POINTS * length).enumerate().for_each(|(panel, values)| {
                let channels = panel * RIGHT..sizes.channels.min((panel + 1) * RIGHT);
                Arch::new().dispatch(Inputs { run, input, channels, values });
            });
            lefts.par_chunks_mut(POINTS * length).enumerate().for_each(|(panel, values)| {
                let from = first + panel * LEFT;
                let filters = from..sizes.filters.min(from + LEFT);
                Arch::new().dispatch(Outputs { run, d_output, filters, values });
            });
            let (rights, lefts) = (&*rights, &*lefts);
            sums.par_chunks_mut(SHARE * left_panels).enumerate().for_each(|(task, sums)| {
                let (panel, points) = (task * SHARE / POINTS, task * SHARE % POINTS);
                let right = &rights[panel * POINTS * length..][..POINTS * length];
                let add = start > 0;
                Arch::new().dispatch(Sums { right, lefts, sums, points, length, count, add });
            });
        }
        let sums = &*sums;
        total.par_chunks_mut(sizes.channels * TAPS).enumerate().for_each(|(filter, total)| {
            let place = [filter, left_panels];
            Arch::new().dispatch(Kernel { sums, place, total });
        });
    }
    total
}

/// Tiles that are summed at once.
#[derive(Clone, Copy)]
struct Run {
    tiles: Tiles<Four>,
    start: usize,
    count: usize,
}

/// Transforms the input of a panel of channels: `[POINTS, tiles, RIGHT]`.
struct Inputs<'a, E> {
    run: Run,
    input: &'a [E],
    channels: std::ops::Range<usize>,
    values: &'a mut [[f32; RIGHT]],
}

impl<E: Element> WithSimd for Inputs<'_, E> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Run { tiles, start, count } = self.run;
        let length = self.values.len() / POINTS;
        let mut seen = [[0.0; RIGHT]; POINTS];
        let mut points = [[0.0; RIGHT]; POINTS];
        for number in 0..count {
            let tile = tiles.place(start + number);
            for (lane, channel) in self.channels.clone().enumerate() {
                tiles.read_input(self.input, channel, tile, lane, &mut seen);
            }
            transform::input::<Four, _, _>(simd, &seen, &mut points);
            for (point, line) in points.iter().enumerate() {
                self.values[point * length + number] = *line;
            }
        }
    }
}

/// Transforms the output's gradient of a panel of filters: `[POINTS, tiles, LEFT]`.
struct Outputs<'a, E> {
    run: Run,
    d_output: &'a [E],
    filters: std::ops::Range<usize>,
    values: &'a mut [[f32; LEFT]],
}

impl<E: Element> WithSimd for Outputs<'_, E> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Run { tiles, start, count } = self.run;
        let length = self.values.len() / POINTS;
        for first in (0..count).step_by(AT_ONCE) {
            let few = AT_ONCE.min(count - first);
            let mut seen = [[0.0; AT_ONCE * LEFT]; OUT * OUT];
            for next in 0..few {
                let tile = tiles.place(start + first + next);
                for (lane, filter) in self.filters.clone().enumerate() {
                    let lane = next * LEFT + lane;
                    tiles.read_output(self.d_output, filter, tile, lane, &mut seen);
                }
            }
            let mut points = [[0.0; AT_ONCE * LEFT]; POINTS];
            transform::output_gradient(simd, &seen, &mut points);
            for (point, line) in points.iter().enumerate() {
                let at = point * length + first;
                self.values[at..at + few].copy_from_slice(&line.as_chunks().0[..few]);
            }
        }
    }
}

/// Adds the products of a panel of channels with all panels of filters, at some points: `[points, filter panels]`.
struct Sums<'a> {
    right: &'a [[f32; RIGHT]],
    lefts: &'a [[f32; LEFT]],
    sums: &'a mut [[[f32; RIGHT]; LEFT]],
    points: usize,
    length: usize,
    count: usize,
    add: bool,
}

impl WithSimd for Sums<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { length, count, .. } = self;
        let panels = self.sums.len() / SHARE;
        for (point, sums) in self.sums.chunks_mut(panels).enumerate() {
            let point = self.points + point;
            let right = &self.right[point * length..][..count];
            for (panel, sums) in sums.iter_mut().enumerate() {
                let left = &self.lefts[(panel * POINTS + point) * length..][..count];
                product(simd, left, right, sums, self.add);
            }
        }
    }
}

/// The gradient of a filter's kernels from the sums at the points: `[C, 9]`.
struct Kernel<'a> {
    /// `[channel panels, POINTS, filter panels]`.
    sums: &'a [[[f32; RIGHT]; LEFT]],
    /// The filter's number among those of the sums, and their panels.
    place: [usize; 2],
    total: &'a mut [f32],
}

impl WithSimd for Kernel<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let [filter, panels] = self.place;
        let (panel, row) = (filter / LEFT, filter % LEFT);
        let mut points = [[0.0; RIGHT]; POINTS];
        let mut kernels = [[0.0; RIGHT]; TAPS];
        let (total, _) = self.total.as_chunks_mut::<TAPS>();
        let sums = self.sums.chunks(POINTS * panels);
        for (total, sums) in total.chunks_mut(RIGHT).zip(sums) {
            for (point, line) in points.iter_mut().enumerate() {
                *line = sums[point * panels + panel][row];
            }
            transform::kernel_gradient(simd, &points, &mut kernels);
            for (lane, total) in total.iter_mut().enumerate() {
                for (tap, value) in total.iter_mut().enumerate() {
                    *value = kernels[tap][lane];
                }
            }
        }
    }
}
