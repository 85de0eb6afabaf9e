use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use rayon::prelude::*;

use super::decode::decode;
use super::formats::{Listing, omniglot, synthetic};
use super::image_set::Normalization;
use super::{Class, DataError, ImageSet, ImageShape, Split};
use crate::config::{self, Format};

/// The images of a pipeline.
#[derive(Debug, Clone)]
pub struct Dataset {
    base: ImageSet,
    val: ImageSet,
    novel: ImageSet,
}

impl Dataset {
    /// The images of one split.
    pub fn split(&self, split: Split) -> &ImageSet {
        match split {
            Split::Base => &self.base,
            Split::Val => &self.val,
            Split::Novel => &self.novel,
        }
    }
}

/// Opens the data of a pipeline; `base` is the folder that a relative root is relative to.
///
/// # Errors
/// When the root is missing or holds no such data set, or when an image is damaged.
pub fn open(data: &config::Data, shape: ImageShape, base: &Path) -> Result<Dataset, DataError> {
    let root = data.root.as_ref().map(|root| base.join(root));
    let listing = match data.format {
        Format::Omniglot => omniglot::list(&existing(root)?)?,
        Format::Synthetic => synthetic::list(root.as_deref())?,
    };
    let set = |split| image_set(&listing, split, shape);
    Ok(Dataset { base: set(Split::Base)?, val: set(Split::Val)?, novel: set(Split::Novel)? })
}

fn existing(root: Option<PathBuf>) -> Result<PathBuf, DataError> {
    let Some(root) = root else {
        return Err(DataError::pipeline(
            "data.root",
            "`data.root` is not given, and this format needs it",
            "name the data set's folder: `data.root` in the file, `--set data.root=…` or \
             FSCT_DATA__ROOT",
        ));
    };
    if !root.is_dir() {
        return Err(DataError::pipeline(
            "data.root",
            format!("`data.root: {}` is not a folder", root.display()),
            "name the data set's folder: `data.root` in the file, `--set data.root=…` or \
             FSCT_DATA__ROOT",
        ));
    }
    Ok(root)
}

/// Decodes the images of a split, in the order of class and name.
fn image_set(listing: &Listing, split: Split, shape: ImageShape) -> Result<ImageSet, DataError> {
    let mut classes: BTreeMap<&str, Class> = BTreeMap::new();
    let items: Vec<_> = listing.items.iter().filter(|item| item.split == split).collect();
    for (image, item) in items.iter().enumerate() {
        classes
            .entry(&item.class)
            .or_insert_with(|| Class { name: item.class.clone(), images: Vec::new() })
            .images
            .push(image);
    }
    let decoded: Vec<Vec<u8>> = items
        .par_iter()
        .map(|item| {
            let file = item.file.read()?;
            let mut pixels = decode(&item.name, &file, shape)?;
            if listing.ink_is_dark {
                // Ink is 1: most of a drawing is paper, and so most of it is 0.
                pixels.iter_mut().for_each(|value| *value = 255 - *value);
            }
            Ok(pixels)
        })
        .collect::<Result<_, DataError>>()?;
    Ok(ImageSet::new(
        classes.into_values().collect(),
        items.iter().map(|item| item.name.clone()).collect(),
        shape,
        Normalization::UNIT,
        decoded.concat(),
    ))
}
