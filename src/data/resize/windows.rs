//! Which inputs an output is the mean of.

use std::ops::Range;

/// Fraction bits of a weight: 32 less 8 of a pixel and 2 of headroom.
pub const PRECISION: u32 = 32 - 8 - 2;
/// Added before the fraction is cut off.
pub const HALF: i32 = 1 << (PRECISION - 1);

/// The inputs that one output is the mean of.
pub struct Window {
    /// The first of them.
    pub first: usize,
    weights: Range<usize>,
}

/// Windows of a range of outputs along one side.
pub struct Windows {
    windows: Vec<Window>,
    /// In fixed point, window after window.
    weights: Vec<i32>,
}

impl Windows {
    /// Of the outputs `outputs` when `from` inputs that start at `offset` become `to`.
    pub fn new(offset: usize, from: usize, to: usize, outputs: Range<usize>) -> Self {
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
    pub fn inputs(&self) -> Range<usize> {
        let first = self.windows.first().map_or(0, |window| window.first);
        let end = self.windows.last().map_or(0, |window| window.first + window.weights.len());
        first..end
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.windows.len()
    }

    /// The first input of each, and its weights.
    pub fn iter(&self) -> impl Iterator<Item = (usize, &[i32])> {
        (0..self.len()).map(|at| self.get(at))
    }

    /// The first input of one, and its weights.
    pub fn get(&self, at: usize) -> (usize, &[i32]) {
        let Window { first, weights } = &self.windows[at];
        (*first, &self.weights[weights.clone()])
    }

    /// Inputs of the longest.
    pub fn longest(&self) -> usize {
        self.iter().map(|(_, weights)| weights.len()).max().unwrap_or(0)
    }
}
