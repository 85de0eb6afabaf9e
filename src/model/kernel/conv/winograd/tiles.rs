//! Where tiles lie, and what is read and written there.

use std::marker::PhantomData;

use super::transform::{MOST_POINTS, MOST_VALUES, Scheme};
use crate::model::kernel::conv::geometry::Geometry;
use crate::model::kernel::conv::shared::Shared;
use crate::model::kernel::element::Element;

/// The tiles of a convolution's output, image by image and row by row.
#[derive(Clone, Copy)]
pub struct Tiles<T> {
    scheme: PhantomData<T>,
    across: usize,
    an_image: usize,
    padding: isize,
    /// `[C, H, W]` of an input image.
    input: [usize; 3],
    /// `[C', H', W']` of an output image.
    output: [usize; 3],
}

/// A tile: its image, and its first row and column.
#[derive(Clone, Copy)]
pub struct Tile {
    image: usize,
    y: usize,
    x: usize,
}

impl<T: Scheme> Tiles<T> {
    pub fn of(geometry: &Geometry) -> Self {
        let [_, height, width] = geometry.output;
        let across = width.div_ceil(T::OUT);
        Self {
            scheme: PhantomData,
            across,
            an_image: across * height.div_ceil(T::OUT),
            padding: geometry.padding as isize,
            input: geometry.input,
            output: geometry.output,
        }
    }

    #[inline(always)]
    pub fn place(&self, number: usize) -> Tile {
        let (image, inside) = (number / self.an_image, number % self.an_image);
        Tile { image, y: inside / self.across * T::OUT, x: inside % self.across * T::OUT }
    }

    /// Reads the input of a channel under a tile; zeros lie around an image.
    #[inline(always)]
    pub fn read_input<E: Element, const L: usize>(
        &self,
        input: &[E],
        channel: usize,
        tile: Tile,
        lane: usize,
        values: &mut [[f32; L]; MOST_POINTS],
    ) {
        let [channels, height, width] = self.input;
        let plane = &input[(tile.image * channels + channel) * height * width..][..height * width];
        let (top, left) = (tile.y as isize - self.padding, tile.x as isize - self.padding);
        let inside = top >= 0
            && left >= 0
            && top as usize + T::IN <= height
            && left as usize + T::IN <= width;
        if inside {
            for y in 0..T::IN {
                let line = &plane[(top as usize + y) * width + left as usize..][..T::IN];
                for x in 0..T::IN {
                    values[y * T::IN + x][lane] = line[x].to_f32();
                }
            }
            return;
        }
        for y in 0..T::IN {
            let row = top + y as isize;
            for x in 0..T::IN {
                let column = left + x as isize;
                let seen =
                    (0..height as isize).contains(&row) && (0..width as isize).contains(&column);
                values[y * T::IN + x][lane] =
                    if seen { plane[row as usize * width + column as usize].to_f32() } else { 0.0 };
            }
        }
    }

    /// Reads the output, or its gradient, of a filter in a tile; zeros where the tile ends beyond the image.
    #[inline(always)]
    pub fn read_output<E: Element, const L: usize>(
        &self,
        output: &[E],
        filter: usize,
        tile: Tile,
        lane: usize,
        values: &mut [[f32; L]; MOST_VALUES],
    ) {
        let [filters, height, width] = self.output;
        let plane = &output[(tile.image * filters + filter) * height * width..][..height * width];
        for y in 0..T::OUT {
            for x in 0..T::OUT {
                let (row, column) = (tile.y + y, tile.x + x);
                let seen = row < height && column < width;
                values[y * T::OUT + x][lane] =
                    if seen { plane[row * width + column].to_f32() } else { 0.0 };
            }
        }
    }

    /// Writes a tile of the output of a filter.
    ///
    /// # Safety
    /// No other thread may write this filter's values in this tile.
    #[expect(unsafe_code, reason = "tiles interleave in the output")]
    #[inline(always)]
    pub unsafe fn write_output<E: Element, const L: usize>(
        &self,
        output: &Shared<E>,
        filter: usize,
        tile: Tile,
        lane: usize,
        values: &[[f32; L]; MOST_VALUES],
    ) {
        let [filters, height, width] = self.output;
        let plane = (tile.image * filters + filter) * height * width;
        let across = T::OUT.min(width - tile.x);
        for y in 0..T::OUT.min(height - tile.y) {
            let at = plane + (tile.y + y) * width + tile.x;
            // SAFETY: tiles are disjoint, and the caller writes each once.
            let line = unsafe { output.part(at..at + across) };
            for (x, room) in line.iter_mut().enumerate() {
                room.write(E::from_f32(values[y * T::OUT + x][lane]));
            }
        }
    }
}
