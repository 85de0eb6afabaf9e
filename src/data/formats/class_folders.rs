//! Folders of images, a class each.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use super::others::Others;
use super::splits::SplitLists;
use super::walk::{Folder, folders, images_below};
use crate::data::listing::{EmptyClass, Item, Listing};
use crate::data::source::ItemFile;
use crate::data::{DataError, Split};

/// Lists a folder whose folders are classes, all of the novel split.
///
/// # Errors
/// When the folder cannot be listed.
pub fn list(root: &Path) -> Result<Listing, DataError> {
    let mut classes = ClassFolders::default();
    for folder in folders(root)? {
        classes.add(Split::Novel, &folder)?;
    }
    Ok(classes.listing())
}

/// The images of a class, and the other files among them.
#[derive(Debug, Default)]
pub struct Images {
    /// By path inside the class.
    pub files: Vec<(String, ItemFile)>,
    /// Files that are not images.
    pub others: Others,
}

/// Collects the images of class folders.
#[derive(Default)]
pub struct ClassFolders {
    listing: Listing,
    others: Others,
}

impl ClassFolders {
    /// Adds the class in a folder, under the folder's name.
    pub fn add(&mut self, split: Split, folder: &Folder) -> Result<(), DataError> {
        if !folder.is_utf8 {
            // One item that cannot be used stands for the class: an error, or left out with a note.
            let reason = "the name of this class folder is not UTF-8; rename it".into();
            let file = ItemFile::Unusable(reason);
            let name = folder.name.as_str();
            self.listing.items.push(Item::new(split, name, name, file));
            return Ok(());
        }
        self.add_named(split, &folder.name, &folder.path)
    }

    /// Adds the class in a folder, under another name.
    pub fn add_named(&mut self, split: Split, class: &str, folder: &Path) -> Result<(), DataError> {
        let (files, others) = images_below(folder)?;
        self.add_images(split, class, Images { files, others });
        Ok(())
    }

    /// Adds a class with its images, or as an empty class if it has none.
    pub fn add_images(&mut self, split: Split, class: &str, images: Images) {
        let Images { files, others } = images;
        if files.is_empty() {
            let reason = others.note().unwrap_or_else(|| "its folder is empty".into());
            self.listing.empty.push(EmptyClass { split, class: class.to_owned(), reason });
        }
        self.others.add(others);
        let class_name = Arc::<str>::from(class);
        self.listing.items.extend(files.into_iter().map(|(name, file)| {
            Item::new(split, class_name.clone(), format!("{class}/{name}"), file)
        }));
    }

    /// Adds the classes that lists name, of those that are there; `add` adds one.
    pub fn add_lists<T>(
        &mut self,
        mut classes: BTreeMap<String, T>,
        lists: &SplitLists,
        path: &Path,
        mut add: impl FnMut(&mut Self, Split, &str, T) -> Result<(), DataError>,
    ) -> Result<(), DataError> {
        for (class, split) in &lists.split_of {
            let found = classes.remove(class).ok_or_else(|| DataError::List {
                path: path.to_owned(),
                reason: format!("the class `{class}` of {split} has no folder"),
            })?;
            add(self, *split, class, found)?;
        }
        let unlisted: Vec<&str> = classes.keys().map(String::as_str).collect();
        self.listing.notes.extend(lists.note_unlisted(&unlisted, path));
        Ok(())
    }

    /// Adds the class folders that lists name.
    pub fn add_listed_folders(
        &mut self,
        folders: Vec<Folder>,
        lists: &SplitLists,
        path: &Path,
    ) -> Result<(), DataError> {
        let by_name = folders.into_iter().map(|folder| (folder.name.clone(), folder)).collect();
        self.add_lists(by_name, lists, path, |classes, split, _, folder: Folder| {
            classes.add(split, &folder)
        })
    }

    /// The listing of all classes added so far.
    pub fn listing(mut self) -> Listing {
        self.listing.notes.extend(self.others.note());
        self.listing
    }
}
