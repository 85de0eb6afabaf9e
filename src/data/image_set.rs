use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::Arc;

use image::RgbImage;
use rayon::prelude::*;

use super::cache::Cache;
use super::listing::Item;
use super::source::ItemFile;
use super::thumbnail::thumbnail;
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
    images: Vec<Item>,
    shape: ImageShape,
    options: SetOptions,
    cache: Cache,
}

/// How the images of a set become values.
#[derive(Debug, Clone)]
pub(super) struct SetOptions {
    /// Ink is dark on paper, and 1 to the network.
    pub ink_is_dark: bool,
    /// How bytes become the network's input.
    pub normalization: Normalization,
    /// Random changes in training.
    pub augmentation: Option<Augmentation>,
    /// Leave out classes that are too small for an episode.
    pub skip_small_classes: bool,
    /// Why there is no class, if there is none.
    pub absence: String,
}

impl ImageSet {
    pub(super) fn new(
        images: Vec<Item>,
        shape: ImageShape,
        options: SetOptions,
        cache: Cache,
    ) -> Self {
        let mut members: BTreeMap<Arc<str>, Vec<usize>> = BTreeMap::new();
        for (at, image) in images.iter().enumerate() {
            members.entry(image.class.clone()).or_default().push(at);
        }
        let class = |(name, images): (Arc<str>, _)| Class { name: name.to_string(), images };
        let classes = members.into_iter().map(class).collect();
        Self(Arc::new(Inner { classes, images, shape, options, cache }))
    }

    /// Classes in the order of their names; an episode names them by index.
    pub fn classes(&self) -> &[Class] {
        &self.0.classes
    }

    /// Number of images of all classes.
    pub fn len(&self) -> usize {
        self.0.images.len()
    }

    /// Whether there is no image.
    pub fn is_empty(&self) -> bool {
        self.0.images.is_empty()
    }

    /// Shape of every image.
    pub fn shape(&self) -> ImageShape {
        self.0.shape
    }

    /// Most bytes of memory that it takes, once each image was used.
    pub fn memory_bytes(&self) -> u64 {
        let listed: usize = self.0.images.iter().map(listed_bytes).sum();
        (listed + self.0.cache.memory_bytes(self.0.shape.values())) as u64
    }

    /// Images that a cache in memory may keep.
    pub fn images_in_memory(&self) -> usize {
        self.0.cache.images_in_memory()
    }

    /// Path of an image inside the data set, `/` between its parts.
    pub fn image_name(&self, image: usize) -> &str {
        &self.0.images[image].name
    }

    /// The file of an image that has one of its own.
    pub fn image_path(&self, image: usize) -> Option<&Path> {
        match &self.0.images[image].file {
            ItemFile::Path(path) => Some(path),
            _ => None,
        }
    }

    /// Numbers of the images by path.
    pub fn by_name(&self) -> HashMap<&str, usize> {
        (0..self.len()).map(|image| (self.image_name(image), image)).collect()
    }

    /// Whether classes too small for an episode are left out of episodes.
    pub fn skips_small_classes(&self) -> bool {
        self.0.options.skip_small_classes
    }

    /// Why there is no class, if there is none.
    pub(super) fn absence(&self) -> &str {
        &self.0.options.absence
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
        let Item { name, file, turns, .. } = &images[image];
        let named = |reason| bad(name, reason);
        if let (ItemFile::Packed(pack, at), false, 0) = (file, options.ink_is_dark, turns)
            && pack.shape() == *shape
        {
            return pack.pixels(*at).map(Cow::Borrowed).map_err(named);
        }
        let mut pixels = file
            .with(*turns, |opened| view_of(opened, &centre_view(opened.size(), *shape), *shape))
            .map_err(named)?;
        self.ink(&mut pixels);
        cache.put(image, &pixels);
        Ok(Cow::Owned(pixels))
    }

    /// The middle of an image as it is looked at, `side` pixels wide and high.
    ///
    /// # Errors
    /// When it cannot be read or decoded.
    pub fn thumbnail(&self, image: usize, side: usize) -> Result<RgbImage, DataError> {
        let item = &self.0.images[image];
        thumbnail(item, side).map_err(|reason| bad(&item.name, reason))
    }

    /// Bytes of an image as an episode has it, `[channels, height, width]`. With a `seed`, the changes of
    /// training that it draws are made.
    fn drawn(&self, image: usize, seed: Option<[u8; 32]>) -> Result<Cow<'_, [u8]>, DataError> {
        let Inner { images, shape, options, .. } = &*self.0;
        let (Some(seed), Some(steps)) = (seed, &options.augmentation) else {
            return self.pixels(image);
        };
        let Item { name, file, turns, .. } = &images[image];
        let mut pixels = file
            .with(*turns, |opened| augment(opened, *shape, steps, seed))
            .map_err(|reason| bad(name, reason))?;
        self.ink(&mut pixels);
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
        let pixels = self.drawn(image, seed)?;
        self.0.options.normalization.apply(&pixels, self.0.shape, values);
        Ok(())
    }

    /// Bytes of several images, `[images, channels, height, width]`, on all threads of the pool that it
    /// is called in. `seed` gives each image's, by its place in the list. [`ImageSet::values`] makes the
    /// network's input of them, which is four times as large.
    ///
    /// # Errors
    /// When an image cannot be read or decoded.
    pub fn bytes_of_all(
        &self,
        images: &[usize],
        seed: impl Fn(usize) -> Option<[u8; 32]> + Sync,
    ) -> Result<Vec<u8>, DataError> {
        let size = self.0.shape.values();
        let mut bytes = vec![0; images.len() * size];
        bytes.par_chunks_exact_mut(size).zip(images).enumerate().try_for_each(
            |(place, (bytes, image))| {
                bytes.copy_from_slice(&self.drawn(*image, seed(place))?);
                Ok(())
            },
        )?;
        Ok(bytes)
    }

    /// How bytes become the network's input.
    pub fn normalization(&self) -> &Normalization {
        &self.0.options.normalization
    }

    /// The network's input for the bytes of images, `[images, channels, height, width]`.
    pub fn values(&self, bytes: &[u8]) -> Vec<f32> {
        let size = self.0.shape.values();
        let mut values = vec![0.0; bytes.len()];
        let images = values.par_chunks_exact_mut(size).zip(bytes.par_chunks_exact(size));
        images.for_each(|(values, bytes)| {
            self.0.options.normalization.apply(bytes, self.0.shape, values);
        });
        values
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

    /// Values of those images that can be read, `[images read, channels, height, width]`, and for each
    /// image of the list what was wrong with it.
    pub fn read_usable(&self, images: &[usize]) -> (Vec<f32>, Vec<Result<(), DataError>>) {
        let size = self.0.shape.values();
        let mut values = vec![0.0; images.len() * size];
        let outcomes: Vec<Result<(), DataError>> = values
            .par_chunks_exact_mut(size)
            .zip(images)
            .map(|(values, image)| self.read(*image, None, values))
            .collect();
        let mut read = 0;
        for (place, _) in outcomes.iter().enumerate().filter(|(_, outcome)| outcome.is_ok()) {
            values.copy_within(place * size..(place + 1) * size, read * size);
            read += 1;
        }
        values.truncate(read * size);
        (values, outcomes)
    }

    /// Ink is 1: most of a drawing is paper, and so most of it is 0.
    fn ink(&self, pixels: &mut [u8]) {
        if self.0.options.ink_is_dark {
            pixels.iter_mut().for_each(|value| *value = 255 - *value);
        }
    }
}

/// About what an image takes that is listed: itself, its name, and its path or bytes.
fn listed_bytes(image: &Item) -> usize {
    let path = match &image.file {
        ItemFile::Path(path) => path.as_os_str().len(),
        ItemFile::Unusable(reason) => reason.len(),
        ItemFile::Bytes(_) | ItemFile::Pixels(_) | ItemFile::Packed(..) | ItemFile::Zipped(..) => 0,
    };
    size_of::<Item>() + image.name.len() + path
}

fn bad(name: &str, reason: String) -> DataError {
    DataError::Image { name: name.to_owned(), reason }
}
