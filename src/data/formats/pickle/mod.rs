//! Pickled images: `mini-imagenet-cache-{train,val,test}.pkl`, FC100's and CIFAR-FS's
//! `*_{train,val,test}.pickle`, and tieredImageNet's `*_images_png.pkl` or `*_images.npz` with
//! `*_labels.pkl`. Nothing in a pickle is executed.

mod array;
mod classes;
mod global;
mod images;
mod input;
mod machine;
mod npz;
mod numpy;
mod text;
mod value;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use memmap2::Mmap;

use super::mismatch::mismatch;
use super::names::split_named;
use super::walk::{entries, utf8_name};
use crate::config::Format;
use crate::data::listing::{EmptyClass, Item, Listing};
use crate::data::sniff::what_it_is;
use crate::data::{DataError, Split};
use classes::{Naming, classes};
use images::Images;
use machine::unpickle;
use value::Value;

/// Suffixes of the files.
const SUFFIXES: [&str; 3] = [".pkl", ".pickle", ".npz"];

/// Lists the images of the pickles in `root`; `root` may be one file.
pub fn list(root: &Path) -> Result<Listing, DataError> {
    let mut listing = Listing::default();
    if root.is_file() {
        // One file stands for all splits; each has all of its classes.
        for split in Split::ALL {
            read(root, split, Naming::Numbers, &mut listing)?;
        }
        return Ok(listing);
    }
    for (split, path) in image_files(root)? {
        read(&path, split, Naming::SplitAndNumber(split), &mut listing)?;
    }
    if listing.items.is_empty() {
        return Err(mismatch(Format::Pickle, root, "it has no such file"));
    }
    Ok(listing)
}

/// Whether a folder has such files.
pub fn is_here(root: &Path) -> bool {
    image_files(root).is_ok_and(|files| !files.is_empty())
}

/// The files of images of a folder, by split. Labels and learn2learn's bookkeeping are not among them.
fn image_files(root: &Path) -> Result<Vec<(Split, PathBuf)>, DataError> {
    let mut files = Vec::new();
    for path in entries(root)? {
        let name = utf8_name(&path).unwrap_or_default().to_lowercase();
        let Some(stem) = SUFFIXES.iter().find_map(|suffix| name.strip_suffix(suffix)) else {
            continue;
        };
        let mut words = stem.rsplit(['-', '_', '.']);
        if stem.ends_with("labels") || words.clone().any(|word| word == "bookkeeping") {
            continue;
        }
        if let Some(split) = words.find_map(split_named) {
            files.push((split, path));
        }
    }
    Ok(files)
}

fn read(path: &Path, split: Split, naming: Naming, listing: &mut Listing) -> Result<(), DataError> {
    let damaged = |reason: String| DataError::archive(path, reason);
    let map = map(path)?;
    let (images, labels) = if path.extension().is_some_and(|it| it.eq_ignore_ascii_case("npz")) {
        (npz::images(&map).map_err(damaged)?, None)
    } else {
        let value = unpickle(&map)
            .map_err(|reason| damaged(what_it_is(&map).map_or(reason, str::to_owned)))?;
        (Images::of_pickle(&value, &map).map_err(damaged)?, Some((value, map.clone())))
    };
    // Images without labels have them in a file of their own.
    let (labels, labels_map, labels_path) = match labels {
        Some((value @ Value::Dict(_), map)) => (value, map, path.to_owned()),
        _ => {
            let path = labels_of(path).map_err(damaged)?;
            let map = self::map(&path)?;
            (unpickle(&map).map_err(|reason| DataError::archive(&path, reason))?, map, path)
        }
    };
    let wrong = |reason: String| DataError::archive(&labels_path, reason);
    for (class, members) in classes(&labels, &labels_map, naming).map_err(wrong)? {
        let class_name = Arc::<str>::from(class.as_str());
        if members.is_empty() {
            let reason = format!("{} lists none", labels_path.display());
            listing.empty.push(EmptyClass { split, class: class.clone(), reason });
        }
        for member in members {
            let at = usize::try_from(member).ok().filter(|at| *at < images.len());
            let file = at.and_then(|at| images.file(at)).ok_or_else(|| {
                wrong(format!("the class `{class}` has the image {member} of {}", images.len()))
            })?;
            let name = format!("{class}/{member:06}");
            listing.items.push(Item::new(split, class_name.clone(), name, file));
        }
    }
    Ok(())
}

fn map(path: &Path) -> Result<Arc<Mmap>, DataError> {
    let file = File::open(path).map_err(DataError::file("open", path))?;
    // SAFETY: the file is read only. If another program shortens it meanwhile, reading it ends the
    // process, as with any map.
    Ok(Arc::new(unsafe { Mmap::map(&file) }.map_err(DataError::file("map", path))?))
}

/// `train_images_png.pkl` → `train_labels.pkl`.
fn labels_of(path: &Path) -> Result<PathBuf, String> {
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let (prefix, _) = name
        .split_once("images")
        .ok_or("it has images and no labels, and its name is not *_images*")?;
    ["pkl", "pickle"]
        .map(|suffix| path.with_file_name(format!("{prefix}labels.{suffix}")))
        .into_iter()
        .find(|path| path.exists())
        .ok_or_else(|| format!("its labels are expected in {prefix}labels.pkl, which is not there"))
}
