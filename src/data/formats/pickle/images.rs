//! The images of a pickle: one array of pixels, or a list of encoded images.

use std::sync::Arc;

use memmap2::Mmap;

use super::array::{Array, Bytes, row_major};
use super::value::Value;
use crate::data::ImageShape;
use crate::data::source::{Blob, ItemFile, PixelArray, PixelBlock};

/// The images of one file, by number.
pub enum Images {
    /// Pixels, `[images, height, width, channels]`.
    Pixels { array: Arc<PixelArray>, count: usize },
    /// Files such as PNGs.
    Encoded(Vec<Arc<Blob>>),
}

impl Images {
    /// The images in a pickle: an array under `image_data`, `data` or `images`, or a list of arrays of
    /// bytes, each an image file.
    pub fn of_pickle(value: &Value, map: &Arc<Mmap>) -> Result<Self, String> {
        let found = ["image_data", "data", "images"].iter().find_map(|name| value.entry(name, map));
        match found.as_ref().unwrap_or(value) {
            Value::Array(array) => Self::of_array(&array.borrow(), map),
            Value::List(list) if !list.borrow().items.is_empty() => {
                let list = list.borrow();
                let encoded = |value: &Value| match value {
                    Value::Array(array) => {
                        let array = array.borrow();
                        let flat = array.shape.iter().filter(|side| **side != 1).count() <= 1;
                        let is_bytes = matches!(array.dtype.as_str(), "u1" | "i1") && flat;
                        array
                            .data
                            .as_ref()
                            .filter(|_| is_bytes)
                            .map(|data| Arc::new(blob(data, map)))
                    }
                    Value::Bytes(data) => Some(Arc::new(blob(data, map))),
                    _ => None,
                };
                let images: Option<Vec<_>> = list.items.iter().map(encoded).collect();
                images.map(Self::Encoded).ok_or_else(|| {
                    "its list is not of image files (arrays of bytes, such as PNGs)".into()
                })
            }
            _ => {
                Err("it has no array `image_data`, `data` or `images`, and is not a list of images"
                    .into())
            }
        }
    }

    /// An array of pixels.
    pub fn of_array(array: &Array, map: &Arc<Mmap>) -> Result<Self, String> {
        let [count, height, width, channels] = array.shape[..] else {
            return Err(format!(
                "its images have the shape {:?}, not [n, height, width, 3]",
                array.shape
            ));
        };
        if array.dtype != "u1" || !matches!(channels, 1 | 3) {
            return Err(format!(
                "its images are {:?} of {}; bytes (u1) of 1 or 3 channels are read",
                array.shape, array.dtype
            ));
        }
        let shape = ImageShape { channels, height, width };
        let data = array.data.as_ref().ok_or("its array has no bytes")?;
        let length = data.of(map).map_or(0, <[u8]>::len);
        let values = height.checked_mul(width).and_then(|it| it.checked_mul(channels));
        if values.and_then(|it| it.checked_mul(count)) != Some(length) || values == Some(0) {
            return Err(format!("{count} images of {shape:?} are not {length} bytes"));
        }
        let bytes = if array.fortran {
            let bytes = data.of(map).and_then(|bytes| row_major(bytes, &array.shape, 1));
            Blob::Owned(bytes.ok_or("its array has no bytes")?)
        } else {
            blob(data, map)
        };
        Ok(Self::Pixels { array: Arc::new(PixelArray { bytes, shape }), count })
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        match self {
            Self::Pixels { count, .. } => *count,
            Self::Encoded(images) => images.len(),
        }
    }

    /// The image at a position; `None` if there are not so many.
    pub fn file(&self, at: usize) -> Option<ItemFile> {
        Some(match self {
            Self::Pixels { array, .. } => {
                let start = at.checked_mul(array.shape.values())?;
                ItemFile::Pixels(PixelBlock { array: array.clone(), start })
            }
            Self::Encoded(images) => ItemFile::Bytes(images.get(at)?.clone()),
        })
    }
}

fn blob(data: &Bytes, map: &Arc<Mmap>) -> Blob {
    match data {
        Bytes::File(range) => Blob::Mapped(map.clone(), range.clone()),
        Bytes::Owned(bytes) => Blob::Owned(bytes.to_vec()),
    }
}
