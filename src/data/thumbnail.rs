//! Small pictures of images, for people.

use image::{Rgb, RgbImage};

use super::transform::{centre_view, view_of};
use super::{ImageShape, Item};

/// The middle of an image, `side` pixels wide and high, in the colours of its file.
///
/// # Errors
/// Why it cannot be read or decoded.
pub fn thumbnail(item: &Item, side: usize) -> Result<RgbImage, String> {
    let shape = ImageShape { channels: 3, height: side, width: side };
    let view =
        item.file.with(item.turns, |it| view_of(it, &centre_view(it.size(), shape), shape))?;
    let plane = side * side;
    Ok(RgbImage::from_fn(side as u32, side as u32, |x, y| {
        let at = y as usize * side + x as usize;
        Rgb([view[at], view[plane + at], view[2 * plane + at]])
    }))
}
