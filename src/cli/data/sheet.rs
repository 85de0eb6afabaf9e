//! A contact sheet: a row a class.

use std::path::Path;

use image::{ImageFormat, RgbImage};

use crate::Error;
use crate::data::transform::{centre_view, view_of};
use crate::data::{ImageShape, Item, Listing};
use crate::run::folder::write_atomically;

/// Side of an image in pixels, and the gap between two.
const SIDE: usize = 64;
const GAP: usize = 4;
/// Images of a class.
const COLUMNS: usize = 10;
/// Classes, taken evenly from all.
const ROWS: usize = 20;

/// Writes the first images of up to 20 classes. An image that cannot be read is a red square.
pub fn write(listing: &Listing, path: &Path) -> Result<(), Error> {
    let mut classes: Vec<Vec<&Item>> = Vec::new();
    for item in &listing.items {
        match classes.last_mut() {
            Some(class) if class[0].class == item.class && class[0].split == item.split => {
                class.push(item);
            }
            _ => classes.push(vec![item]),
        }
    }
    let rows = classes.len().min(ROWS);
    let side = |count: usize| (count * (SIDE + GAP) + GAP) as u32;
    let mut sheet = RgbImage::from_pixel(side(COLUMNS), side(rows), image::Rgb([255; 3]));
    let shape = ImageShape { channels: 3, height: SIDE, width: SIDE };
    for row in 0..rows {
        let class = &classes[row * classes.len() / rows];
        for (column, item) in class.iter().take(COLUMNS).enumerate() {
            let pixels =
                item.file.with(item.turns, |it| view_of(it, &centre_view(it.size(), shape), shape));
            let plane = SIDE * SIDE;
            for at in 0..plane {
                let colour = match &pixels {
                    Ok(pixels) => [pixels[at], pixels[plane + at], pixels[2 * plane + at]],
                    Err(_) => [200, 0, 0],
                };
                let x = (GAP + column * (SIDE + GAP) + at % SIDE) as u32;
                let y = (GAP + row * (SIDE + GAP) + at / SIDE) as u32;
                sheet.put_pixel(x, y, image::Rgb(colour));
            }
        }
    }
    let mut png = std::io::Cursor::new(Vec::new());
    sheet
        .write_to(&mut png, ImageFormat::Png)
        .map_err(|error| Error::failed(format!("the sheet cannot be drawn: {error}")))?;
    Ok(write_atomically(path, &png.into_inner())?)
}
