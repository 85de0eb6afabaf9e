use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use rayon::prelude::*;

use super::cache::Cache;
use super::pack::Pack;
use super::source::ItemFile;
use super::transform::{Normalization, augment, centre_view, view_of};
use super::{DataError, ImageShape};
use crate::config::Augmentation;

/// A class and its images.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Class {
    /// Its name, unique in the split.
    pub name: String,
    /// Numbers of its images in the set.
    pub images: Vec<usize>,
}

/// The images of one split. Cheap to clone.
#[derive(Debug, Clone)]
pub struct ImageSet(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    classes: Vec<Class>,
    images: Images,
    shape: ImageShape,
    options: SetOptions,
    cache: Cache,
}

/// The images of a set.
#[derive(Debug)]
pub(super) enum Images {
    /// One by one.
    Listed(Vec<Image>),
    /// Some of a pack's, whose names stay in its file: a set of 60,000 is opened at once.
    Packed {
        /// The pack.
        pack: Arc<Pack>,
        /// Its number of each image, and where its name stands.
        images: Vec<(usize, usize)>,
    },
}

impl Images {
    fn len(&self) -> usize {
        match self {
            Self::Listed(images) => images.len(),
            Self::Packed { images, .. } => images.len(),
        }
    }

    fn name(&self, image: usize) -> &str {
        match self {
            Self::Listed(images) => &images[image].name,
            Self::Packed { pack, images } => pack.name(images[image].1),
        }
    }

    /// Where an image is, and how it is turned.
    fn file(&self, image: usize) -> (Cow<'_, ItemFile>, u8) {
        match self {
            Self::Listed(images) => (Cow::Borrowed(&images[image].file), images[image].turns),
            Self::Packed { pack, images } => {
                (Cow::Owned(ItemFile::Packed(pack.clone(), images[image].0)), 0)
            }
        }
    }

    /// The bytes of an image that need no decoding.
    fn in_place(&self, image: usize, shape: ImageShape) -> Option<Result<&[u8], String>> {
        match self {
            Self::Packed { pack, images } if pack.shape() == shape => {
                Some(pack.pixels(images[image].0))
            }
            Self::Listed(images) => match &images[image] {
                Image { file: ItemFile::Packed(pack, at), turns: 0, .. }
                    if pack.shape() == shape =>
                {
                    Some(pack.pixels(*at))
                }
                _ => None,
            },
            Self::Packed { .. } => None,
        }
    }
}

/// An image of a set.
#[derive(Debug)]
pub(super) struct Image {
    /// Path inside the data set.
    pub name: String,
    /// Where it is.
    pub file: ItemFile,
    /// Quarter turns against the clock.
    pub turns: u8,
}

/// How the images of a set become values.
#[derive(Debug, Clone)]
pub(super) struct SetOptions {
    /// Ink is dark on paper, and 1 to the network.
    pub ink_is_dark: bool,
    /// Bytes → values.
    pub normalization: Normalization,
    /// Random changes in training.
    pub augmentation: Option<Augmentation>,
    /// Leave out classes that are too small for an episode.
    pub skip_small_classes: bool,
}

impl ImageSet {
    pub(super) fn new(
        classes: Vec<Class>,
        images: Images,
        shape: ImageShape,
        options: SetOptions,
        cache: Cache,
    ) -> Self {
        Self(Arc::new(Inner { classes, images, shape, options, cache }))
    }

    /// Classes by name.
    pub fn classes(&self) -> &[Class] {
        &self.0.classes
    }

    /// Images.
    pub fn len(&self) -> usize {
        self.0.images.len()
    }

    /// Whether there is no image.
    pub fn is_empty(&self) -> bool {
        self.0.images.len() == 0
    }

    /// Shape of every image.
    pub fn shape(&self) -> ImageShape {
        self.0.shape
    }

    /// Bytes of memory that it will take when each image was used once.
    pub fn memory_bytes(&self) -> u64 {
        // A name, a path and a slot of the cache; a pack's names stay in its file.
        const LISTED: usize = 256;
        let listed = match &self.0.images {
            Images::Listed(images) => images.len() * LISTED,
            Images::Packed { .. } => 0,
        };
        (listed + self.0.cache.memory_bytes(self.0.shape.values())) as u64
    }

    /// Path of an image inside the data set, `/` between its parts.
    pub fn image_name(&self, image: usize) -> &str {
        self.0.images.name(image)
    }

    /// Numbers of the images by path.
    pub fn by_name(&self) -> HashMap<&str, usize> {
        (0..self.len()).map(|image| (self.image_name(image), image)).collect()
    }

    /// Whether classes too small for an episode are left out of episodes.
    pub fn skips_small_classes(&self) -> bool {
        self.0.options.skip_small_classes
    }

    /// Bytes of an image, `[channels, height, width]`.
    ///
    /// # Errors
    /// When it cannot be read or decoded.
    pub fn pixels(&self, image: usize) -> Result<Cow<'_, [u8]>, DataError> {
        let Inner { images, shape, options, cache, .. } = &*self.0;
        if let Some(pixels) = cache.get(image) {
            return Ok(Cow::Borrowed(pixels));
        }
        if let Some(pixels) = cache.read(image) {
            return Ok(Cow::Owned(pixels));
        }
        let named = |reason| bad(images.name(image), reason);
        if !options.ink_is_dark
            && let Some(pixels) = images.in_place(image, *shape)
        {
            return pixels.map(Cow::Borrowed).map_err(named);
        }
        let (file, turns) = images.file(image);
        let mut pixels = file
            .with(turns, |opened| view_of(opened, &centre_view(opened.size(), *shape), *shape))
            .map_err(named)?;
        self.ink(&mut pixels);
        cache.put(image, &pixels);
        Ok(Cow::Owned(pixels))
    }

    /// Writes an image's values as the network reads them, `[channels, height, width]`. With a
    /// `seed`, the changes of training that it draws are made.
    ///
    /// # Errors
    /// When the image cannot be read or decoded.
    pub fn read(
        &self,
        image: usize,
        seed: Option<[u8; 32]>,
        values: &mut [f32],
    ) -> Result<(), DataError> {
        let Inner { images, shape, options, .. } = &*self.0;
        let pixels = match (seed, &options.augmentation) {
            (Some(seed), Some(steps)) => {
                let (file, turns) = images.file(image);
                let mut pixels = file
                    .with(turns, |opened| augment(opened, *shape, steps, seed))
                    .map_err(|reason| bad(images.name(image), reason))?;
                self.ink(&mut pixels);
                Cow::Owned(pixels)
            }
            _ => self.pixels(image)?,
        };
        options.normalization.apply(&pixels, *shape, values);
        Ok(())
    }

    /// Values of several images, `[images, channels, height, width]`, on all threads of the pool
    /// that it is called in. `seed` gives each image's, by its place in the list.
    ///
    /// # Errors
    /// When an image cannot be read or decoded.
    pub fn read_all(
        &self,
        images: &[usize],
        seed: impl Fn(usize) -> Option<[u8; 32]> + Sync,
    ) -> Result<Vec<f32>, DataError> {
        let mut values = vec![0.0; images.len() * self.0.shape.values()];
        values
            .par_chunks_exact_mut(self.0.shape.values())
            .zip(images)
            .enumerate()
            .try_for_each(|(place, (values, image))| self.read(*image, seed(place), values))?;
        Ok(values)
    }

    /// Ink is 1: most of a drawing is paper, and so most of it is 0.
    fn ink(&self, pixels: &mut [u8]) {
        if self.0.options.ink_is_dark {
            pixels.iter_mut().for_each(|value| *value = 255 - *value);
        }
    }
}

fn bad(name: &str, reason: String) -> DataError {
    DataError::Image { name: name.to_owned(), reason }
}
