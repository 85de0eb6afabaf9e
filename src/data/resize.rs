//! Pillow's antialiased bilinear resize, in its own fixed-point arithmetic: equal to the byte.
//! (Pillow 13 takes the height first where it finds that cheaper; a value may then differ by 1.)
//!
//! Rows are taken as they are decoded, and only those columns are computed that are kept.

use std::ops::Range;

use super::codec::raster::PIXEL;

/// Fraction bits of a weight: 32 less 8 of a pixel and 2 of headroom.
const PRECISION: u32 = 32 - 8 - 2;
/// Added before the fraction is cut off.
const HALF: i32 = 1 << (PRECISION - 1);

/// The inputs that one output is the mean of.
struct Window {
    first: usize,
    /// Fixed-point weights of them, in `weights`.
    weights: Range<usize>,
}

/// Windows of a range of outputs along one side.
struct Windows {
    windows: Vec<Window>,
    weights: Vec<i32>,
}

impl Windows {
    /// Of the outputs `outputs` when `from` inputs that start at `offset` become `to`.
    fn new(offset: usize, from: usize, to: usize, outputs: Range<usize>) -> Self {
        let scale = from as f64 / to as f64;
        // Antialiasing: the triangle is as wide as an output pixel when that is larger than an
        // input's.
        let stretch = scale.max(1.0);
        let mut weights = Vec::new();
        let windows = outputs
            .map(|output| {
                let centre = (output as f64 + 0.5) * scale;
                let first = ((centre - stretch + 0.5) as i64).max(0) as usize;
                let end = ((centre + stretch + 0.5) as i64).min(from as i64) as usize;
                let start = weights.len();
                let raw: Vec<f64> = (first..end)
                    .map(|input| {
                        let distance = (input as f64 - centre + 0.5) / stretch;
                        (1.0 - distance.abs()).max(0.0)
                    })
                    .collect();
                let sum: f64 = raw.iter().sum();
                let fixed = |weight: f64| (0.5 + weight / sum * f64::from(1 << PRECISION)) as i32;
                weights.extend(raw.into_iter().map(fixed));
                Window { first: offset + first, weights: start..weights.len() }
            })
            .collect();
        Self { windows, weights }
    }

    /// The inputs that are read.
    fn inputs(&self) -> Range<usize> {
        let first = self.windows.first().map_or(0, |window| window.first);
        let end = self.windows.last().map_or(0, |window| window.first + window.weights.len());
        first..end
    }
}

/// What to read of an image and what to make of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct View {
    /// Columns and rows of the image that are resized.
    pub columns: Range<usize>,
    /// See `columns`.
    pub rows: Range<usize>,
    /// Width and height that they are resized to.
    pub size: (usize, usize),
    /// Part of the resized image that is kept.
    pub kept_columns: Range<usize>,
    /// See `kept_columns`.
    pub kept_rows: Range<usize>,
}

/// Takes the rows of an image and gives a view of it.
pub struct Resizer {
    across: Windows,
    down: Windows,
    rows: Range<usize>,
    columns: Range<usize>,
    /// Rows whose width is resized, `[rows, kept columns, PIXEL]`.
    narrow: Vec<u8>,
    wide: bool,
}

impl Resizer {
    /// For a view.
    pub fn new(view: &View) -> Self {
        let (width, height) = view.size;
        let (columns, rows) = (&view.columns, &view.rows);
        let across = Windows::new(columns.start, columns.len(), width, view.kept_columns.clone());
        let down = Windows::new(rows.start, rows.len(), height, view.kept_rows.clone());
        let (columns, rows) = (across.inputs(), down.inputs());
        let narrow = vec![0; rows.len() * across.windows.len() * PIXEL];
        Self { across, down, rows, columns, narrow, wide: has_wide_registers() }
    }

    /// Columns that rows must have, and no others.
    pub fn columns(&self) -> Range<usize> {
        self.columns.clone()
    }

    /// Rows that must be pushed.
    pub fn rows(&self) -> Range<usize> {
        self.rows.clone()
    }

    /// Takes a row, `[columns, PIXEL]`.
    pub fn push(&mut self, y: usize, row: &[u8]) {
        let stride = self.across.windows.len() * PIXEL;
        let at = (y - self.rows.start) * stride;
        let output = &mut self.narrow[at..at + stride];
        if self.wide {
            // SAFETY: the processor has what the function is compiled for.
            #[cfg(target_arch = "x86_64")]
            return unsafe { wide::across(&self.across, self.columns.start, row, output) };
        }
        across(&self.across, self.columns.start, row, output);
    }

    /// The view, `[kept rows, kept columns, PIXEL]`.
    pub fn finish(self) -> Vec<u8> {
        let stride = self.across.windows.len() * PIXEL;
        let mut output = vec![0; self.down.windows.len() * stride];
        if self.wide {
            // SAFETY: the processor has what the function is compiled for.
            #[cfg(target_arch = "x86_64")]
            unsafe {
                wide::down(&self.down, self.rows.start, &self.narrow, stride, &mut output);
            }
            return output;
        }
        down(&self.down, self.rows.start, &self.narrow, stride, &mut output);
        output
    }
}

fn has_wide_registers() -> bool {
    #[cfg(target_arch = "x86_64")]
    return std::arch::is_x86_feature_detected!("avx2");
    #[cfg(not(target_arch = "x86_64"))]
    false
}

/// Resizes the width of a row; `start` is the column of its first pixel.
fn across(windows: &Windows, start: usize, row: &[u8], output: &mut [u8]) {
    for (window, pixel) in windows.windows.iter().zip(output.chunks_exact_mut(PIXEL)) {
        let weights = &windows.weights[window.weights.clone()];
        let inputs = row[(window.first - start) * PIXEL..].chunks_exact(PIXEL);
        let mut sums = [HALF; PIXEL];
        for (weight, input) in weights.iter().zip(inputs) {
            for (sum, value) in sums.iter_mut().zip(input) {
                *sum += weight * i32::from(*value);
            }
        }
        for (value, sum) in pixel.iter_mut().zip(sums) {
            *value = (sum >> PRECISION).clamp(0, 255) as u8;
        }
    }
}

/// Resizes the height; `start` is the row of the first line of `lines`.
#[inline(always)]
fn down(windows: &Windows, start: usize, lines: &[u8], stride: usize, output: &mut [u8]) {
    let mut sums = vec![HALF; stride];
    for (window, line) in windows.windows.iter().zip(output.chunks_exact_mut(stride)) {
        sums.fill(HALF);
        let weights = &windows.weights[window.weights.clone()];
        let inputs = lines[(window.first - start) * stride..].chunks_exact(stride);
        for (weight, input) in weights.iter().zip(inputs) {
            for (sum, value) in sums.iter_mut().zip(input) {
                *sum += weight * i32::from(*value);
            }
        }
        for (value, sum) in line.iter_mut().zip(&sums) {
            *value = (sum >> PRECISION).clamp(0, 255) as u8;
        }
    }
}

/// The same in 256-bit registers.
#[cfg(target_arch = "x86_64")]
mod wide {
    use std::arch::x86_64::*;

    use super::{HALF, PIXEL, PRECISION, Windows};

    #[target_feature(enable = "avx2")]
    pub unsafe fn across(windows: &Windows, start: usize, row: &[u8], output: &mut [u8]) {
        for (window, pixel) in windows.windows.iter().zip(output.chunks_exact_mut(PIXEL)) {
            let weights = &windows.weights[window.weights.clone()];
            let inputs = &row[(window.first - start) * PIXEL..][..weights.len() * PIXEL];
            let mut pairs = _mm256_setzero_si256();
            let mut at = 0;
            while at + 2 <= weights.len() {
                // SAFETY: two pixels and two weights are there.
                unsafe {
                    let two = _mm_loadl_epi64(inputs.as_ptr().add(at * PIXEL).cast());
                    let values = _mm256_cvtepu8_epi32(two);
                    let weight = _mm_loadl_epi64(weights.as_ptr().add(at).cast());
                    let weight = _mm256_permutevar8x32_epi32(
                        _mm256_castsi128_si256(weight),
                        _mm256_setr_epi32(0, 0, 0, 0, 1, 1, 1, 1),
                    );
                    pairs = _mm256_add_epi32(pairs, _mm256_mullo_epi32(values, weight));
                }
                at += 2;
            }
            let mut sum =
                _mm_add_epi32(_mm256_castsi256_si128(pairs), _mm256_extracti128_si256::<1>(pairs));
            if at < weights.len() {
                // SAFETY: one pixel is there.
                let one = unsafe { inputs.as_ptr().add(at * PIXEL).cast::<i32>().read_unaligned() };
                let values = _mm_cvtepu8_epi32(_mm_cvtsi32_si128(one));
                sum = _mm_add_epi32(sum, _mm_mullo_epi32(values, _mm_set1_epi32(weights[at])));
            }
            let sum = _mm_add_epi32(sum, _mm_set1_epi32(HALF));
            let sum = _mm_srai_epi32::<{ PRECISION as i32 }>(sum);
            let bytes = _mm_packus_epi16(_mm_packs_epi32(sum, sum), _mm_setzero_si128());
            pixel.copy_from_slice(&_mm_cvtsi128_si32(bytes).to_le_bytes());
        }
    }

    #[target_feature(enable = "avx2")]
    pub unsafe fn down(
        windows: &Windows,
        start: usize,
        lines: &[u8],
        stride: usize,
        output: &mut [u8],
    ) {
        super::down(windows, start, lines, stride, output);
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
                resizer.wide &= wide;
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
