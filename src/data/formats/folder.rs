//! `SPLIT/CLASS/IMAGE`, or `CLASS/IMAGE` with lists of classes.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::walk::Others;
use super::{
    DataError, Item, Listing, Split, SplitLists, entries, images_below, nothing, split_named,
    utf8_name,
};
use crate::config::Format;

/// Lists the images under `root`.
pub fn list(root: &Path, splits: Option<&Path>) -> Result<Listing, DataError> {
    let folders = folders(root)?;
    let by_split: BTreeMap<Split, &PathBuf> =
        folders.iter().filter_map(|(name, path)| Some((split_named(name)?, path))).collect();
    let mut classes = Classes::default();
    if let Some(splits) = splits {
        classes.of_lists(&folders, &SplitLists::read(splits)?, splits)?;
    } else if by_split.contains_key(&Split::Base) {
        for (split, folder) in by_split {
            for (class, path) in self::folders(folder)? {
                classes.add(split, &class, &path)?;
            }
        }
    } else {
        let why = match folders.len() {
            0 => "it has no folder".to_owned(),
            count => {
                format!("it has {count} class folders, and nothing says which split each is in")
            }
        };
        let mut error = nothing(Format::Folder, root, why);
        if let (DataError::Pipeline { help, .. }, true) = (&mut error, folders.len() > 2) {
            *help = format!(
                "make a list with `fsct data split {} -o splits.json`, and name it as `data.splits`",
                root.display()
            );
        }
        return Err(error);
    }
    Ok(classes.listing())
}

/// Lists a folder of class folders as one split, the first.
pub fn list_classes(root: &Path) -> Result<Listing, DataError> {
    let mut classes = Classes::default();
    for (class, path) in folders(root)? {
        classes.add(Split::Base, &class, &path)?;
    }
    Ok(classes.listing())
}

/// Class folders, by name.
pub fn folders(root: &Path) -> Result<Vec<(String, PathBuf)>, DataError> {
    let mut folders = Vec::new();
    for path in entries(root)? {
        if path.is_dir() {
            let name = utf8_name(&path).map_err(|name| DataError::Image {
                name,
                reason: "the name of this folder is not UTF-8; rename it".into(),
            })?;
            folders.push((name, path));
        }
    }
    Ok(folders)
}

/// Collects the images of classes.
#[derive(Default)]
pub struct Classes {
    listing: Listing,
    others: Others,
}

impl Classes {
    /// Adds the class in a folder.
    pub fn add(&mut self, split: Split, class: &str, folder: &Path) -> Result<(), DataError> {
        let (images, others) = images_below(folder)?;
        self.others.add(others);
        if images.is_empty() {
            self.listing.empty.push((split, class.to_owned()));
        }
        let class_name = std::sync::Arc::<str>::from(class);
        self.listing.items.extend(images.into_iter().map(|(name, file)| {
            Item::new(split, class_name.clone(), format!("{class}/{name}"), file)
        }));
        Ok(())
    }

    /// Adds the folders that lists name.
    pub fn of_lists(
        &mut self,
        folders: &[(String, PathBuf)],
        lists: &SplitLists,
        path: &Path,
    ) -> Result<(), DataError> {
        let by_name: BTreeMap<&str, &PathBuf> =
            folders.iter().map(|(name, path)| (name.as_str(), path)).collect();
        for (class, split) in &lists.split_of {
            let folder = by_name.get(class.as_str()).ok_or_else(|| DataError::List {
                path: path.to_owned(),
                reason: format!("the class `{class}` of {split} has no folder"),
            })?;
            self.add(*split, class, folder)?;
        }
        let left: Vec<&str> =
            by_name.keys().filter(|class| !lists.split_of.contains_key(**class)).copied().collect();
        if let Some(first) = left.first() {
            self.listing.notes.push(format!(
                "{} class folders are in no split of {}: {first}{}",
                left.len(),
                path.display(),
                if left.len() > 1 { ", …" } else { "" },
            ));
        }
        Ok(())
    }

    /// What was added.
    pub fn listing(mut self) -> Listing {
        self.listing.notes.extend(self.others.note());
        self.listing
    }
}
