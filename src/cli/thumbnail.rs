//! Small pictures of images, and pictures as PNG files.

use std::io::Cursor;
use std::path::Path;

use image::{ImageFormat, Rgb, RgbImage};

use crate::Error;
use crate::data::{self, Item};
use crate::run::folder::write_atomically;

/// Colour of an image that cannot be read.
const UNREADABLE: Rgb<u8> = Rgb([200, 0, 0]);

/// The middle of an image, `side` pixels wide and high; a red square where it cannot be read.
pub(super) fn thumbnail(item: &Item, side: usize) -> RgbImage {
    let unreadable = |_| RgbImage::from_pixel(side as u32, side as u32, UNREADABLE);
    data::thumbnail(item, side).unwrap_or_else(unreadable)
}

/// Writes a picture as PNG, completely or not at all.
pub(super) fn write_png(picture: &RgbImage, path: &Path) -> Result<(), Error> {
    let mut png = Cursor::new(Vec::new());
    picture
        .write_to(&mut png, ImageFormat::Png)
        .map_err(|error| Error::failed(format!("the sheet cannot be drawn: {error}")))?;
    Ok(write_atomically(path, &png.into_inner())?)
}
