use std::borrow::Cow;
use std::fs;
use std::ops::Deref;
use std::path::PathBuf;
use std::sync::Arc;

use memmap2::Mmap;

use super::ImageShape;
use super::codec::raster::{PIXEL, Raster};
use super::codec::{Opened, open};
use super::pack::Pack;
use super::zipped::Zip;

/// Largest image file that is read, in bytes.
const MAX_FILE_BYTES: u64 = 1 << 30;

/// Where an image is.
#[derive(Debug, Clone)]
pub enum ItemFile {
    /// In a file of its own.
    Path(PathBuf),
    /// In memory, or in a part of a file: the bytes of an image file.
    Bytes(Arc<Blob>),
    /// In an array of images.
    Pixels(PixelBlock),
    /// In a pack, under this number.
    Packed(Arc<Pack>, usize),
    /// In a zip, under this number.
    Zipped(Arc<Zip>, usize),
    /// Nowhere: it cannot be used, for this reason.
    Unusable(String),
}

/// An image in an array of images.
#[derive(Debug, Clone)]
pub struct PixelBlock {
    /// The array that holds the image.
    pub array: Arc<PixelArray>,
    /// Where the image starts.
    pub start: usize,
}

/// An array of images of one shape, each `[height, width, channels]`.
#[derive(Debug)]
pub struct PixelArray {
    /// The pixels of all images, one image after another.
    pub bytes: Blob,
    /// Shape of each image.
    pub shape: ImageShape,
}

/// Bytes in memory, or of a file that is mapped into it.
pub enum Blob {
    /// Bytes held in memory.
    Owned(Vec<u8>),
    /// A part of a file.
    Mapped(Arc<Mmap>, std::ops::Range<usize>),
}

impl std::fmt::Debug for Blob {
    /// Without the bytes.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Blob({} bytes)", self.len())
    }
}

impl Deref for Blob {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Owned(bytes) => bytes,
            Self::Mapped(map, range) => &map[range.clone()],
        }
    }
}

impl ItemFile {
    /// The bytes of the image's file, or of its pixels if it has no file.
    pub fn bytes(&self) -> Result<Cow<'_, [u8]>, String> {
        match self {
            Self::Path(path) => {
                let meta = fs::metadata(path).map_err(|error| error.to_string())?;
                if meta.is_dir() {
                    return Err("it is a folder".into());
                }
                // A pipe or a device would be read forever.
                if !meta.is_file() {
                    return Err("it is not a regular file".into());
                }
                if meta.len() > MAX_FILE_BYTES {
                    return Err(format!(
                        "it has {} bytes, more than the {MAX_FILE_BYTES} that are read",
                        meta.len()
                    ));
                }
                fs::read(path).map(Cow::Owned).map_err(|error| error.to_string())
            }
            Self::Bytes(bytes) => Ok(Cow::Borrowed(bytes)),
            Self::Pixels(block) => Ok(Cow::Borrowed(block.pixels())),
            Self::Packed(pack, image) => pack.pixels(*image).map(Cow::Borrowed),
            Self::Zipped(zip, index) => zip.read(*index, MAX_FILE_BYTES).map(Cow::Owned),
            Self::Unusable(reason) => Err(reason.clone()),
        }
    }

    /// Opens it, turned by `turns` quarter turns against the clock, and calls `read` with it.
    pub fn with<T>(
        &self,
        turns: u8,
        read: impl FnOnce(&Opened) -> Result<T, String>,
    ) -> Result<T, String> {
        let bytes = self.bytes()?;
        let opened = match self {
            Self::Pixels(block) => Opened::Whole(interleaved(&bytes, block.array.shape)),
            Self::Packed(pack, _) => Opened::Whole(planar(&bytes, pack.shape())),
            _ => open(&bytes)?,
        };
        // The EXIF orientation that means the same turn.
        let orientation = match turns % 4 {
            0 => return read(&opened),
            1 => 8,
            2 => 3,
            _ => 6,
        };
        read(&Opened::Whole(opened.raster()?.oriented(orientation)))
    }
}

impl PixelBlock {
    fn pixels(&self) -> &[u8] {
        &self.array.bytes[self.start..self.start + self.array.shape.values()]
    }
}

fn interleaved(bytes: &[u8], shape: ImageShape) -> Raster {
    match shape.channels {
        1 => Raster::from_grey(shape.width, shape.height, bytes.iter().copied()),
        channels => Raster::from_rgb(shape.width, shape.height, bytes, channels),
    }
}

fn planar(bytes: &[u8], shape: ImageShape) -> Raster {
    let plane = shape.width * shape.height;
    match shape.channels {
        1 => Raster::from_grey(shape.width, shape.height, bytes.iter().copied()),
        _ => {
            let (red, rest) = bytes.split_at(plane);
            let (green, blue) = rest.split_at(plane);
            let mut pixels = vec![255; plane * PIXEL];
            let colours = red.iter().zip(green).zip(blue);
            for (pixel, ((red, green), blue)) in
                pixels.as_chunks_mut::<PIXEL>().0.iter_mut().zip(colours)
            {
                *pixel = [*red, *green, *blue, 255];
            }
            Raster { width: shape.width, height: shape.height, pixels }
        }
    }
}
