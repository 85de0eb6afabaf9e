//! Pickled arrays of images: `mini-imagenet-cache-{train,val,test}.pkl` with `image_data` and
//! `class_dict`, or `data` and `labels` as CIFAR-FS has them.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use memmap2::Mmap;

use super::unpickle::{Value, unpickle};
use super::{DataError, Item, Listing, Split, entries, nothing, split_named, utf8_name};
use crate::config::Format;
use crate::data::ImageShape;
use crate::data::source::{Blob, ItemFile, PixelBlock};

/// Lists the images of the pickles in `root`; `root` may be one file.
pub fn list(root: &Path) -> Result<Listing, DataError> {
    let mut listing = Listing::default();
    if root.is_file() {
        // One file stands for all splits; each takes all of its classes.
        for split in Split::ALL {
            read(root, split, &mut listing)?;
        }
        return Ok(listing);
    }
    for path in entries(root)? {
        let name = utf8_name(&path).unwrap_or_default();
        let stem = name.strip_suffix(".pkl").or_else(|| name.strip_suffix(".pickle"));
        let split = stem.and_then(|stem| stem.rsplit(['-', '_', '.']).find_map(split_named));
        if let Some(split) = split {
            read(&path, split, &mut listing)?;
        }
    }
    if listing.items.is_empty() {
        return Err(nothing(Format::Pickle, root, "it has no such file"));
    }
    Ok(listing)
}

fn read(path: &Path, split: Split, listing: &mut Listing) -> Result<(), DataError> {
    let damaged = |reason: String| DataError::Archive { path: path.to_owned(), reason };
    let file = File::open(path).map_err(DataError::file("open", path))?;
    // SAFETY: the file is read only; should another program cut it short meanwhile, reading it ends
    // the process, as with any map.
    let map = Arc::new(unsafe { Mmap::map(&file) }.map_err(DataError::file("map", path))?);
    let value = unpickle(&map).map_err(damaged)?;
    let entry = |names: &[&str]| names.iter().find_map(|name| value.entry(name, &map));
    let Some(Value::Array(images)) = entry(&["image_data", "data"]) else {
        return Err(damaged("it has no array `image_data` or `data`".into()));
    };
    let images = images.borrow();
    let [count, height, width, channels] = images.shape[..] else {
        return Err(damaged(format!(
            "its images have the shape {:?}, not [n, height, width, 3]",
            images.shape
        )));
    };
    if images.dtype != "u1" || images.fortran || !matches!(channels, 1 | 3) {
        return Err(damaged(format!(
            "its images are {:?} of {}; bytes of 1 or 3 channels are read",
            images.shape, images.dtype
        )));
    }
    let shape = ImageShape { channels, height, width };
    let blob = match &images.data {
        Some(Value::Bytes(range)) => Blob::Mapped(map.clone(), range.clone()),
        Some(Value::Latin(bytes)) => Blob::Owned(bytes.to_vec()),
        _ => return Err(damaged("its array has no bytes".into())),
    };
    if count.checked_mul(shape.values()) != Some(blob.len()) || shape.values() == 0 {
        return Err(damaged(format!("{count} images of {shape:?} are not {} bytes", blob.len())));
    }
    let blob = Arc::new(blob);
    for (class, members) in classes(&value, &map).map_err(damaged)? {
        let class_name = Arc::<str>::from(class.as_str());
        if members.is_empty() {
            listing.empty.push((split, class.clone()));
        }
        for member in members {
            let at = usize::try_from(member).ok().filter(|at| *at < count).ok_or_else(|| {
                damaged(format!("the class `{class}` has the image {member} of {count}"))
            })?;
            let block = PixelBlock { bytes: blob.clone(), start: at * shape.values(), shape };
            listing.items.push(Item::new(
                split,
                class_name.clone(),
                format!("{class}/{at:06}"),
                ItemFile::Pixels(block),
            ));
        }
    }
    Ok(())
}

/// Numbers of the images of each class.
fn classes(value: &Value, file: &[u8]) -> Result<BTreeMap<String, Vec<i64>>, String> {
    if let Some(Value::Dict(entries)) = value.entry("class_dict", file) {
        let entries = entries.borrow();
        let class = |(name, members): &(Value, Value)| {
            let name = match name {
                Value::Int(number) => format!("{number:04}"),
                other => other.text(file)?,
            };
            Some((name, members.integers(file)?))
        };
        return entries
            .items
            .iter()
            .map(class)
            .collect::<Option<_>>()
            .ok_or_else(|| "its class_dict is not of names and lists of numbers".into());
    }
    let labels = value.entry("labels", file).and_then(|it| it.integers(file));
    let labels = labels.ok_or("it has neither `class_dict` nor `labels`")?;
    let mut classes: BTreeMap<String, Vec<i64>> = BTreeMap::new();
    for (image, label) in labels.iter().enumerate() {
        classes.entry(format!("{label:04}")).or_default().push(image as i64);
    }
    Ok(classes)
}
