//! Embeddings of positions for images of another size, as DINOv2 makes them: bicubic interpolation of the embeddings of
//! patches, which lie in a square. The class token's stays.

use crate::model::names::Naming;

/// The path of a vision transformer's embeddings.
const PATH: &str = "patches.positions";
/// The path of its registers.
const REGISTERS: &str = "patches.registers";

/// How a program interpolates.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Interpolation {
    /// Whether an image with fewer patches averages over as many more of those in the file.
    antialias: bool,
    /// Added to the number of patches each way, in the scale alone: a remedy of DINO's authors against rounding, which
    /// the published models without registers are used with.
    offset: f64,
}

impl Interpolation {
    /// What the program that has these names does, of a network with these tensors: DINOv2's authors interpolate by a
    /// scale with an offset of 0.1 without registers, and antialiased to a size with them; Hugging Face always to a
    /// size.
    pub fn of<'a>(naming: Naming, mut paths: impl Iterator<Item = &'a str>) -> Self {
        let registers = paths.any(|path| path.ends_with(REGISTERS));
        let by_scale = naming != Naming::HuggingFace && !registers;
        Self { antialias: registers, offset: if by_scale { 0.1 } else { 0.0 } }
    }

    /// Embeddings of the shape `to`, from those of the shape `from`.
    pub fn interpolate(self, values: Vec<f32>, from: &[usize], to: &[usize]) -> Vec<f32> {
        let (Some((from, width)), Some((to, _))) = (square(from), square(to)) else {
            return values;
        };
        if from == to {
            return values;
        }
        let (class, patches) = values.split_at(width);
        let weights = self.weights(from, to);
        // Rows first, then columns: each is a matrix with few values other than 0.
        let mut rows = vec![0.0f64; to * from * width];
        for (row, weights) in rows.chunks_mut(from * width).zip(&weights) {
            for (at, weight) in weights {
                let source = &patches[at * from * width..(at + 1) * from * width];
                row.iter_mut().zip(source).for_each(|(sum, x)| *sum += weight * f64::from(*x));
            }
        }
        let mut output = class.to_vec();
        for row in rows.chunks(from * width) {
            for weights in &weights {
                let mut sums = vec![0.0f64; width];
                for (at, weight) in weights {
                    let source = &row[at * width..(at + 1) * width];
                    sums.iter_mut().zip(source).for_each(|(sum, x)| *sum += weight * x);
                }
                output.extend(sums.into_iter().map(|sum| sum as f32));
            }
        }
        output
    }

    /// Weights of the patches `0..from` in each of `0..to`, of those that have one. PyTorch's conventions: pixels are
    /// squares, and at the edge the outermost one is repeated; antialiased, the weights within are scaled to 1.
    fn weights(self, from: usize, to: usize) -> Vec<Vec<(usize, f64)>> {
        let scale = from as f64 / (to as f64 + self.offset);
        (0..to).map(|at| self.weights_of((at as f64 + 0.5) * scale, scale, from)).collect()
    }

    fn weights_of(self, centre: f64, scale: f64, from: usize) -> Vec<(usize, f64)> {
        if self.antialias {
            let stretch = scale.max(1.0);
            let start = (centre - 2.0 * stretch + 0.5).max(0.0) as usize;
            let end = ((centre + 2.0 * stretch + 0.5) as usize).min(from);
            let weight = |at: usize| cubic((at as f64 + 0.5 - centre) / stretch, -0.5);
            let sum: f64 = (start..end).map(weight).sum();
            return (start..end).map(|at| (at, weight(at) / sum)).collect();
        }
        let centre = centre - 0.5;
        let first = centre.floor();
        let weight = |step: i64| {
            let place = first + step as f64;
            (place.clamp(0.0, from as f64 - 1.0) as usize, cubic(place - centre, -0.75))
        };
        (-1..=2).map(weight).collect()
    }
}

/// Cubic convolution (Keys, 1981) with the slope `a` at a distance of 1.
fn cubic(x: f64, a: f64) -> f64 {
    let x = x.abs();
    match x {
        _ if x < 1.0 => ((a + 2.0) * x - (a + 3.0)) * x * x + 1.0,
        _ if x < 2.0 => (((x - 5.0) * x + 8.0) * x - 4.0) * a,
        _ => 0.0,
    }
}

/// Whether embeddings of the shape `found` can become those of a network's tensor.
pub(super) fn fits(path: &str, found: &[usize], wanted: &[usize]) -> bool {
    let squares = square(found).zip(square(wanted));
    path.ends_with(PATH) && squares.is_some_and(|((_, found), (_, wanted))| found == wanted)
}

/// Patches each way, and values of an embedding, of a shape `[1, 1 + side · side, width]`.
fn square(shape: &[usize]) -> Option<(usize, usize)> {
    let [1, positions, width] = *shape else { return None };
    let patches = positions.checked_sub(1)?;
    let side = patches.isqrt();
    (side > 0 && side * side == patches).then_some((side, width))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_sum_to_one() {
        for antialias in [false, true] {
            for (from, to) in [(37, 16), (16, 37), (3, 1), (1, 5), (4, 4)] {
                let of = Interpolation { antialias, offset: 0.0 };
                for weights in of.weights(from, to) {
                    let sum: f64 = weights.iter().map(|(_, weight)| weight).sum();
                    assert!((sum - 1.0).abs() < 1e-12, "{from} → {to}: {sum}");
                    assert!(weights.iter().all(|(at, _)| *at < from));
                }
            }
        }
    }

    #[test]
    fn embeddings_are_those_of_squares_and_of_one_width() {
        assert!(fits("backbone.Vit.patches.positions", &[1, 1370, 384], &[1, 257, 384]));
        assert!(!fits("backbone.Vit.patches.positions", &[1, 1370, 768], &[1, 257, 384]));
        assert!(!fits("backbone.Vit.patches.positions", &[1, 1369, 384], &[1, 257, 384]));
        assert!(!fits("backbone.Vit.patches.class", &[1, 5, 384], &[1, 2, 384]));
    }

    #[test]
    fn programs_interpolate_differently() {
        let (plain, with) = (["patches.class"], ["patches.registers"]);
        let of = |naming, paths: [&'static str; 1]| Interpolation::of(naming, paths.into_iter());
        let expected = |antialias, offset| Interpolation { antialias, offset };
        assert_eq!(of(Naming::Torchvision, plain), expected(false, 0.1));
        assert_eq!(of(Naming::Torchvision, with), expected(true, 0.0));
        assert_eq!(of(Naming::HuggingFace, plain), expected(false, 0.0));
        assert_eq!(of(Naming::HuggingFace, with), expected(true, 0.0));
    }
}
