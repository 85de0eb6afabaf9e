//! Which part of an image is seen: the centre of it, or a random crop.

use rand::Rng;
use rand_chacha::ChaCha8Rng;

use super::super::ImageShape;
use super::super::codec::Size;
use super::super::resize::View;
use crate::config::RandomResizedCrop;

/// Short side to the size, then the centre: `Resize` and `CenterCrop`.
pub fn centre_view(size: Size, shape: ImageShape) -> View {
    let short = size.height.min(size.width);
    // The network's images are square; of others the larger side is what must be covered.
    let target = shape.height.max(shape.width);
    let scaled = |side: usize| if side == short { target } else { target * side / short };
    let (tall, wide) = (scaled(size.height), scaled(size.width));
    let (top, left) = (half(tall - shape.height), half(wide - shape.width));
    View {
        columns: 0..size.width,
        rows: 0..size.height,
        size: (wide, tall),
        kept_columns: left..left + shape.width,
        kept_rows: top..top + shape.height,
    }
}

/// Half of a margin, rounded as Python does: 0.5 to the even side.
fn half(margin: usize) -> usize {
    let down = margin / 2;
    if margin % 2 == 1 && down % 2 == 1 { down + 1 } else { down }
}

/// A part of an image, resized to the network's size.
pub fn part_view(left: usize, top: usize, part: Size, shape: ImageShape) -> View {
    View {
        columns: left..left + part.width,
        rows: top..top + part.height,
        size: (shape.width, shape.height),
        kept_columns: 0..shape.width,
        kept_rows: 0..shape.height,
    }
}

/// `RandomResizedCrop`: ten attempts, then the largest part of an allowed ratio.
pub fn random_view(
    size: Size,
    shape: ImageShape,
    crop: &RandomResizedCrop,
    rng: &mut ChaCha8Rng,
) -> View {
    let area = (size.width * size.height) as f64;
    for _ in 0..10 {
        let target = area * rng.random_range(crop.min_scale..=crop.max_scale);
        let ratio = rng.random_range(crop.min_ratio.ln()..=crop.max_ratio.ln()).exp();
        let part = Size {
            width: (target * ratio).sqrt().round_ties_even() as usize,
            height: (target / ratio).sqrt().round_ties_even() as usize,
        };
        if (1..=size.width).contains(&part.width) && (1..=size.height).contains(&part.height) {
            let top = rng.random_range(0..=size.height - part.height);
            let left = rng.random_range(0..=size.width - part.width);
            return part_view(left, top, part, shape);
        }
    }
    let ratio = size.width as f64 / size.height as f64;
    let part = if ratio < crop.min_ratio {
        let height = (size.width as f64 / crop.min_ratio).round_ties_even() as usize;
        Size { width: size.width, height: height.clamp(1, size.height) }
    } else if ratio > crop.max_ratio {
        let width = (size.height as f64 * crop.max_ratio).round_ties_even() as usize;
        Size { width: width.clamp(1, size.width), height: size.height }
    } else {
        size
    };
    part_view((size.width - part.width) / 2, (size.height - part.height) / 2, part, shape)
}
