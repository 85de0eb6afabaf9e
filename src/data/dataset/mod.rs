//! The images of a pipeline, opened: listings → a set of images a split.

mod absence;
mod fingerprint;
mod outside;
mod overlap;
mod part;
mod sources;

use std::path::Path;

use super::image_set::ImageSet;
use super::listing::Item;
use super::{DataError, ImageShape, Split};
use crate::config::Pipeline;
pub use outside::{ink_is_dark, open_class_folders, open_files};
pub use overlap::DataWarning;
pub use sources::format_of;

/// The images of a pipeline.
#[derive(Debug, Clone)]
pub struct Dataset {
    base: ImageSet,
    val: ImageSet,
    novel: ImageSet,
    notes: Vec<String>,
    warnings: Vec<DataWarning>,
    fingerprint: String,
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

    /// Most bytes of memory that decoded images take, once each was used.
    pub fn memory_bytes(&self) -> u64 {
        [&self.base, &self.val, &self.novel].map(ImageSet::memory_bytes).iter().sum()
    }

    /// What the user should know: a guessed layout, images that were left out.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// What is probably wrong with the data: classes or pictures that two splits share.
    pub fn warnings(&self) -> &[DataWarning] {
        &self.warnings
    }

    /// A fingerprint of the listing: the splits, the classes, and the names and sizes of their images.
    /// It is the same on every machine and wherever the data set lies. The content of images is not
    /// read, so an image that was replaced by one of the same size is not noticed.
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }
}

/// Opens the data of a pipeline; `base` is the folder that a relative root is relative to.
///
/// # Errors
/// When a root is missing or has another layout, when an image is found to be damaged, or when all
/// test classes are training classes without the pipeline asking for it.
pub fn open(pipeline: &Pipeline, base: &Path) -> Result<Dataset, DataError> {
    let data = &pipeline.data;
    let size = data.image_size;
    let shape =
        ImageShape { channels: pipeline.backbone.kind.channels(), height: size, width: size };
    let mut notes = Vec::new();
    let parts = sources::parts(pipeline, base, &mut notes)?;
    let items: Vec<&Item> = parts.iter().flat_map(|(_, part)| &part.items).collect();
    let facts = fingerprint::facts(&items);
    let fingerprint = fingerprint::fingerprint(&items, &facts.bytes);
    let warnings = overlap::find(&items, &facts);
    drop(items);
    let overlap = overlap::check(&parts, pipeline);
    let mut sets = Vec::with_capacity(parts.len());
    for (split, part) in parts {
        sets.push(part.image_set(data, split, shape, &mut notes)?);
    }
    // Damage is said first: it may be the reason.
    overlap?;
    let [base, val, novel] = sets.try_into().unwrap_or_else(|_| unreachable!("a part a split"));
    Ok(Dataset { base, val, novel, notes, warnings, fingerprint })
}
