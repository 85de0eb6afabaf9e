/// (x, y) of the output, and the input's width and height → (x, y) of the input.
type Place = fn(usize, usize, usize, usize) -> (usize, usize);

/// Bytes of a pixel: red, green, blue, and one that fills it up to a register's lane.
pub const PIXEL: usize = 4;

/// An image at its own size, as Pillow's `convert("RGB")` gives it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Raster {
    /// Pixels from left to right.
    pub width: usize,
    /// Pixels from top to bottom.
    pub height: usize,
    /// `[height, width, PIXEL]`; the last byte of a pixel means nothing.
    pub pixels: Vec<u8>,
}

impl Raster {
    /// From rows of grey pixels.
    pub fn from_grey(width: usize, height: usize, grey: impl Iterator<Item = u8>) -> Self {
        let pixels: Vec<u8> = grey.flat_map(|it| [it; PIXEL]).collect();
        assert_eq!(pixels.len(), width * height * PIXEL, "a raster is height × width");
        Self { width, height, pixels }
    }

    /// From pixels of `step` bytes that start with red, green and blue.
    pub fn from_rgb(width: usize, height: usize, bytes: &[u8], step: usize) -> Self {
        assert_eq!(bytes.len(), width * height * step, "a raster is height × width");
        let mut pixels = Vec::with_capacity(width * height * PIXEL);
        for pixel in bytes.chunks_exact(step) {
            pixels.extend([pixel[0], pixel[1], pixel[2], 255]);
        }
        Self { width, height, pixels }
    }

    /// A row, `[width, PIXEL]`.
    pub fn row(&self, y: usize) -> &[u8] {
        &self.pixels[y * self.width * PIXEL..(y + 1) * self.width * PIXEL]
    }

    /// Stands the image as its EXIF orientation (1 to 8) says.
    pub fn oriented(self, orientation: u8) -> Self {
        let (width, height) = (self.width, self.height);
        // Output (x, y) → input.
        let (turned, from): (bool, Place) = match orientation {
            2 => (false, |x, y, w, _| (w - 1 - x, y)),
            3 => (false, |x, y, w, h| (w - 1 - x, h - 1 - y)),
            4 => (false, |x, y, _, h| (x, h - 1 - y)),
            5 => (true, |x, y, _, _| (y, x)),
            6 => (true, |x, y, _, h| (y, h - 1 - x)),
            7 => (true, |x, y, w, h| (w - 1 - y, h - 1 - x)),
            8 => (true, |x, y, w, _| (w - 1 - y, x)),
            _ => return self,
        };
        let (to_width, to_height) = if turned { (height, width) } else { (width, height) };
        let mut pixels = Vec::with_capacity(self.pixels.len());
        for y in 0..to_height {
            for x in 0..to_width {
                let (from_x, from_y) = from(x, y, width, height);
                let at = (from_y * width + from_x) * PIXEL;
                pixels.extend_from_slice(&self.pixels[at..at + PIXEL]);
            }
        }
        Self { width: to_width, height: to_height, pixels }
    }
}

/// Makes a row grey, by Pillow's `convert("L")`.
pub fn grey(row: &mut [u8]) {
    for pixel in row.as_chunks_mut::<PIXEL>().0 {
        let luma = luma(u32::from_le_bytes(*pixel)) as u8;
        pixel[..3].fill(luma);
    }
}

/// ITU-R 601-2 luma of a pixel, in Pillow's fixed point: 0 to 255.
#[inline(always)]
pub fn luma(pixel: u32) -> u32 {
    let [red, green, blue] = [0, 8, 16].map(|shift| pixel >> shift & 0xff);
    (red * 19595 + green * 38470 + blue * 7471 + 0x8000) >> 16
}

#[cfg(test)]
mod tests {
    use super::*;

    fn letters(raster: &Raster) -> Vec<u8> {
        raster.pixels.chunks_exact(PIXEL).map(|pixel| pixel[0]).collect()
    }

    /// What `ImageOps.exif_transpose` makes of `abc/def`.
    #[test]
    fn orientations_are_those_of_exif() {
        let image = || Raster::from_grey(3, 2, b"abcdef".iter().copied());
        for (orientation, expected) in [
            (1, "abcdef"),
            (2, "cbafed"),
            (3, "fedcba"),
            (4, "defabc"),
            (5, "adbecf"),
            (6, "daebfc"),
            (7, "fcebda"),
            (8, "cfbead"),
        ] {
            let turned = image().oriented(orientation);
            assert_eq!(letters(&turned), expected.as_bytes(), "{orientation}");
            assert_eq!(turned.width, if orientation > 4 { 2 } else { 3 });
        }
    }

    #[test]
    fn grey_stays_as_it_is() {
        for value in 0..=255 {
            assert_eq!(luma(value * 0x010101), value);
        }
    }
}
