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
        let mut weights = Vec::with_capacity(outputs.len() * (2 * stretch.ceil() as usize + 1));
        let mut raw = Vec::new();
        let windows = outputs
            .map(|output| {
                let centre = (output as f64 + 0.5) * scale;
                let first = ((centre - stretch + 0.5) as i64).max(0) as usize;
                let end = ((centre + stretch + 0.5) as i64).min(from as i64) as usize;
                let start = weights.len();
                raw.clear();
                raw.extend((first..end).map(|input| {
                    let distance = (input as f64 - centre + 0.5) / stretch;
                    (1.0 - distance.abs()).max(0.0)
                }));
                let sum: f64 = raw.iter().sum();
                let fixed = |weight: &f64| (0.5 + weight / sum * f64::from(1 << PRECISION)) as i32;
                weights.extend(raw.iter().map(fixed));
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
    #[cfg(target_arch = "x86_64")]
    wide: Option<wide::Across>,
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
        Self {
            #[cfg(target_arch = "x86_64")]
            wide: std::arch::is_x86_feature_detected!("avx2")
                .then(|| wide::Across::new(&across, columns.start, columns.len()))
                .flatten(),
            across,
            down,
            rows,
            columns,
            narrow,
        }
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
        #[cfg(target_arch = "x86_64")]
        if let Some(wide) = &self.wide {
            // SAFETY: the processor has what the function is compiled for.
            return unsafe { wide.run(row, output) };
        }
        across(&self.across, self.columns.start, row, output);
    }

    /// The view, `[kept rows, kept columns, PIXEL]`.
    pub fn finish(self) -> Vec<u8> {
        let stride = self.across.windows.len() * PIXEL;
        let mut output = vec![0; self.down.windows.len() * stride];
        #[cfg(target_arch = "x86_64")]
        if self.wide.is_some() {
            // SAFETY: the processor has what the function is compiled for.
            unsafe {
                wide::down(&self.down, self.rows.start, &self.narrow, stride, &mut output);
            }
            return output;
        }
        down(&self.down, self.rows.start, &self.narrow, stride, &mut output);
        output
    }
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

    /// Inputs taken at once.
    const TAPS: usize = 2;

    /// Windows along a row, in the order that registers want.
    pub struct Across {
        /// First input of each window.
        firsts: Vec<usize>,
        /// Groups of each, all the same: a processor foresees the end of loops that are equally long.
        groups: usize,
        /// Of each group, a weight for each colour.
        weights: Vec<[i32; TAPS * PIXEL]>,
    }

    impl Across {
        /// For rows of `width` pixels that start at column `start`; `None` where those are too short
        /// to be read in groups.
        pub fn new(windows: &Windows, start: usize, width: usize) -> Option<Self> {
            let longest = windows.windows.iter().map(|it| it.weights.len()).max()?;
            let groups = longest.div_ceil(TAPS);
            let latest = width.checked_sub(groups * TAPS)?;
            let mut across = Self { firsts: Vec::new(), groups, weights: Vec::new() };
            for window in &windows.windows {
                let weights = &windows.weights[window.weights.clone()];
                // A window at the end starts earlier, with weights of 0.
                let first = (window.first - start).min(latest);
                let lead = window.first - start - first;
                let weight = |at: usize| {
                    at.checked_sub(lead).and_then(|at| weights.get(at)).copied().unwrap_or(0)
                };
                across.firsts.push(first);
                across.weights.extend(
                    (0..groups).map(|group| {
                        std::array::from_fn(|lane| weight(group * TAPS + lane / PIXEL))
                    }),
                );
            }
            Some(across)
        }

        /// Resizes the width of a row.
        #[target_feature(enable = "avx2")]
        pub fn run(&self, row: &[u8], output: &mut [u8]) {
            // Up to a fifth in size, which is what photographs mostly need, without a loop.
            match self.groups {
                1 => self.run_of(1, row, output),
                2 => self.run_of(2, row, output),
                3 => self.run_of(3, row, output),
                4 => self.run_of(4, row, output),
                5 => self.run_of(5, row, output),
                6 => self.run_of(6, row, output),
                groups => self.run_of(groups, row, output),
            }
        }

        #[inline(always)]
        fn run_of(&self, groups: usize, row: &[u8], output: &mut [u8]) {
            let windows = self.firsts.iter().zip(self.weights.chunks_exact(groups));
            for ((first, weights), pixel) in windows.zip(output.chunks_exact_mut(PIXEL)) {
                let inputs = &row[first * PIXEL..(first + groups * TAPS) * PIXEL];
                // SAFETY: who runs it has AVX2; eight bytes are there for each eight weights.
                let bytes = unsafe {
                    let mut sum = _mm256_setr_epi32(HALF, HALF, HALF, HALF, 0, 0, 0, 0);
                    for (input, weights) in inputs.chunks_exact(TAPS * PIXEL).zip(weights) {
                        let values = _mm256_cvtepu8_epi32(_mm_loadl_epi64(input.as_ptr().cast()));
                        let weights = _mm256_loadu_si256(weights.as_ptr().cast());
                        sum = _mm256_add_epi32(sum, _mm256_mullo_epi32(values, weights));
                    }
                    let (low, high) =
                        (_mm256_castsi256_si128(sum), _mm256_extracti128_si256::<1>(sum));
                    let sum = _mm_srai_epi32::<{ PRECISION as i32 }>(_mm_add_epi32(low, high));
                    let bytes = _mm_packus_epi16(_mm_packs_epi32(sum, sum), _mm_setzero_si128());
                    _mm_cvtsi128_si32(bytes)
                };
                pixel.copy_from_slice(&bytes.to_le_bytes());
            }
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
                #[cfg(target_arch = "x86_64")]
                if !wide {
                    resizer.wide = None;
                }
                let _ = wide;
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
