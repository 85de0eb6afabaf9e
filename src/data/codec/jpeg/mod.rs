//! JPEG, with the pixels of libjpeg-turbo: the decoder in Pillow and torchvision.

mod baseline;
mod library;
#[cfg(test)]
mod tests;

use std::ops::Range;

use super::{MAX_PIXELS, Size};
use baseline::Baseline;

/// A JPEG whose header is read.
pub struct Jpeg<'a> {
    file: &'a [u8],
    size: Size,
    baseline: Option<Box<Baseline>>,
}

impl<'a> Jpeg<'a> {
    /// Reads the header.
    pub fn open(file: &'a [u8]) -> Result<Self, String> {
        let baseline =
            if baseline::is_worth_while() { Baseline::open(file).map(Box::new) } else { None };
        let size = match &baseline {
            Some(it) => Size { width: it.width(), height: it.height() },
            None => library::size(file)?,
        };
        Ok(Self { file, size, baseline })
    }

    /// Its size.
    pub fn size(&self) -> Size {
        self.size
    }

    /// Decodes the rows and columns of a region; `row` is given each, `[columns, PIXEL]`, from the top.
    pub fn region(
        &self,
        columns: Range<usize>,
        rows: Range<usize>,
        row: &mut dyn FnMut(usize, &[u8]),
    ) -> Result<(), String> {
        let Size { width, height } = self.size;
        if width * height > MAX_PIXELS {
            return Err(format!("{width} × {height} pixels are more than any image has"));
        }
        assert!(columns.end <= width && rows.end <= height, "a region of the image");
        let mut next = rows.start;
        if let Some(baseline) = &self.baseline {
            let count = &mut |y: usize, line: &[u8]| {
                next = y + 1;
                row(y, line);
            };
            if baseline.region(self.file, columns.clone(), rows.clone(), count).is_some() {
                return Ok(());
            }
        }
        library::region(self.file, columns, next..rows.end, row)
    }
}
