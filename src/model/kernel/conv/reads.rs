//! What pixels of an output read of an input.

use std::ops::Range;

use super::geometry::Geometry;
use crate::model::kernel::element::Element;

/// The place of what lies around an image: beyond every input.
const OUTSIDE: u32 = u32::MAX;

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

/// Where some pixels read the first channel that is there, under each position of the kernel.
#[derive(Default)]
pub struct Reads {
    /// `[positions, pixels]`.
    places: Vec<u32>,
    pixels: usize,
    /// Pixels of a plane of the input.
    plane: usize,
    positions: usize,
}

impl Reads {
    /// The places of `pixels`; of `room` pixels those that are not there read zeros.
    pub fn set<T>(
        &mut self,
        geometry: &Geometry,
        view: View<T>,
        pixels: Range<usize>,
        room: usize,
    ) {
        let Geometry { input: [_, height, width], kernel, stride, .. } = *geometry;
        assert!(view.values.len() <= OUTSIDE as usize, "{} values", view.values.len());
        (self.pixels, self.plane, self.positions) = (room, height * width, kernel * kernel);
        self.places.clear();
        self.places.resize(self.positions * room, OUTSIDE);
        let mut from = 0;
        for row in geometry.rows(pixels) {
            let image = (row.image - view.first[0]) * view.channels * self.plane;
            for (position, places) in self.places.chunks_exact_mut(room).enumerate() {
                let (ky, kx) = (position / kernel, position % kernel);
                let Some(seen) = geometry.seen(&row, ky, kx) else { continue };
                let first = image + seen.y * width + seen.x;
                let places = &mut places[from + seen.skip..][..seen.length];
                for (number, place) in places.iter_mut().enumerate() {
                    *place = (first + number * stride) as u32;
                }
            }
            from += row.length;
        }
    }

    /// Hands over what each pixel reads of some values under the kernel, one value of all pixels after the other:
    /// `put(value, pixel, x)`.
    #[inline(always)]
    pub fn each<T: Element>(
        &self,
        view: View<T>,
        under_kernel: Range<usize>,
        mut put: impl FnMut(usize, usize, f32),
    ) {
        for (number, value) in under_kernel.enumerate() {
            let values = self.channel(view.first[1], value);
            let values = &view.values[values..];
            for (pixel, place) in self.places(value).iter().enumerate() {
                put(number, pixel, values.get(*place as usize).map_or(0.0, |x| x.to_f32()));
            }
        }
    }

    /// Adds to what each pixel reads under the kernel: the transpose of [`Self::each`], for one of its values.
    ///
    /// `image` is `[C, H, W]`.
    #[inline(always)]
    pub fn add(&self, under_kernel: usize, sums: &[f32], image: &mut [f32]) {
        let image = &mut image[self.channel(0, under_kernel)..];
        for (place, sum) in self.places(under_kernel).iter().zip(sums) {
            if let Some(x) = image.get_mut(*place as usize) {
                *x += sum;
            }
        }
    }

    /// Where the channel of a value under the kernel begins.
    #[inline(always)]
    fn channel(&self, first: usize, under_kernel: usize) -> usize {
        (under_kernel / self.positions - first) * self.plane
    }

    #[inline(always)]
    fn places(&self, under_kernel: usize) -> &[u32] {
        let position = under_kernel % self.positions;
        &self.places[position * self.pixels..(position + 1) * self.pixels]
    }
}
