//! Images that are in no data set, read exactly as a pipeline's test images are.

use std::path::Path;

use super::part::Part;
use super::sources::format_of;
use crate::config::{Format, Pipeline};
use crate::data::cache::Cache;
use crate::data::image_set::{ImageSet, SetOptions};
use crate::data::listing::{Item, Listing};
use crate::data::pack::Pack;
use crate::data::transform::Normalization;
use crate::data::{DataError, ImageShape, Split, formats};

/// The images of a folder with a folder of images for each class. What was left out is added to `notes`.
/// Images that cannot be read are an error, or left out with `data.on_bad_image: skip`.
///
/// # Errors
/// When the folder cannot be listed, when a class has no image, when an image cannot be read, and as
/// [`open_files`].
pub fn open_class_folders(
    pipeline: &Pipeline,
    base: &Path,
    root: &Path,
    notes: &mut Vec<String>,
) -> Result<ImageSet, DataError> {
    let ink_is_dark = ink_is_dark(pipeline, base)?;
    let Listing { items, empty, notes: mut listed, .. } = formats::class_folders(root)?;
    notes.append(&mut listed);
    let absence = format!("there is no folder in {}", root.display());
    let part = Part { items, empty, ink_is_dark, absence };
    part.image_set(&pipeline.data, Split::Novel, shape(pipeline), notes)
}

/// The given images, whatever their classes. None is opened before it is used, and none is kept.
///
/// # Errors
/// When the pipeline does not say whether its images are drawings, and its data set is not there.
pub fn open_files(
    pipeline: &Pipeline,
    base: &Path,
    items: Vec<Item>,
) -> Result<ImageSet, DataError> {
    let options = SetOptions {
        ink_is_dark: ink_is_dark(pipeline, base)?,
        normalization: Normalization::of(&pipeline.data.normalize),
        augmentation: None,
        skip_small_classes: false,
        absence: String::new(),
    };
    Ok(ImageSet::new(items, shape(pipeline), options, Cache::None))
}

fn shape(pipeline: &Pipeline) -> ImageShape {
    let size = pipeline.data.image_size;
    ImageShape { channels: pipeline.backbone.kind.channels(), height: size, width: size }
}

/// Whether test images are drawings, whose dark ink is 1 to the network.
///
/// # Errors
/// When the pipeline does not say it, and its data set is not there.
pub fn ink_is_dark(pipeline: &Pipeline, base: &Path) -> Result<bool, DataError> {
    let (section, format, root) = match &pipeline.test.data {
        Some(other) => ("test.data", other.format, other.root.as_deref()),
        None => ("data", pipeline.data.format, pipeline.data.root.as_deref()),
    };
    let root = root.map(|root| base.join(root));
    // Only drawings differ; a pack says itself what it holds.
    let unknown = |problem: String| {
        let key = format!("{section}.format");
        let message =
            format!("whether the model reads photographs or drawings is not known: {problem}");
        let help = format!(
            "write `--set {key}=folder` for images as they are, `--set {key}=omniglot` for dark \
             ink on light paper, or give the data set with `--set {section}.root=…`"
        );
        DataError::pipeline(key, message, help)
    };
    let there = root.as_deref().filter(|root| root.exists());
    match (format, there) {
        (Some(Format::Omniglot | Format::Synthetic), _) => Ok(true),
        (Some(Format::Pack), Some(root)) => Ok(Pack::open(root)?.ink_is_dark()),
        (Some(Format::Pack) | None, None) => {
            let root = root.map_or_else(|| "?".into(), |root| root.display().to_string());
            Err(unknown(format!("`{section}.root: {root}` does not exist")))
        }
        (Some(_), _) => Ok(false),
        (None, Some(root)) => match format_of(None, Some(root))? {
            Format::Omniglot | Format::Synthetic => Ok(true),
            Format::Pack => Ok(Pack::open(root)?.ink_is_dark()),
            _ => Ok(false),
        },
    }
}
