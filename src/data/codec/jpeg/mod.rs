//! JPEG, with the pixels of libjpeg-turbo: the decoder in Pillow and torchvision.

#[cfg(test)]
mod tests;
mod turbo;

use std::ops::Range;

use super::{MAX_PIXELS, Size};

/// A JPEG whose header is read.
pub struct Jpeg<'a> {
    file: &'a [u8],
    size: Size,
}

impl<'a> Jpeg<'a> {
    /// Reads the header.
    pub fn open(file: &'a [u8]) -> Result<Self, String> {
        Ok(Self { file, size: turbo::size(file)? })
    }

    /// Its size.
    pub fn size(&self) -> Size {
        self.size
    }

    /// Decodes the rows and columns of a region. `row` is called with each row, `[columns, PIXEL]`,
    /// from the top.
    pub fn region(
        &self,
        columns: Range<usize>,
        rows: Range<usize>,
        row: &mut dyn FnMut(usize, &[u8]),
    ) -> Result<(), String> {
        let Size { width, height } = self.size;
        if width * height > MAX_PIXELS {
            return Err(format!("{width} × {height} pixels are more than the limit, {MAX_PIXELS}"));
        }
        assert!(columns.end <= width && rows.end <= height, "a region of the image");
        turbo::region(self.file, columns, rows, row)
    }
}
