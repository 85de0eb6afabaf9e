//! The bytes of an image file → pixels, as Pillow gives them.

mod exif;
mod jpeg;
pub(super) mod raster;

use std::io::Cursor;
use std::ops::Range;

use image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader, Limits};

use super::sniff::what_it_is;
use crate::panics;
use jpeg::Jpeg;
use raster::Raster;

/// Most pixels of an image that is read: Pillow's own limit.
pub const MAX_PIXELS: usize = 178_956_970;

/// Bytes that a byte of a PNG can stand for at most, the limit of deflate: a file that claims more pixels is refused
/// before memory is taken for them.
const MOST_DEFLATED: usize = 1032;

/// Suffixes of the files that are read as images, in small letters.
pub const SUFFIXES: [&str; 14] = [
    "png", "jpg", "jpeg", "jpe", "jfif", "bmp", "webp", "tif", "tiff", "gif", "ppm", "pgm", "pbm",
    "pnm",
];

/// Whether a name ends as those of images do.
pub fn has_image_suffix(name: &str) -> bool {
    let suffix = name.rsplit_once('.').map(|(_, suffix)| suffix.to_ascii_lowercase());
    suffix.is_some_and(|suffix| SUFFIXES.contains(&suffix.as_str()))
}

/// Width and height in pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Size {
    /// From left to right.
    pub width: usize,
    /// From top to bottom.
    pub height: usize,
}

/// An image whose header is read.
pub enum Opened<'a> {
    /// Decoded region by region.
    Jpeg(Jpeg<'a>),
    /// Decoded already, as a whole.
    Whole(Raster),
}

/// Opens an image and stands it upright.
pub fn open(file: &[u8]) -> Result<Opened<'_>, String> {
    if file.is_empty() {
        return Err("it is empty".into());
    }
    if !file.starts_with(&[0xff, 0xd8, 0xff]) {
        // Decoders panic on some damaged files: `png` 0.18 on a palette that ends within a color.
        let decoded = panics::caught(|| other(file));
        let failed = |message| Err(format!("it is damaged, and its decoder fails: {message}"));
        return decoded.unwrap_or_else(failed).map(Opened::Whole);
    }
    let image = Jpeg::open(file)?;
    let size = image.size();
    if size.width == 0 || size.height == 0 {
        return Err("it has no pixels".into());
    }
    match exif::of_jpeg(file) {
        1 => Ok(Opened::Jpeg(image)),
        turned => Ok(Opened::Whole(whole(&image)?.oriented(turned))),
    }
}

impl Opened<'_> {
    /// Size of the upright image, in pixels.
    pub fn size(&self) -> Size {
        match self {
            Self::Jpeg(image) => image.size(),
            Self::Whole(raster) => Size { width: raster.width, height: raster.height },
        }
    }

    /// Gives each row of a region to `row`, from the top.
    pub fn region(
        &self,
        columns: Range<usize>,
        rows: Range<usize>,
        row: &mut dyn FnMut(usize, &[u8]),
    ) -> Result<(), String> {
        match self {
            Self::Jpeg(image) => image.region(columns, rows, row),
            Self::Whole(raster) => {
                let bytes = columns.start * raster::PIXEL..columns.end * raster::PIXEL;
                rows.for_each(|y| row(y, &raster.row(y)[bytes.clone()]));
                Ok(())
            }
        }
    }

    /// Decodes all pixels of the image.
    pub fn raster(self) -> Result<Raster, String> {
        match self {
            Self::Jpeg(image) => whole(&image),
            Self::Whole(raster) => Ok(raster),
        }
    }
}

fn whole(image: &Jpeg) -> Result<Raster, String> {
    let Size { width, height } = image.size();
    let mut pixels = Vec::new();
    image.region(0..width, 0..height, &mut |_, row| pixels.extend_from_slice(row))?;
    Ok(Raster { width, height, pixels })
}

/// All but JPEG; of an animation the first image.
fn other(file: &[u8]) -> Result<Raster, String> {
    let mut reader = ImageReader::new(Cursor::new(file))
        .with_guessed_format()
        .map_err(|error| error.to_string())?;
    let read = "PNG, JPEG, BMP, WebP, TIFF, GIF and PNM are read";
    let format = match reader.format() {
        Some(
            format @ (ImageFormat::Png
            | ImageFormat::Bmp
            | ImageFormat::WebP
            | ImageFormat::Tiff
            | ImageFormat::Gif
            | ImageFormat::Pnm),
        ) => format,
        Some(format) => return Err(format!("it is {format:?}; {read}")),
        None => {
            let known = what_it_is(file).map(str::to_owned);
            return Err(known.unwrap_or(format!("its first bytes are not an image's; {read}")));
        }
    };
    let mut limits = Limits::default();
    limits.max_alloc = Some(MAX_PIXELS as u64 * 4);
    reader.limits(limits);
    let mut decoder = reader.into_decoder().map_err(|error| error.to_string())?;
    let (width, height) = decoder.dimensions();
    let (width, height) = (width as usize, height as usize);
    if width == 0 || height == 0 {
        return Err("it has no pixels".into());
    }
    if width * height > MAX_PIXELS {
        return Err(format!("{width} × {height} pixels are more than the limit, {MAX_PIXELS}"));
    }
    let bits = usize::from(decoder.original_color_type().bits_per_pixel());
    if format == ImageFormat::Png && width * height * bits / 8 > file.len() * MOST_DEFLATED {
        let length = file.len();
        return Err(format!(
            "its {length} bytes cannot hold {width} × {height} pixels: it is cut short"
        ));
    }
    let orientation = match format {
        // EXIF is a TIFF itself.
        ImageFormat::Tiff => exif::of_tiff(file),
        _ => decoder.exif_metadata().ok().flatten().and_then(|it| exif::of_tiff(&it)),
    };
    let image = DynamicImage::from_decoder(decoder).map_err(|error| error.to_string())?;
    Ok(raster_of(image, width, height).oriented(orientation.unwrap_or(1)))
}

/// As `convert("RGB")`: transparency is dropped, and of 16-bit colours the high byte is kept.
fn raster_of(image: DynamicImage, width: usize, height: usize) -> Raster {
    let high = |value: &u16| (value >> 8) as u8;
    match image {
        DynamicImage::ImageLuma8(it) => Raster::from_grey(width, height, it.into_raw().into_iter()),
        DynamicImage::ImageLumaA8(it) => {
            Raster::from_grey(width, height, it.into_raw().into_iter().step_by(2))
        }
        // Pillow reads grey of 16 bits as numbers, and clips them at 255.
        DynamicImage::ImageLuma16(it) => {
            Raster::from_grey(width, height, it.into_raw().into_iter().map(|it| it.min(255) as u8))
        }
        DynamicImage::ImageLumaA16(it) => {
            Raster::from_grey(width, height, it.into_raw().iter().step_by(2).map(high))
        }
        DynamicImage::ImageRgb8(it) => Raster::from_rgb(width, height, it.as_raw(), 3),
        DynamicImage::ImageRgba8(it) => Raster::from_rgb(width, height, it.as_raw(), 4),
        DynamicImage::ImageRgb16(it) => {
            let bytes: Vec<u8> = it.as_raw().iter().map(high).collect();
            Raster::from_rgb(width, height, &bytes, 3)
        }
        DynamicImage::ImageRgba16(it) => {
            let bytes: Vec<u8> = it.as_raw().iter().map(high).collect();
            Raster::from_rgb(width, height, &bytes, 4)
        }
        other => Raster::from_rgb(width, height, other.to_rgb8().as_raw(), 3),
    }
}
