//! Layouts of data sets: a root → a [`Listing`] of which image is of which class and split.

mod cifar_fs;
mod class_folders;
mod csv;
mod cub;
mod easyfsl;
mod filelist;
mod folder;
mod glyph;
mod guess;
mod locate;
mod mismatch;
mod names;
pub mod omniglot;
mod options;
mod others;
mod packed;
mod pickle;
mod split_files;
mod splits;
pub mod synthetic;
mod walk;
mod zip_folder;

use std::path::Path;

use guess::unwrapped;

pub use class_folders::list as class_folders;
pub use guess::{guess, packed_folder};
pub use options::Options;
pub use splits::SplitLists;
pub use walk::images_in;

use super::DataError;
use super::listing::Listing;
use crate::config::Format;
use mismatch::mismatch;

/// Lists the data set in `root`, which every layout but `synthetic` needs.
///
/// # Errors
/// When the root is missing or holds no such data set.
pub fn list(format: Format, root: Option<&Path>, options: Options) -> Result<Listing, DataError> {
    if format == Format::Synthetic {
        return synthetic::list(root);
    }
    let given = existing(format, root)?;
    let root = &unwrapped(given);
    let mut listing = match format {
        Format::Synthetic => unreachable!("listed above"),
        Format::Omniglot => omniglot::list(root, options),
        Format::Filelist => filelist::list(root),
        Format::Csv => csv::list(root, options),
        Format::Cub => cub::list(root, options),
        Format::Folder => folder::list(root, options),
        Format::CifarFs => cifar_fs::list(root, options.splits),
        Format::Easyfsl => easyfsl::list(root),
        Format::Pickle => pickle::list(root),
        Format::Pack => packed::list(root),
    }?;
    if root != given {
        listing.notes.insert(0, format!("the data set is taken to be in {}", root.display()));
    }
    if listing.items.is_empty() {
        let why = match listing.notes.is_empty() {
            true => "it holds no image".to_owned(),
            false => format!("it holds no image; {}", listing.notes.join("; ")),
        };
        return Err(mismatch(format, root, why));
    }
    Ok(listing)
}

/// Whether nothing says which split the classes of a data set are in.
pub fn is_unsplit(format: Format, root: &Path) -> bool {
    let root = &unwrapped(root);
    match format {
        Format::Folder => folder::is_unsplit(root),
        Format::Csv => csv::is_single(root),
        _ => false,
    }
}

fn existing(format: Format, root: Option<&Path>) -> Result<&Path, DataError> {
    let help = "name the data set's folder: `data.root` in the file, `--set data.root=…` or \
                FSCT_DATA__ROOT";
    let Some(root) = root else {
        return Err(DataError::pipeline(
            "data.root",
            "`data.root` is not given, and this format needs it",
            help,
        ));
    };
    let (fits, kind) = match format {
        Format::Omniglot | Format::Cub | Format::CifarFs => (root.is_dir(), "a folder"),
        Format::Folder => (root.is_dir() || zip_folder::is_zip(root), "a folder or a zip"),
        Format::Pack => (root.is_file(), "a file"),
        _ => (root.exists(), "there"),
    };
    if fits {
        return Ok(root);
    }
    let message = format!("`data.root: {}` is not {kind}", root.display());
    Err(DataError::pipeline("data.root", message, help))
}
