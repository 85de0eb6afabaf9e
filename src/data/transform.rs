//! What is done to an image on its way to the network, as torchvision does it to Pillow's images.

use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::ImageShape;
use super::codec::raster::{self, PIXEL};
use super::codec::{Opened, Size, open};
use super::resize::{Resizer, View};
use crate::config::{Augmentation, Moments, Normalize, RandomResizedCrop};

/// Decodes an image at the network's size.
///
/// # Shapes
/// - output: `[channels, height, width]`
pub fn load(file: &[u8], shape: ImageShape) -> Result<Vec<u8>, String> {
    let image = open(file)?;
    let view = centre_view(image.size(), shape);
    Ok(planes(&pixels(&image, &view, shape)?, shape))
}

/// Decodes an image with the random changes that `seed` draws.
pub fn load_augmented(
    file: &[u8],
    shape: ImageShape,
    steps: &Augmentation,
    seed: [u8; 32],
) -> Result<Vec<u8>, String> {
    augment(&open(file)?, shape, steps, seed)
}

/// A view of an image with the random changes that `seed` draws.
pub fn augment(
    image: &Opened,
    shape: ImageShape,
    steps: &Augmentation,
    seed: [u8; 32],
) -> Result<Vec<u8>, String> {
    let mut rng = ChaCha8Rng::from_seed(seed);
    let view = match &steps.random_resized_crop {
        Some(crop) => random_view(image.size(), shape, crop, &mut rng),
        None => centre_view(image.size(), shape),
    };
    let mut pixels = pixels(image, &view, shape)?;
    jitter(&mut pixels, steps, &mut rng);
    if rng.random_bool(steps.flip) {
        flip(&mut pixels, shape.width);
    }
    Ok(planes(&pixels, shape))
}

/// A view of an image at the network's size.
pub fn view_of(image: &Opened, view: &View, shape: ImageShape) -> Result<Vec<u8>, String> {
    Ok(planes(&pixels(image, view, shape)?, shape))
}

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
fn random_view(
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
        for (value, pixel) in plane.iter_mut().zip(pixels.chunks_exact(PIXEL)) {
            *value = pixel[channel];
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

/// A colour operation of `ColorJitter` and its factor.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Colour {
    /// Towards black, or away from it.
    Brightness(f32),
    /// Towards the mean grey, or away from it.
    Contrast(f32),
    /// Towards the grey of each pixel, or away from it.
    Saturation(f32),
    /// A share of the colour circle.
    Hue(f32),
}

/// `ColorJitter`: its operations in random order, each with a random factor.
fn jitter(pixels: &mut [u8], steps: &Augmentation, rng: &mut ChaCha8Rng) {
    let mut factor = |width: f64| rng.random_range((1.0 - width).max(0.0)..=1.0 + width) as f32;
    let mut colours = Vec::new();
    let factors: [(f64, fn(f32) -> Colour); 3] = [
        (steps.brightness, Colour::Brightness),
        (steps.contrast, Colour::Contrast),
        (steps.saturation, Colour::Saturation),
    ];
    for (width, colour) in factors {
        if width > 0.0 {
            colours.push(colour(factor(width)));
        }
    }
    if steps.hue > 0.0 {
        colours.push(Colour::Hue(rng.random_range(-steps.hue..=steps.hue) as f32));
    }
    colours.shuffle(rng);
    colours.into_iter().for_each(|colour| recolour(pixels, colour));
}

/// Changes the colours of pixels, `[.., PIXEL]`, as Pillow's `ImageEnhance` does.
pub fn recolour(pixels: &mut [u8], colour: Colour) {
    let luma = |pixel: &[u8]| raster::luma(pixel[0], pixel[1], pixel[2]);
    match colour {
        Colour::Brightness(factor) => blend_with(pixels, factor, 0),
        Colour::Contrast(factor) => {
            let count = (pixels.len() / PIXEL).max(1) as f64;
            let sum: u64 = pixels.chunks_exact(PIXEL).map(|pixel| u64::from(luma(pixel))).sum();
            let mean = (sum as f64 / count + 0.5) as u8;
            blend_with(pixels, factor, mean);
        }
        Colour::Saturation(factor) => blend_all(pixels, factor, luma),
        Colour::Hue(share) => {
            // As torchvision: a shift of whole 256ths, which wraps around.
            let shift = (share * 255.0) as i32 as u8;
            for pixel in pixels.chunks_exact_mut(PIXEL) {
                let [hue, saturation, value] = hsv([pixel[0], pixel[1], pixel[2]]);
                let turned = rgb([hue.wrapping_add(shift), saturation, value]);
                pixel[..3].copy_from_slice(&turned);
            }
        }
    }
}

/// A float becomes a byte by cutting off its fraction and what is out of range.
fn blend(value: u8, base: u8, factor: f32) -> u8 {
    let from = f32::from(base);
    (from + factor * (f32::from(value) - from)) as u8
}

/// Blends every value with one: by a table.
fn blend_with(pixels: &mut [u8], factor: f32, base: u8) {
    let table: [u8; 256] = std::array::from_fn(|value| blend(value as u8, base, factor));
    pixels.iter_mut().for_each(|value| *value = table[usize::from(*value)]);
}

/// Blends every pixel with its own grey.
fn blend_all(pixels: &mut [u8], factor: f32, base: impl Fn(&[u8]) -> u8) {
    for pixel in pixels.chunks_exact_mut(PIXEL) {
        let base = base(pixel);
        pixel[..3].iter_mut().for_each(|value| *value = blend(*value, base, factor));
    }
}

/// Pillow's `rgb2hsv`.
fn hsv([red, green, blue]: [u8; 3]) -> [u8; 3] {
    let (max, min) = (red.max(green).max(blue), red.min(green).min(blue));
    if max == min {
        return [0, 0, max];
    }
    let range = f32::from(max - min);
    let share = |value: u8| f32::from(max - value) / range;
    let (red_share, green_share, blue_share) = (share(red), share(green), share(blue));
    let [red_share, green_share, blue_share] = [red_share, green_share, blue_share].map(f64::from);
    let hue = if red == max {
        blue_share as f32 - green_share as f32
    } else if green == max {
        (2.0 + red_share - blue_share) as f32
    } else {
        (4.0 + green_share - red_share) as f32
    };
    // Pillow's C computes in doubles and keeps floats in between; so is this.
    let hue = ((f64::from(hue) / 6.0 + 1.0) % 1.0) as f32;
    let saturation = range / f32::from(max);
    [(f64::from(hue) * 255.0) as u8, (f64::from(saturation) * 255.0) as u8, max]
}

/// Pillow's `hsv2rgb`.
fn rgb([hue, saturation, value]: [u8; 3]) -> [u8; 3] {
    if saturation == 0 {
        return [value; 3];
    }
    let sector = f64::from(hue) * 6.0 / 255.0;
    let fraction = f64::from((sector - sector.floor()) as f32);
    let saturation = f64::from((f64::from(saturation) / 255.0) as f32);
    let byte = |share: f64| (f64::from(value) * share).round() as u8;
    let p = byte(1.0 - saturation);
    let q = byte(1.0 - saturation * fraction);
    let t = byte(1.0 - saturation * (1.0 - fraction));
    match sector as i32 % 6 {
        0 => [value, t, p],
        1 => [q, value, p],
        2 => [p, value, t],
        3 => [p, q, value],
        4 => [t, p, value],
        _ => [value, p, q],
    }
}

/// How a byte becomes a value: `byte · scale + shift`, a channel.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Normalization {
    scale: [f32; 3],
    shift: [f32; 3],
}

impl Normalization {
    /// 0..255 → 0..1.
    pub const UNIT: Self = Self { scale: [1.0 / 255.0; 3], shift: [0.0; 3] };

    /// As a pipeline says.
    pub fn of(normalize: &Normalize) -> Self {
        match normalize {
            Normalize::None => Self::UNIT,
            Normalize::Imagenet => Self::moments(&[0.485, 0.456, 0.406], &[0.229, 0.224, 0.225]),
            Normalize::Custom(Moments { mean, std }) => Self::moments(mean, std),
        }
    }

    fn moments(mean: &[f64], std: &[f64]) -> Self {
        let at = |values: &[f64], channel: usize, none: f64| {
            values.get(channel).or(values.first()).copied().unwrap_or(none)
        };
        let each = |value: fn(f64, f64) -> f64| {
            std::array::from_fn(|channel| {
                value(at(mean, channel, 0.0), at(std, channel, 1.0)) as f32
            })
        };
        Self { scale: each(|_, std| 1.0 / (255.0 * std)), shift: each(|mean, std| -mean / std) }
    }

    /// The values of an image, `[channels, height, width]`.
    pub fn apply(&self, bytes: &[u8], shape: ImageShape, values: &mut [f32]) {
        let plane = shape.height * shape.width;
        let planes = bytes.chunks_exact(plane).zip(values.chunks_exact_mut(plane));
        for (channel, (bytes, values)) in planes.enumerate() {
            let (scale, shift) = (self.scale[channel], self.shift[channel]);
            for (value, byte) in values.iter_mut().zip(bytes) {
                *value = f32::from(*byte) * scale + shift;
            }
        }
    }
}
