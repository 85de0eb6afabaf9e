//! Published splits, by name: a data set with a published name and other counts gets a note.

use std::collections::BTreeSet;
use std::path::Path;

use super::Split;
use super::listing::Listing;
use crate::config::Format;

/// A published split.
struct Known {
    name: &'static str,
    /// What the path holds, in small letters and without `-`, `_` and spaces.
    path: &'static str,
    /// Classes to train, validate and test.
    classes: [usize; 3],
    /// Images a class, where all have as many.
    images: Option<usize>,
}

const KNOWN: [Known; 4] = [
    Known { name: "miniImageNet", path: "miniimagenet", classes: [64, 16, 20], images: Some(600) },
    Known { name: "tieredImageNet", path: "tieredimagenet", classes: [351, 97, 160], images: None },
    Known { name: "CIFAR-FS", path: "cifarfs", classes: [64, 16, 20], images: Some(600) },
    Known { name: "CUB", path: "cub", classes: [100, 50, 50], images: None },
];

/// What is to be said where a data set has a published name and other counts.
pub fn note(format: Format, root: &Path, listing: &Listing) -> Option<String> {
    let plain = |text: &str| text.to_lowercase().replace(['-', '_', ' '], "");
    let folder = plain(&root.file_name()?.to_string_lossy());
    let known = KNOWN.iter().find(|known| match format {
        Format::CifarFs => known.path == "cifarfs",
        // Omniglot and glyphs have no split of this kind, a pack may hold anything.
        Format::Omniglot | Format::Synthetic | Format::Pack => false,
        // CUB is a short word: as a name, not as a part of one.
        _ if known.path == "cub" => folder == "cub" || folder.starts_with("cub200"),
        _ => folder.contains(known.path),
    })?;
    let classes = Split::ALL.map(|split| {
        let of_split = listing.items.iter().filter(|item| item.split == split);
        of_split.map(|item| &*item.class).collect::<BTreeSet<_>>().len()
    });
    let expected = known.images.map(|images| images * known.classes.iter().sum::<usize>());
    let images = listing.items.len();
    if classes == known.classes && expected.is_none_or(|expected| expected == images) {
        return None;
    }
    let [train, val, test] = known.classes;
    let of = expected.map_or(String::new(), |expected| format!(", {expected} images"));
    Some(format!(
        "the published split of {} has {train}/{val}/{test} classes{of}; this has {}/{}/{} and {images} images",
        known.name, classes[0], classes[1], classes[2]
    ))
}
