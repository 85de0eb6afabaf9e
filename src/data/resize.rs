//! Pillow's antialiased bilinear resize, in its own fixed-point arithmetic: equal to the byte.

/// Fraction bits of a weight: 32 less 8 of a pixel and 2 of headroom.
const PRECISION: u32 = 32 - 8 - 2;

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
    // As in Pillow: horizontally first, and each pass only where it changes something.
    let horizontal = if to_width == width {
        plane.to_vec()
    } else {
        let windows = windows(width, to_width);
        let mut rows = Vec::with_capacity(height * to_width);
        for row in plane.chunks_exact(width) {
            rows.extend(windows.iter().map(|window| weigh(window, window.first, |at| row[at])));
        }
        rows
    };
    if to_height == height {
        return horizontal;
    }
    let mut output = Vec::with_capacity(to_height * to_width);
    for window in windows(height, to_height) {
        output.extend(
            (0..to_width).map(|column| {
                weigh(&window, window.first, |at| horizontal[at * to_width + column])
            }),
        );
    }
    output
}

/// The inputs that one output is the mean of, and their fixed-point weights.
struct Window {
    first: usize,
    weights: Vec<i32>,
}

fn windows(from: usize, to: usize) -> Vec<Window> {
    let scale = from as f64 / to as f64;
    // Antialiasing: the triangle is as wide as an output pixel when that is larger than an input's.
    let stretch = scale.max(1.0);
    (0..to)
        .map(|output| {
            let centre = (output as f64 + 0.5) * scale;
            let first = ((centre - stretch + 0.5) as i64).max(0) as usize;
            let end = ((centre + stretch + 0.5) as i64).min(from as i64) as usize;
            let weights: Vec<f64> = (first..end)
                .map(|input| {
                    let distance = (input as f64 - centre + 0.5) / stretch;
                    (1.0 - distance.abs()).max(0.0)
                })
                .collect();
            let sum: f64 = weights.iter().sum();
            let fixed = |weight: f64| (0.5 + weight / sum * f64::from(1 << PRECISION)) as i32;
            Window { first, weights: weights.into_iter().map(fixed).collect() }
        })
        .collect()
}

fn weigh(window: &Window, first: usize, pixel: impl Fn(usize) -> u8) -> u8 {
    let half = 1 << (PRECISION - 1);
    let sum = window
        .weights
        .iter()
        .enumerate()
        .fold(half, |sum, (offset, weight)| sum + i32::from(pixel(first + offset)) * weight);
    (sum >> PRECISION).clamp(0, 255) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
