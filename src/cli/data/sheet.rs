//! A contact sheet: a row a class.

use std::path::Path;

use image::RgbImage;
use image::imageops::replace;

use crate::Error;
use crate::cli::thumbnail::{thumbnail, write_png};
use crate::data::{Item, Listing};

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
    for row in 0..rows {
        let class = &classes[row * classes.len() / rows];
        for (column, item) in class.iter().take(COLUMNS).enumerate() {
            let at = |count: usize| (GAP + count * (SIDE + GAP)) as i64;
            replace(&mut sheet, &thumbnail(item, SIDE), at(column), at(row));
        }
    }
    write_png(&sheet, path)
}
