use std::collections::HashMap;
use std::sync::Arc;

use super::ImageShape;

/// A class and its images.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Class {
    /// Its name, unique in the data set.
    pub name: String,
    /// Numbers of its images in the set.
    pub images: Vec<usize>,
}

/// The images of one split, decoded once and kept as bytes. Cheap to clone.
#[derive(Debug, Clone)]
pub struct ImageSet(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    classes: Vec<Class>,
    names: Vec<String>,
    shape: ImageShape,
    normalization: Normalization,
    /// All images one after the other, each `[channels, height, width]`.
    bytes: Vec<u8>,
}

/// How a byte becomes a value: `byte · scale + shift`, a channel.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Normalization {
    scale: [f32; 3],
    shift: [f32; 3],
}

impl Normalization {
    /// 0..255 → 0..1.
    pub const UNIT: Self = Self { scale: [1.0 / 255.0; 3], shift: [0.0; 3] };
}

impl ImageSet {
    /// A set of `classes` over images with `names` and `bytes`.
    pub(super) fn new(
        classes: Vec<Class>,
        names: Vec<String>,
        shape: ImageShape,
        normalization: Normalization,
        bytes: Vec<u8>,
    ) -> Self {
        assert_eq!(bytes.len(), names.len() * shape.values(), "one image a name");
        Self(Arc::new(Inner { classes, names, shape, normalization, bytes }))
    }

    /// Classes by name.
    pub fn classes(&self) -> &[Class] {
        &self.0.classes
    }

    /// Images.
    pub fn len(&self) -> usize {
        self.0.names.len()
    }

    /// Whether there is no image.
    pub fn is_empty(&self) -> bool {
        self.0.names.is_empty()
    }

    /// Shape of every image.
    pub fn shape(&self) -> ImageShape {
        self.0.shape
    }

    /// Path of an image inside the data set, `/` between its parts.
    pub fn image_name(&self, image: usize) -> &str {
        &self.0.names[image]
    }

    /// Numbers of the images by path.
    pub fn by_name(&self) -> HashMap<&str, usize> {
        self.0.names.iter().enumerate().map(|(image, name)| (name.as_str(), image)).collect()
    }

    /// Bytes of an image, `[channels, height, width]`.
    pub fn pixels(&self, image: usize) -> &[u8] {
        let values = self.0.shape.values();
        &self.0.bytes[image * values..(image + 1) * values]
    }

    /// Appends an image's values as the network reads them, `[channels, height, width]`.
    pub fn read_into(&self, image: usize, values: &mut Vec<f32>) {
        let Normalization { scale, shift } = self.0.normalization;
        let plane = self.0.shape.height * self.0.shape.width;
        for (channel, bytes) in self.pixels(image).chunks_exact(plane).enumerate() {
            let (scale, shift) = (scale[channel], shift[channel]);
            values.extend(bytes.iter().map(|byte| f32::from(*byte) * scale + shift));
        }
    }
}
