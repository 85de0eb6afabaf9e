//! The images of one split.

use rayon::prelude::*;

use crate::config::{self, OnBadImage};
use crate::data::cache::Cache;
use crate::data::image_set::{ImageSet, SetOptions};
use crate::data::listing::{EmptyClass, Item, mark_repeated};
use crate::data::source::ItemFile;
use crate::data::transform::Normalization;
use crate::data::{DataError, ImageShape, Split};

/// Sets that take no more bytes than this, decoded, are decoded when they are opened: damage is then
/// found before a run starts.
const EAGER_BYTES: usize = 64 << 20;
/// Names that a message lists.
const NAMED: usize = 20;

/// The images of one split, before any is opened.
#[derive(Debug, Default)]
pub struct Part {
    /// The images, in the order of the listing.
    pub items: Vec<Item>,
    /// Classes without an image.
    pub empty: Vec<EmptyClass>,
    /// Drawings: ink is dark on light paper.
    pub ink_is_dark: bool,
    /// Why there is no class, if there is none.
    pub absence: String,
}

impl Part {
    /// Opens the images: all of a small set, so that damage is found at once.
    pub fn image_set(
        self,
        data: &config::Data,
        split: Split,
        shape: ImageShape,
        notes: &mut Vec<String>,
    ) -> Result<ImageSet, DataError> {
        let skip = data.on_bad_image == OnBadImage::Skip;
        let Self { mut items, empty, ink_is_dark, absence } = self;
        check_pack(&items, shape)?;
        mark_repeated(&mut items);
        if let (false, Some(EmptyClass { split, class, reason })) = (skip, empty.first()) {
            let (split, class, reason) = (*split, class.clone(), reason.clone());
            return Err(DataError::EmptyClass { split, class, reason });
        }
        if !empty.is_empty() {
            let names: Vec<String> = empty.into_iter().map(|it| it.class).collect();
            notes.push(format!(
                "{} classes of {split} have no image and are left out: {}",
                names.len(),
                some(&names)
            ));
        }
        let options = SetOptions {
            ink_is_dark,
            absence,
            normalization: Normalization::of(&data.normalize),
            augmentation: data.augment.steps().filter(|_| split == Split::Base),
            skip_small_classes: data.skip_small_classes,
        };
        let build = |items: Vec<Item>| -> Result<ImageSet, DataError> {
            let keeps = options.augmentation.is_none() && !items.iter().all(in_place);
            let bytes = data.cache_mib << 20;
            let cache = match data.cache {
                config::Cache::Memory if keeps => Cache::memory(items.len(), shape.values(), bytes),
                config::Cache::Disk if keeps => Cache::disk(items.len(), shape.values(), bytes)?,
                _ => Cache::None,
            };
            Ok(ImageSet::new(items, shape, options.clone(), cache))
        };
        let unusable = items.iter().any(|item| matches!(item.file, ItemFile::Unusable(_)));
        let small = items.len() * shape.values() <= EAGER_BYTES && !items.iter().all(in_place);
        if !skip {
            let set = build(items)?;
            if small || unusable {
                // In the order of names, so that the same image is named each time.
                check(&set).into_iter().flatten().next().map_or(Ok(()), Err)?;
            }
            return Ok(set);
        }
        let set = build(items.clone())?;
        let bad: Vec<Option<DataError>> = check(&set);
        let reasons: Vec<String> = bad.iter().flatten().map(ToString::to_string).collect();
        if reasons.is_empty() {
            return Ok(set);
        }
        notes.push(format!(
            "{} of the {} images of {split} cannot be read and are left out: {}",
            reasons.len(),
            items.len(),
            some(&reasons)
        ));
        let mut bad = bad.iter();
        items.retain(|_| bad.next().is_some_and(Option::is_none));
        build(items)
    }
}

/// What is wrong with each image.
fn check(set: &ImageSet) -> Vec<Option<DataError>> {
    (0..set.len()).into_par_iter().map(|image| set.pixels(image).err()).collect()
}

/// Whether an image is read from its pack, without decoding.
fn in_place(item: &Item) -> bool {
    matches!(item.file, ItemFile::Packed(..))
}

/// A pack has images of one size; another size would give neither them nor what a larger file would.
fn check_pack(items: &[Item], shape: ImageShape) -> Result<(), DataError> {
    let pack = items.iter().find_map(|item| match &item.file {
        ItemFile::Packed(pack, _) => Some(pack.shape()),
        _ => None,
    });
    let Some(packed) = pack else { return Ok(()) };
    if (packed.height, packed.width) == (shape.height, shape.width) {
        return Ok(());
    }
    Err(DataError::pipeline(
        "data.image_size",
        format!(
            "`data.image_size: {}` differs from the pack's images, which have {} px",
            shape.width, packed.width
        ),
        format!(
            "write `image_size: {}`, or pack again with `--size {}`",
            packed.width, shape.width
        ),
    ))
}

/// The first names of a list.
fn some(names: &[String]) -> String {
    let more = names.len().saturating_sub(NAMED);
    let list = names.iter().take(NAMED).cloned().collect::<Vec<_>>().join("; ");
    if more > 0 {
        format!("{list}; and {more} more (`fsct data inspect` lists them)")
    } else {
        list
    }
}
