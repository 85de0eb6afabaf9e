//! What is done to an image on its way to the network, as torchvision does it to Pillow's images.

mod colour;
mod normalization;
mod view;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::ImageShape;
use super::codec::Opened;
use super::codec::raster::{self, PIXEL};
use super::resize::{Resizer, View};
use crate::config::Augmentation;
pub use colour::{Colour, recolour};
pub use normalization::Normalization;
pub use view::{centre_view, part_view};

/// A view of an image with the random changes that `seed` draws.
pub fn augment(
    image: &Opened,
    shape: ImageShape,
    steps: &Augmentation,
    seed: [u8; 32],
) -> Result<Vec<u8>, String> {
    let mut rng = ChaCha8Rng::from_seed(seed);
    let view = match &steps.random_resized_crop {
        Some(crop) => view::random_view(image.size(), shape, crop, &mut rng),
        None => centre_view(image.size(), shape),
    };
    let mut pixels = pixels(image, &view, shape)?;
    colour::jitter(&mut pixels, steps, &mut rng);
    if rng.random_bool(steps.flip) {
        flip(&mut pixels, shape.width);
    }
    Ok(planes(&pixels, shape))
}

/// A view of an image at the network's size.
pub fn view_of(image: &Opened, view: &View, shape: ImageShape) -> Result<Vec<u8>, String> {
    Ok(planes(&pixels(image, view, shape)?, shape))
}

/// A view's pixels, `[height, width, PIXEL]`.
fn pixels(image: &Opened, view: &View, shape: ImageShape) -> Result<Vec<u8>, String> {
    let mut resizer = Resizer::new(view);
    let (columns, rows) = (resizer.columns(), resizer.rows());
    if shape.channels == 1 {
        let mut line = Vec::new();
        image.region(columns, rows, &mut |y, row| {
            line.clear();
            line.extend_from_slice(row);
            raster::grey(&mut line);
            resizer.push(y, &line);
        })?;
    } else {
        image.region(columns, rows, &mut |y, row| resizer.push(y, row))?;
    }
    Ok(resizer.finish())
}

/// `[height, width, PIXEL]` → `[channels, height, width]`.
fn planes(pixels: &[u8], shape: ImageShape) -> Vec<u8> {
    let mut planes = vec![0; shape.values()];
    let plane = shape.height * shape.width;
    for (channel, plane) in planes.chunks_exact_mut(plane).enumerate() {
        let (pixels, _) = pixels.as_chunks::<PIXEL>();
        for (value, pixel) in plane.iter_mut().zip(pixels) {
            *value = (u32::from_le_bytes(*pixel) >> (8 * channel)) as u8;
        }
    }
    planes
}

fn flip(pixels: &mut [u8], width: usize) {
    for row in pixels.chunks_exact_mut(width * PIXEL) {
        let (pixels, _) = row.as_chunks_mut::<PIXEL>();
        pixels.reverse();
    }
}
