//! Invented characters: strokes on a square, drawn by hands that are never quite the same.

use std::f32::consts::TAU;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Height and width of a drawing, pixels.
pub const SIDE: usize = 64;

/// Straight pieces that a stroke is drawn with.
const PIECES: usize = 14;

type Point = [f32; 2];

/// A style that its characters share.
pub struct Alphabet {
    seed: u64,
    index: u64,
    /// Fewest and most strokes of a character.
    strokes: (usize, usize),
    /// How far a stroke bows from the straight line, as a share of its length.
    bow: f32,
    /// Places on a side that strokes start and end at: a coarse grid looks carved, a fine one
    /// written.
    grid: usize,
    /// Share of strokes that start where the last one ended.
    joined: f32,
    /// Width of the pen, share of the square.
    pen: f32,
    /// Horizontal shear.
    slant: f32,
    /// Share of characters that are mirrored halves.
    mirrored: f32,
    /// Share of characters with a dot.
    dotted: f32,
}

/// One character: its strokes, each a curve through three points.
pub struct Glyph {
    seed: u64,
    strokes: Vec<[Point; 3]>,
    pen: f32,
    slant: f32,
}

impl Alphabet {
    /// The alphabet with this number.
    pub fn invent(seed: u64, index: u64) -> Self {
        let mut rng = rng(seed, &[index]);
        let fewest = rng.random_range(2..=3);
        Self {
            seed,
            index,
            strokes: (fewest, fewest + rng.random_range(1..=2)),
            bow: rng.random_range(0.0..0.5),
            grid: rng.random_range(3..=6),
            joined: rng.random_range(0.2..0.9),
            pen: rng.random_range(0.035..0.065),
            slant: rng.random_range(-0.25..0.25),
            mirrored: rng.random_range(0.0..0.35),
            dotted: rng.random_range(0.0..0.3),
        }
    }

    /// The character with this number.
    pub fn character(&self, number: u64) -> Glyph {
        let mut rng = rng(self.seed, &[self.index, number + 1]);
        let count = rng.random_range(self.strokes.0..=self.strokes.1);
        let mut strokes: Vec<[Point; 3]> = Vec::new();
        let mut end = self.place(&mut rng);
        for _ in 0..count {
            let start = if rng.random::<f32>() < self.joined { end } else { self.place(&mut rng) };
            end = self.far_from(start, &mut rng);
            let bow = self.bow * rng.random_range(-1.0..1.0f32);
            let middle = [
                (start[0] + end[0]) / 2.0 - (end[1] - start[1]) * bow,
                (start[1] + end[1]) / 2.0 + (end[0] - start[0]) * bow,
            ];
            strokes.push([start, middle, end]);
        }
        if rng.random::<f32>() < self.mirrored {
            let mirror = |point: Point| [1.0 - point[0], point[1]];
            let mirrored: Vec<_> = strokes.iter().map(|stroke| stroke.map(mirror)).collect();
            strokes.extend(mirrored);
        }
        if rng.random::<f32>() < self.dotted {
            let at = self.place(&mut rng);
            strokes.push([at, at, [at[0] + 0.01, at[1]]]);
        }
        let seed = rng.random();
        Glyph { seed, strokes, pen: self.pen, slant: self.slant }
    }

    fn place(&self, rng: &mut ChaCha8Rng) -> Point {
        let step = 0.6 / (self.grid - 1) as f32;
        [(); 2].map(|()| 0.2 + step * rng.random_range(0..self.grid) as f32)
    }

    fn far_from(&self, start: Point, rng: &mut ChaCha8Rng) -> Point {
        loop {
            let end = self.place(rng);
            if distance(start, end) > 0.25 {
                return end;
            }
        }
    }
}

impl Glyph {
    /// The character by the hand with this number, dark ink on light paper.
    ///
    /// # Shapes
    /// - output: `[SIDE, SIDE]`
    pub fn draw(&self, hand: u64) -> Vec<u8> {
        let mut rng = rng(self.seed, &[hand]);
        let turn = 0.16 * normal(&mut rng);
        let size = 1.0 + 0.09 * normal(&mut rng);
        let stretch = 1.0 + 0.08 * normal(&mut rng);
        let slant = self.slant + 0.1 * normal(&mut rng);
        let shift = [(); 2].map(|()| 0.04 * normal(&mut rng));
        let pen = self.pen * rng.random_range(0.8..1.25);
        let (sin, cos) = turn.sin_cos();
        let mut strokes = Vec::with_capacity(self.strokes.len());
        for stroke in &self.strokes {
            strokes.push(stroke.map(|[x, y]| {
                let x = x + 0.022 * normal(&mut rng) - 0.5;
                let y = y + 0.022 * normal(&mut rng) - 0.5;
                let (x, y) = ((x + slant * y) * size * stretch, y * size / stretch);
                [0.5 + cos * x - sin * y + shift[0], 0.5 + sin * x + cos * y + shift[1]]
            }));
        }
        let mut nearest = vec![f32::INFINITY; SIDE * SIDE];
        for (a, b) in strokes.iter().flat_map(pieces) {
            approach(&mut nearest, a, b, pen);
        }
        nearest.into_iter().map(|squared| ink(squared, pen)).collect()
    }
}

/// Lowers the squared distance of each pixel that the pen may reach from a segment.
fn approach(nearest: &mut [f32], a: Point, b: Point, pen: f32) {
    let side = SIDE as f32;
    let reach = pen / 2.0 + 1.0 / side;
    let pixels = |axis: usize| {
        let from = (a[axis].min(b[axis]) - reach) * side;
        let to = (a[axis].max(b[axis]) + reach) * side;
        from.clamp(0.0, side) as usize..to.ceil().clamp(0.0, side) as usize
    };
    for row in pixels(1) {
        for column in pixels(0) {
            let at = [(column as f32 + 0.5) / side, (row as f32 + 0.5) / side];
            let pixel = &mut nearest[row * SIDE + column];
            *pixel = pixel.min(to_segment(at, a, b));
        }
    }
}

/// How light a pixel is: the pen leaves ink up to half its width, softened over one pixel.
fn ink(squared_distance: f32, pen: f32) -> u8 {
    let cover = ((pen / 2.0 - squared_distance.sqrt()) * SIDE as f32 + 0.5).clamp(0.0, 1.0);
    255 - (cover * 255.0).round() as u8
}

/// A stroke as straight pieces: a quadratic curve whose middle lies on it.
fn pieces([start, middle, end]: &[Point; 3]) -> Vec<(Point, Point)> {
    let control = |axis: usize| 2.0 * middle[axis] - (start[axis] + end[axis]) / 2.0;
    let at = |piece: usize| {
        let t = piece as f32 / PIECES as f32;
        let (a, b, c) = ((1.0 - t) * (1.0 - t), 2.0 * t * (1.0 - t), t * t);
        [0, 1].map(|axis| a * start[axis] + b * control(axis) + c * end[axis])
    };
    (0..PIECES).map(|piece| (at(piece), at(piece + 1))).collect()
}

/// Squared distance of a point to a segment.
fn to_segment(point: Point, a: Point, b: Point) -> f32 {
    let (along, to) = ([b[0] - a[0], b[1] - a[1]], [point[0] - a[0], point[1] - a[1]]);
    let length = along[0] * along[0] + along[1] * along[1];
    let t = if length > 0.0 {
        ((to[0] * along[0] + to[1] * along[1]) / length).clamp(0.0, 1.0)
    } else {
        0.0
    };
    let (dx, dy) = (to[0] - t * along[0], to[1] - t * along[1]);
    dx * dx + dy * dy
}

fn distance(a: Point, b: Point) -> f32 {
    (a[0] - b[0]).hypot(a[1] - b[1])
}

/// A standard normal value, kept within ±2.5 so that no hand leaves the paper.
fn normal(rng: &mut ChaCha8Rng) -> f32 {
    let radius = (-2.0 * (1.0 - rng.random::<f32>()).ln()).sqrt();
    (radius * (TAU * rng.random::<f32>()).cos()).clamp(-2.5, 2.5)
}

/// Randomness for one thing, named by numbers, that depends on nothing drawn before.
fn rng(seed: u64, path: &[u64]) -> ChaCha8Rng {
    let mut key = [0; 32];
    for (slot, value) in key.chunks_exact_mut(8).zip(std::iter::once(&seed).chain(path)) {
        slot.copy_from_slice(&value.to_le_bytes());
    }
    ChaCha8Rng::from_seed(key)
}
