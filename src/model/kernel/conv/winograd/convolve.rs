//! A convolution, tile by tile. The gradient of an input is one as well, of the output's gradient.
//!
//! A value of the output is the same however the work is divided: its sum over the channels has one order.

use std::marker::PhantomData;
use std::sync::{Mutex, MutexGuard, PoisonError};

use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;
use rayon::{current_num_threads, current_thread_index};

use super::kernels::{Kernels, PANELS};
use super::tiles::Tiles;
use super::transform::{self, MOST_POINTS, MOST_VALUES, Scheme};
use crate::model::kernel::conv::geometry::Geometry;
use crate::model::kernel::conv::micro::{LEFT, RIGHT, product};
use crate::model::kernel::conv::shared::Shared;
use crate::model::kernel::element::Element;
use crate::tiling::winograd::{CHUNK, GROUP, PANEL, Winograd};

/// Products of a panel with a group of filters: `[T::POINTS, PANELS]`.
type Products = Vec<[[f32; RIGHT]; LEFT]>;

/// `[N, C', H', W']` of `[N, C, H, W]` and 3 × 3 kernels, at stride 1. `bias` has a value for each filter, or none.
pub fn convolve<T: Scheme, E: Element>(
    geometry: &Geometry,
    sizes: Winograd,
    input: &[E],
    kernels: Kernels,
    bias: &[f32],
) -> Vec<E> {
    assert_eq!(sizes.points(), T::POINTS, "products of a tile");
    let length = geometry.images * geometry.output[0] * geometry.output_plane();
    let mut output = Vec::with_capacity(length);
    let (tiles, output_of) = (Tiles::<T>::of(geometry), Shared::of(&mut output));
    let whole = Whole { sizes, tiles, input, bias, output: output_of };
    if sizes.by_tiles() {
        whole.by_tiles(kernels);
    } else {
        whole.by_filters(kernels);
    }
    // SAFETY: the tiles of all filters cover the output, and each was written.
    #[expect(unsafe_code, reason = "zeroing an activation first would cost a pass over it")]
    unsafe {
        output.set_len(length);
    }
    output
}

struct Whole<'a, T, E> {
    sizes: Winograd,
    tiles: Tiles<T>,
    input: &'a [E],
    bias: &'a [f32],
    output: Shared<E>,
}

impl<T: Scheme, E: Element> Whole<'_, T, E> {
    /// Transforms the kernels once; each thread then takes panels of tiles.
    fn by_tiles(&self, kernels: Kernels) {
        let (sizes, a_group) = (self.sizes, self.sizes.panel_values());
        let mut at_points = vec![0.0; sizes.groups() * a_group];
        at_points.par_chunks_mut(a_group).enumerate().for_each(|(group, values)| {
            Arch::new().dispatch(Group { scheme: PhantomData::<T>, kernels, group, values });
        });
        let buffers = Buffers::new(sizes.panels(), a_group, T::POINTS);
        (0..sizes.panels()).into_par_iter().for_each(|panel| {
            let (values, products) = &mut *buffers.take(panel);
            Arch::new().dispatch(Panel { whole: self, panel, values });
            for (group, kernels) in at_points.chunks(a_group).enumerate() {
                let place = [panel, group];
                Arch::new().dispatch(Pair { whole: self, place, kernels, values, products });
            }
        });
    }

    /// Transforms a block of tiles for all threads; each then takes groups of filters.
    fn by_filters(&self, kernels: Kernels) {
        let (sizes, a_panel) = (self.sizes, self.sizes.panel_values());
        let block = sizes.shared_panels();
        let mut shared = vec![0.0; block * a_panel];
        let buffers = Buffers::new(sizes.groups(), a_panel, T::POINTS);
        for first in (0..sizes.panels()).step_by(block) {
            let panels = block.min(sizes.panels() - first);
            let shared = &mut shared[..panels * a_panel];
            for (panel, values) in shared.chunks_mut(a_panel).enumerate() {
                let panel = first + panel;
                values.par_chunks_mut(T::POINTS * CHUNK * PANEL).enumerate().for_each(
                    |(chunk, values)| {
                        Arch::new().dispatch(Chunk { whole: self, panel, chunk, values });
                    },
                );
            }
            let shared = &*shared;
            (0..sizes.groups()).into_par_iter().for_each(|group| {
                let (at_points, products) = &mut *buffers.take(group);
                let values = &mut *at_points;
                Arch::new().dispatch(Group { scheme: PhantomData::<T>, kernels, group, values });
                for (panel, values) in shared.chunks(a_panel).enumerate() {
                    let (place, kernels) = ([first + panel, group], &*at_points);
                    Arch::new().dispatch(Pair { whole: self, place, kernels, values, products });
                }
            });
        }
    }
}

/// What a thread computes in. All are there from the beginning, so that the memory does not depend on how threads
/// share the tasks.
struct Buffers(Vec<Mutex<(Vec<f32>, Products)>>);

impl Buffers {
    /// For so many tasks, of which each thread computes one at a time.
    fn new(tasks: usize, values: usize, points: usize) -> Self {
        let products = || vec![[[0.0; RIGHT]; LEFT]; points * PANELS];
        let each = || Mutex::new((vec![0.0; values], products()));
        Self((0..current_num_threads().min(tasks)).map(|_| each()).collect())
    }

    /// Those of a task, or of the thread that computes it where there are more tasks than threads.
    fn take(&self, task: usize) -> MutexGuard<'_, (Vec<f32>, Products)> {
        let of_thread = || current_thread_index().unwrap_or_default() % self.0.len();
        let number = if self.0.len() < current_num_threads() { task } else { of_thread() };
        self.0[number].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Transforms the kernels of a group of filters.
struct Group<'a, T> {
    scheme: PhantomData<T>,
    kernels: Kernels<'a>,
    group: usize,
    values: &'a mut [f32],
}

impl<T: Scheme> WithSimd for Group<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        self.kernels.at_points::<T, S>(simd, self.group, self.values);
    }
}

/// Transforms the input of a panel: `[chunks, T::POINTS, channels of the chunk, PANEL]`.
struct Panel<'a, T, E> {
    whole: &'a Whole<'a, T, E>,
    panel: usize,
    values: &'a mut [f32],
}

impl<T: Scheme, E: Element> WithSimd for Panel<'_, T, E> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { whole, panel, values } = self;
        for (chunk, values) in values.chunks_mut(T::POINTS * CHUNK * PANEL).enumerate() {
            Chunk { whole, panel, chunk, values }.with_simd(simd);
        }
    }
}

/// The same for one chunk of channels.
struct Chunk<'a, T, E> {
    whole: &'a Whole<'a, T, E>,
    panel: usize,
    chunk: usize,
    values: &'a mut [f32],
}

impl<T: Scheme, E: Element> WithSimd for Chunk<'_, T, E> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Whole { sizes, tiles, input, .. } = self.whole;
        let numbers = self.panel * PANEL..sizes.tiles.min((self.panel + 1) * PANEL);
        let first = self.chunk * CHUNK;
        let count = CHUNK.min(sizes.channels - first);
        let (values, _) = self.values.as_chunks_mut::<PANEL>();
        let mut seen = [[0.0; PANEL]; MOST_POINTS];
        let mut points = [[0.0; PANEL]; MOST_POINTS];
        for channel in 0..count {
            for (lane, number) in numbers.clone().enumerate() {
                tiles.read_input(input, first + channel, tiles.place(number), lane, &mut seen);
            }
            transform::input::<T, _, _>(simd, &seen, &mut points);
            for (point, line) in points[..T::POINTS].iter().enumerate() {
                values[point * count + channel] = *line;
            }
        }
    }
}

/// Multiplies a panel with a group of filters, and writes the tiles.
struct Pair<'a, T, E> {
    whole: &'a Whole<'a, T, E>,
    /// Numbers of the panel and of the group.
    place: [usize; 2],
    kernels: &'a [f32],
    values: &'a [f32],
    products: &'a mut Products,
}

impl<T: Scheme, E: Element> WithSimd for Pair<'_, T, E> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Whole { sizes, tiles, output, bias, .. } = self.whole;
        let chunks = self.kernels.chunks(T::POINTS * GROUP * CHUNK);
        let chunks = chunks.zip(self.values.chunks(T::POINTS * PANEL * CHUNK));
        for (chunk, (kernels, values)) in chunks.enumerate() {
            let count = CHUNK.min(sizes.channels - chunk * CHUNK);
            let (kernels, values) = (kernels.as_chunks().0, values.as_chunks().0);
            for point in 0..T::POINTS {
                let right = &values[point * count..][..count];
                for panel in 0..PANELS {
                    let at = point * PANELS + panel;
                    let left = &kernels[at * count..][..count];
                    product(simd, left, right, &mut self.products[at], chunk > 0);
                }
            }
        }
        let [panel, group] = self.place;
        let numbers = panel * PANEL..sizes.tiles.min((panel + 1) * PANEL);
        let mut points = [[0.0; RIGHT]; MOST_POINTS];
        let mut values = [[0.0; RIGHT]; MOST_VALUES];
        for lane in 0..GROUP.min(sizes.filters - group * GROUP) {
            for (point, line) in points[..T::POINTS].iter_mut().enumerate() {
                *line = self.products[point * PANELS + lane / LEFT][lane % LEFT];
            }
            transform::output::<T, _, _>(simd, &points, &mut values);
            let filter = group * GROUP + lane;
            if let Some(bias) = bias.get(filter) {
                values.as_flattened_mut().iter_mut().for_each(|value| *value += bias);
            }
            for (lane, number) in numbers.clone().enumerate() {
                // SAFETY: each pair of a tile and a filter is computed once.
                #[expect(unsafe_code, reason = "tiles interleave in the output")]
                unsafe {
                    tiles.write_output(output, filter, tiles.place(number), lane, &values);
                }
            }
        }
    }
}
