//! `ColorJitter`, as torchvision does it with Pillow's `ImageEnhance`.

use rand::Rng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use super::super::codec::raster::{PIXEL, luma};
#[cfg(target_arch = "x86_64")]
use super::super::simd::Avx2;
use crate::config::Augmentation;

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
pub fn jitter(pixels: &mut [u8], steps: &Augmentation, rng: &mut ChaCha8Rng) {
    let mut factor = |width: f64| rng.random_range((1.0 - width).max(0.0)..=1.0 + width) as f32;
    let mut colours = Vec::new();
    type Make = fn(f32) -> Colour;
    let factors: [(f64, Make); 3] = [
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
    let (pixels, _) = pixels.as_chunks_mut::<PIXEL>();
    #[cfg(target_arch = "x86_64")]
    if Avx2::detect().is_some() {
        // SAFETY: an `Avx2` exists only where the processor has it.
        return unsafe { recolour_avx2(pixels, colour) };
    }
    recolour_all(pixels, colour);
}

/// The same computation, compiled for wider registers.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn recolour_avx2(pixels: &mut [[u8; PIXEL]], colour: Colour) {
    recolour_all(pixels, colour);
}

#[inline(always)]
fn recolour_all(pixels: &mut [[u8; PIXEL]], colour: Colour) {
    match colour {
        Colour::Brightness(factor) => blend(pixels, factor, |_| 0),
        Colour::Contrast(factor) => {
            let count = pixels.len().max(1) as f64;
            let sum: u64 = pixels
                .chunks(LUMA_CHUNK)
                .map(|chunk| u64::from(chunk.iter().map(|it| luma(whole(it))).sum::<u32>()))
                .sum();
            let mean = (sum as f64 / count + 0.5) as u8;
            blend(pixels, factor, |_| mean.into());
        }
        Colour::Saturation(factor) => blend(pixels, factor, luma),
        Colour::Hue(share) => {
            // As torchvision: a shift of whole 256ths, which wraps around.
            let shift = (share * 255.0) as i32 as u8;
            for pixel in pixels {
                let [hue, saturation, value] = hsv([pixel[0], pixel[1], pixel[2]]);
                let turned = rgb([hue.wrapping_add(shift), saturation, value]);
                pixel[..3].copy_from_slice(&turned);
            }
        }
    }
}

/// Pixels whose luma is summed up in 32 bits.
const LUMA_CHUNK: usize = 1 << 16;

/// A pixel as a register's lane.
#[inline(always)]
fn whole(pixel: &[u8; PIXEL]) -> u32 {
    u32::from_le_bytes(*pixel)
}

/// Takes each colour towards a base, or away from it. A float becomes a byte by cutting off its
/// fraction and what is out of range.
#[inline(always)]
#[expect(clippy::manual_clamp, reason = "`clamp` of NaN is NaN, which is not a byte")]
fn blend(pixels: &mut [[u8; PIXEL]], factor: f32, base: impl Fn(u32) -> u32) {
    for pixel in pixels {
        let whole = whole(pixel);
        let from = base(whole) as i32 as f32;
        let blended = |shift: u32| {
            let value = from + factor * ((whole >> shift & 0xff) as i32 as f32 - from);
            // SAFETY: it is 0 to 255, and no NaN, of which neither would be the larger.
            let byte: i32 = unsafe { value.max(0.0).min(255.0).to_int_unchecked() };
            (byte as u32) << shift
        };
        *pixel = (blended(0) | blended(8) | blended(16)).to_le_bytes();
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
