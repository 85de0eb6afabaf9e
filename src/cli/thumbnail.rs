//! Small pictures of images, and pictures as PNG files.

use std::io::Cursor;
use std::path::Path;

use image::{ImageFormat, Rgb, RgbImage};

use crate::Error;
use crate::data::transform::{centre_view, view_of};
use crate::data::{ImageShape, Item};
use crate::run::folder::write_atomically;

/// Colour of an image that cannot be read.
const UNREADABLE: Rgb<u8> = Rgb([200, 0, 0]);

/// The middle of an image, `side` pixels wide and high; a red square where it cannot be read.
pub(super) fn thumbnail(item: &Item, side: usize) -> RgbImage {
    let shape = ImageShape { channels: 3, height: side, width: side };
    let view = item.file.with(item.turns, |it| view_of(it, &centre_view(it.size(), shape), shape));
    let plane = side * side;
    RgbImage::from_fn(side as u32, side as u32, |x, y| {
        let at = y as usize * side + x as usize;
        match &view {
            Ok(pixels) => Rgb([pixels[at], pixels[plane + at], pixels[2 * plane + at]]),
            Err(_) => UNREADABLE,
        }
    })
}

/// Writes a picture as PNG, completely or not at all.
pub(super) fn write_png(picture: &RgbImage, path: &Path) -> Result<(), Error> {
    let mut png = Cursor::new(Vec::new());
    picture
        .write_to(&mut png, ImageFormat::Png)
        .map_err(|error| Error::failed(format!("the sheet cannot be drawn: {error}")))?;
    Ok(write_atomically(path, &png.into_inner())?)
}
