//! `SPLIT/CLASS/IMAGE`, or `CLASS/IMAGE` with lists of classes; in folders, in a zip, or a zip a split.

use std::path::{Path, PathBuf};

use super::class_folders::{ClassFolders, Images};
use super::mismatch::mismatch;
use super::names::split_named;
use super::options::Options;
use super::splits::SplitLists;
use super::walk::{entries, folders, utf8_name};
use super::zip_folder::{self, ZipFolders, is_zip};
use crate::config::Format;
use crate::data::listing::Listing;
use crate::data::{DataError, Split};

/// Lists the images under `root`, which may be a zip.
pub fn list(root: &Path, options: Options) -> Result<Listing, DataError> {
    if is_zip(root) {
        return list_zip(root, options);
    }
    let mut classes = ClassFolders::default();
    let found = folders(root)?;
    if let Some(splits) = options.splits {
        classes.add_listed_folders(found, &SplitLists::read(splits)?, splits)?;
        return Ok(classes.listing());
    }
    if options.one_split {
        for class in &found {
            classes.add(Split::Base, class)?;
        }
        return Ok(classes.listing());
    }
    let zips = split_zips(root);
    let split_folders: Vec<_> =
        found.iter().filter_map(|folder| Some((split_named(&folder.name)?, folder))).collect();
    let splits = split_folders.iter().map(|(split, _)| split).chain(zips.iter().map(|(it, _)| it));
    if !splits.into_iter().any(|split| *split == Split::Base) {
        return Err(unsplit(root, found.len()));
    }
    for (split, folder) in &split_folders {
        for class in folders(&folder.path)? {
            classes.add(*split, &class)?;
        }
    }
    // A folder and its zip are the same images twice.
    for (split, zip) in &zips {
        if !split_folders.iter().any(|(it, _)| it == split) {
            let ZipFolders { mut by_split, classes: plain } = zip_folder::read(zip)?;
            let images = by_split.remove(split).unwrap_or(plain);
            images.into_iter().for_each(|(class, it)| classes.add_images(*split, &class, it));
        }
    }
    Ok(classes.listing())
}

fn list_zip(path: &Path, options: Options) -> Result<Listing, DataError> {
    let ZipFolders { by_split, classes: plain } = zip_folder::read(path)?;
    let mut classes = ClassFolders::default();
    if let Some(splits) = options.splits {
        let add = |classes: &mut ClassFolders, split: Split, class: &str, images: Images| {
            classes.add_images(split, class, images);
            Ok(())
        };
        classes.add_lists(plain, &SplitLists::read(splits)?, splits, add)?;
    } else if by_split.contains_key(&Split::Base) {
        for (split, images) in by_split {
            images.into_iter().for_each(|(class, it)| classes.add_images(split, &class, it));
        }
    } else if options.one_split {
        plain.into_iter().for_each(|(class, it)| classes.add_images(Split::Base, &class, it));
    } else {
        return Err(unsplit(path, plain.len()));
    }
    Ok(classes.listing())
}

/// `train.zip`, `val.zip` and `test.zip` in a folder.
fn split_zips(root: &Path) -> Vec<(Split, PathBuf)> {
    let paths = entries(root).unwrap_or_default();
    let zip = |path: PathBuf| {
        let name = utf8_name(&path).ok()?.to_lowercase();
        let split = split_named(name.strip_suffix(".zip")?)?;
        is_zip(&path).then_some((split, path))
    };
    paths.into_iter().filter_map(zip).collect()
}

/// Whether a root has class folders, and none for the training split.
pub fn is_unsplit(root: &Path) -> bool {
    if is_zip(root) {
        return zip_folder::read(root).is_ok_and(|it| !it.by_split.contains_key(&Split::Base));
    }
    let is_base = |name: &str| split_named(name) == Some(Split::Base);
    folders(root).is_ok_and(|found| !found.iter().any(|folder| is_base(&folder.name)))
        && !split_zips(root).iter().any(|(split, _)| *split == Split::Base)
}

/// Whether a folder has a folder or a zip a split.
pub fn has_splits(root: &Path) -> bool {
    let found = folders(root).unwrap_or_default();
    found.iter().any(|folder| split_named(&folder.name).is_some()) || !split_zips(root).is_empty()
}

fn unsplit(root: &Path, count: usize) -> DataError {
    let why = match count {
        0 => "it has no folder".to_owned(),
        _ => format!("it has {count} class folders, and nothing says which split each is in"),
    };
    let mut error = mismatch(Format::Folder, root, why);
    if let (DataError::Pipeline { help, .. }, true) = (&mut error, count > 2) {
        *help = format!(
            "write a list with `fsct data split {} -o splits.json`, and name it as `data.splits`",
            root.display()
        );
    }
    error
}
