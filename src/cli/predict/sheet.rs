//! A contact sheet: the images by class, each with its class and its file name below it.

use std::convert::Infallible;
use std::path::Path;

use embedded_graphics::mono_font::iso_8859_1::FONT_6X10;
use embedded_graphics::mono_font::{MonoFont, MonoTextStyle};
use embedded_graphics::pixelcolor::Rgb888;
use embedded_graphics::prelude::*;
use embedded_graphics::text::{Baseline, Text};
use image::imageops::replace;
use image::{Rgb, RgbImage};

use crate::Error;
use crate::cli::thumbnail::{thumbnail, write_png};
use crate::data::Item;

/// Images of a sheet. More would not be looked at, and take memory.
const MOST: usize = 500;
/// Side of an image in pixels, and the gap between two.
const SIDE: usize = 120;
const GAP: usize = 6;
const COLUMNS: usize = 8;
const FONT: MonoFont = FONT_6X10;
/// Height of the two lines of a label.
const LABEL: usize = 24;
const BLACK: Rgb888 = Rgb888::new(0, 0, 0);
const RED: Rgb888 = Rgb888::new(200, 0, 0);

/// Collects images and draws them.
#[derive(Default)]
pub(super) struct Sheet {
    tiles: Vec<Tile>,
    left_out: usize,
}

struct Tile {
    /// Number of the class; rejected images come after all classes.
    class: usize,
    probability: f64,
    picture: RgbImage,
    /// The class, as far as there is room, and the probability.
    label: String,
    file: String,
    is_rejected: bool,
}

impl Sheet {
    /// Adds an image with the number, the name and the probability of its class; no name where it is
    /// rejected.
    pub(super) fn add(&mut self, item: &Item, class: (usize, Option<&str>), probability: f64) {
        if self.tiles.len() == MOST {
            self.left_out += 1;
            return;
        }
        let (number, name) = class;
        let percent = format!(" {:.0} %", 100.0 * probability);
        let room = characters() - percent.len();
        let file = item.name.rsplit(['/', '\\']).next().unwrap_or_default();
        self.tiles.push(Tile {
            class: if name.is_some() { number } else { usize::MAX },
            probability,
            picture: thumbnail(item, SIDE),
            label: shortened(name.unwrap_or("none of these"), room) + &percent,
            file: shortened(file, characters()),
            is_rejected: name.is_none(),
        });
    }

    /// Writes the sheet as PNG: by class, the most probable first. Returns how many images had no room.
    pub(super) fn write(mut self, path: &Path) -> Result<usize, Error> {
        self.tiles
            .sort_by(|a, b| a.class.cmp(&b.class).then(b.probability.total_cmp(&a.probability)));
        let rows = self.tiles.len().div_ceil(COLUMNS);
        let size = |count: usize, side: usize| (GAP + count * (side + GAP)) as u32;
        let white = Rgb([255; 3]);
        let (width, height) = (size(COLUMNS, SIDE), size(rows, SIDE + LABEL));
        let mut canvas = Canvas(RgbImage::from_pixel(width, height, white));
        for (number, tile) in self.tiles.iter().enumerate() {
            let x = size(number % COLUMNS, SIDE);
            let y = size(number / COLUMNS, SIDE + LABEL);
            replace(&mut canvas.0, &tile.picture, x.into(), y.into());
            let below = y as i32 + SIDE as i32 + 2;
            let colour = if tile.is_rejected { RED } else { BLACK };
            canvas.text(&tile.label, x as i32, below, colour);
            let next = below + FONT.character_size.height as i32;
            canvas.text(&tile.file, x as i32, next, BLACK);
        }
        write_png(&canvas.0, path)?;
        Ok(self.left_out)
    }
}

/// Characters that have room below an image.
fn characters() -> usize {
    SIDE / FONT.character_size.width as usize
}

/// The start of a text that has no room, with two dots at its end.
fn shortened(text: &str, room: usize) -> String {
    match text.chars().count() > room {
        true => text.chars().take(room.saturating_sub(2)).chain("..".chars()).collect(),
        false => text.to_owned(),
    }
}

struct Canvas(RgbImage);

impl Canvas {
    /// Letters that the font does not have are question marks.
    fn text(&mut self, text: &str, x: i32, y: i32, colour: Rgb888) {
        let style = MonoTextStyle::new(&FONT, colour);
        let Ok(_) = Text::with_baseline(text, Point::new(x, y), style, Baseline::Top).draw(self);
    }
}

impl OriginDimensions for Canvas {
    fn size(&self) -> Size {
        Size::new(self.0.width(), self.0.height())
    }
}

impl DrawTarget for Canvas {
    type Color = Rgb888;
    type Error = Infallible;

    fn draw_iter<I: IntoIterator<Item = Pixel<Rgb888>>>(
        &mut self,
        pixels: I,
    ) -> Result<(), Infallible> {
        for Pixel(Point { x, y }, colour) in pixels {
            let place = u32::try_from(x).ok().zip(u32::try_from(y).ok());
            let pixel = place.and_then(|(x, y)| self.0.get_pixel_mut_checked(x, y));
            if let Some(pixel) = pixel {
                *pixel = Rgb([colour.r(), colour.g(), colour.b()]);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_names_are_shortened_and_drawn_inside_the_sheet() {
        assert_eq!(shortened("heron", 5), "heron");
        assert_eq!(shortened("grey heron", 6), "grey..");
        assert_eq!(shortened("Höckerschwan", 4), "Hö..");
        let mut canvas = Canvas(RgbImage::from_pixel(20, 10, Rgb([255; 3])));
        canvas.text("a long text beyond the edge", 2, 4, BLACK);
        let ink = canvas.0.pixels().filter(|pixel| pixel.0 == [0; 3]).count();
        assert!((5..100).contains(&ink), "{ink}");
    }
}
