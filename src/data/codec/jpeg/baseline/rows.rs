//! Rows of pixels from the rows of an image's components.

use std::ops::Range;

use super::super::super::raster::PIXEL;
use super::colour::{self, Rows};
use super::header::{Component, Header};
use super::kernels::Kernels;
use super::plane::Plane;

/// Makes the pixels of some columns.
pub struct RowMaker {
    columns: Range<usize>,
    /// Columns of chroma that they lie in, and all that there are.
    samples: Range<usize>,
    width: usize,
    /// The last row of chroma.
    last: usize,
    /// Columns and rows of pixels to one of chroma.
    across: usize,
    down: usize,
    sums: Vec<u16>,
    chroma: [Vec<[u8; 2]>; 2],
    line: Vec<u8>,
}

impl RowMaker {
    /// For an image.
    pub fn new(header: &Header, columns: Range<usize>) -> Self {
        let Component { across, down, .. } = header.components[0];
        let samples = columns.start / across..columns.end.div_ceil(across);
        Self {
            sums: vec![0; samples.len() + 2],
            chroma: [vec![[0; 2]; samples.len()], vec![[0; 2]; samples.len()]],
            line: vec![0; columns.len() * PIXEL],
            width: header.width.div_ceil(across),
            last: header.height.div_ceil(down) - 1,
            columns,
            samples,
            across,
            down,
        }
    }

    /// A row of pixels, `[columns, PIXEL]`.
    #[inline(always)]
    pub fn make<K: Kernels>(&mut self, planes: &[Plane], y: usize) -> &[u8] {
        let luma = planes[0].row(y, self.columns.clone());
        let [_, blue, red] = planes else {
            colour::grey(luma, &mut self.line);
            return &self.line;
        };
        if self.across == 1 {
            let [blue, red] = [blue, red].map(|it| it.row(y, self.columns.clone()));
            K::pixels(luma, blue, red, &mut self.line);
        } else {
            self.upsample::<K>(0, blue, y);
            self.upsample::<K>(1, red, y);
            let start = self.columns.start - self.across * self.samples.start;
            let [blue, red] = self.chroma.each_ref().map(|it| &it.as_flattened()[start..]);
            let count = luma.len();
            K::pixels(luma, &blue[..count], &red[..count], &mut self.line);
        }
        &self.line
    }

    /// A row of chroma, twice as wide.
    #[inline(always)]
    fn upsample<K: Kernels>(&mut self, which: usize, plane: &Plane, y: usize) {
        let Range { start, end } = self.samples;
        // A neighbour at either end; at the image's edge the sample itself.
        let lead = usize::from(start > 0);
        let trail = usize::from(end < self.width);
        let row = |row: usize| plane.row(row.min(self.last), start - lead..end + trail);
        let near = y / self.down;
        let far = if y.is_multiple_of(2) { near.saturating_sub(1) } else { near + 1 };
        let rows = Rows { near: row(near), far: (self.down == 2).then(|| row(far)) };
        colour::down(rows, &mut self.sums[1 - lead..]);
        let count = end - start;
        if lead == 0 {
            self.sums[0] = self.sums[1];
        }
        if trail == 0 {
            self.sums[count + 1] = self.sums[count];
        }
        K::across(&self.sums, self.down == 2, &mut self.chroma[which]);
    }
}
