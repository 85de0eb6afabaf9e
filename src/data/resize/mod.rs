//! Pillow's antialiased bilinear resize, in its own fixed-point arithmetic: equal to the byte.
//! (Pillow 13 takes the height first where it finds that cheaper; a value may then differ by 1.)
//!
//! Rows are taken as they are decoded, and only those columns are computed that are kept.

mod across;
mod down;
mod windows;

use std::ops::Range;

use super::codec::raster::PIXEL;
use across::Across;
use down::Lines;
use windows::Windows;

/// What to read of an image and what to make of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct View {
    /// Columns and rows of the image that are resized.
    pub columns: Range<usize>,
    /// Rows of the image, as `columns`.
    pub rows: Range<usize>,
    /// Width and height that they are resized to.
    pub size: (usize, usize),
    /// Part of the resized image that is kept.
    pub kept_columns: Range<usize>,
    /// Rows of the result, as `kept_columns`.
    pub kept_rows: Range<usize>,
}

/// Takes the rows of an image and gives a view of it.
pub struct Resizer {
    rows: Range<usize>,
    columns: Range<usize>,
    across: Across,
    down: Windows,
    /// Rows whose width is resized, those that the next line of the view needs.
    lines: Lines,
    /// Lines of the view that are done, `[lines, kept columns, PIXEL]`.
    output: Vec<u8>,
}

impl Resizer {
    /// Prepares the weights of a view.
    pub fn new(view: &View) -> Self {
        let (width, height) = view.size;
        let (columns, rows) = (&view.columns, &view.rows);
        let across = Windows::new(columns.start, columns.len(), width, view.kept_columns.clone());
        let down = Windows::new(rows.start, rows.len(), height, view.kept_rows.clone());
        let (columns, rows) = (across.inputs(), down.inputs());
        Self {
            lines: Lines::new(down.longest(), across.len() * PIXEL),
            output: Vec::with_capacity(down.len() * across.len() * PIXEL),
            across: Across::new(across),
            down,
            rows,
            columns,
        }
    }

    /// Columns that rows must have, and no others.
    pub fn columns(&self) -> Range<usize> {
        self.columns.clone()
    }

    /// Rows that must be pushed, in order.
    pub fn rows(&self) -> Range<usize> {
        self.rows.clone()
    }

    /// Takes a row, `[columns, PIXEL]`.
    pub fn push(&mut self, y: usize, row: &[u8]) {
        let length = self.across.len() * PIXEL;
        self.across.run(row, &mut self.lines.line(y)[..length]);
        while self.output.len() < self.down.len() * length {
            let (first, weights) = self.down.get(self.output.len() / length);
            if first + weights.len() > y + 1 {
                break;
            }
            let mean = self.lines.mean(first, weights);
            self.output.extend_from_slice(&mean[..length]);
        }
    }

    /// The view, `[kept rows, kept columns, PIXEL]`.
    pub fn finish(self) -> Vec<u8> {
        assert_eq!(self.output.len(), self.down.len() * self.across.len() * PIXEL, "all rows");
        self.output
    }
}

/// Resizes one 8-bit plane.
///
/// # Shapes
/// - `plane`: `[height, width]`
/// - output: `[to_height, to_width]`
pub fn resize_bilinear(
    plane: &[u8],
    (height, width): (usize, usize),
    (to_height, to_width): (usize, usize),
) -> Vec<u8> {
    assert_eq!(plane.len(), height * width, "a plane is height × width");
    let mut resizer = Resizer::new(&View {
        columns: 0..width,
        rows: 0..height,
        size: (to_width, to_height),
        kept_columns: 0..to_width,
        kept_rows: 0..to_height,
    });
    for y in resizer.rows() {
        let row = &plane[y * width..][resizer.columns()];
        let row: Vec<u8> = row.iter().flat_map(|value| [*value; PIXEL]).collect();
        resizer.push(y, &row);
    }
    resizer.finish().into_iter().step_by(PIXEL).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_same_size_is_the_same_image() {
        let plane: Vec<u8> = (0..12).collect();
        assert_eq!(resize_bilinear(&plane, (3, 4), (3, 4)), plane);
    }

    #[test]
    fn a_flat_image_stays_flat_at_every_size() {
        for size in [1, 2, 7, 31, 64] {
            let resized = resize_bilinear(&[77; 15 * 21], (15, 21), (size, size + 1));
            assert!(resized.iter().all(|value| *value == 77), "{size}");
        }
    }

    /// From `Image.resize(.., Image.BILINEAR)` of Pillow 13 on a 9 × 7 image of the bytes
    /// `(i · 37 + 11) % 256`.
    #[test]
    fn equals_pillow() {
        let plane: Vec<u8> = (0..63).map(|i| ((i * 37 + 11) % 256) as u8).collect();
        let smaller = [108, 144, 123, 105, 131, 123, 145, 137, 163, 145, 124, 126];
        assert_eq!(resize_bilinear(&plane, (7, 9), (3, 4)), smaller);
        let larger = resize_bilinear(&plane, (7, 9), (11, 13));
        let first_row = [11, 31, 57, 82, 108, 133, 159, 185, 210, 216, 65, 31, 51];
        let last_row = [138, 82, 217, 237, 203, 52, 58, 83, 109, 135, 160, 186, 211];
        assert_eq!(larger[..13], first_row);
        assert_eq!(larger[larger.len() - 15..larger.len() - 2], last_row);
        assert_eq!(larger[larger.len() - 2..], [119, 1]);
    }

    proptest! {
        /// A kept part is that part of the whole, and registers do not matter.
        #[test]
        fn a_part_is_a_part_of_the_whole(
            (width, height) in (1usize..40, 1usize..40),
            (to_width, to_height) in (1usize..40, 1usize..40),
            cut in (0.0..1.0, 0.0..1.0, 0.0..1.0, 0.0..1.0),
            seed in any::<u8>(),
        ) {
            let pixels: Vec<u8> =
                (0..width * height * PIXEL).map(|i| (i * 97 + i / 7 + seed as usize) as u8).collect();
            let part = |side: usize, a: f64, b: f64| {
                let start = ((side as f64 * a) as usize).min(side - 1);
                start..(start + 1 + ((side - start) as f64 * b) as usize).min(side)
            };
            let view = |kept_columns, kept_rows| View {
                columns: 0..width, rows: 0..height, size: (to_width, to_height), kept_columns, kept_rows,
            };
            let run = |view: &View, wide: bool| {
                let mut resizer = Resizer::new(view);
                if !wide {
                    resizer.across = resizer.across.plain();
                }
                let columns = resizer.columns();
                for y in resizer.rows() {
                    let row = &pixels[y * width * PIXEL..(y + 1) * width * PIXEL];
                    resizer.push(y, &row[columns.start * PIXEL..columns.end * PIXEL]);
                }
                resizer.finish()
            };
            let whole = run(&view(0..to_width, 0..to_height), false);
            let (columns, rows) = (part(to_width, cut.0, cut.1), part(to_height, cut.2, cut.3));
            let expected: Vec<u8> = rows
                .clone()
                .flat_map(|y| whole[(y * to_width + columns.start) * PIXEL..(y * to_width + columns.end) * PIXEL].to_vec())
                .collect();
            prop_assert_eq!(run(&view(columns, rows), true), expected);
        }
    }
}
