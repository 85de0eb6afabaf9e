//! Layouts of data sets: a root → a [`Listing`] of which image is of which class and split.

mod cifar_fs;
mod csv;
mod easyfsl;
mod filelist;
mod folder;
mod glyph;
mod guess;
pub mod omniglot;
mod pickle;
mod splits;
pub mod synthetic;
mod unpickle;
mod walk;

use std::path::Path;
use std::sync::Arc;

pub use folder::list_classes;
pub use guess::guess;
pub use splits::SplitLists;
pub(super) use walk::{entries, images_below, utf8_name};

use super::pack::Pack;
use super::source::ItemFile;
use super::{DataError, Split};
use crate::config::Format;

/// What a data set holds, before any image is decoded.
#[derive(Debug, Default)]
pub struct Listing {
    /// Images by class and name.
    pub items: Vec<Item>,
    /// Classes that are named and have no image.
    pub empty: Vec<(Split, String)>,
    /// Drawings: ink is dark on light paper, and 1 to the network.
    pub ink_is_dark: bool,
    /// What the user should know.
    pub notes: Vec<String>,
}

/// One image.
#[derive(Debug, Clone)]
pub struct Item {
    /// Split of its class.
    pub split: Split,
    /// Name of its class.
    pub class: Arc<str>,
    /// Path inside the data set, `/` between its parts.
    pub name: String,
    /// Where its bytes are.
    pub file: ItemFile,
    /// Quarter turns against the clock.
    pub turns: u8,
}

impl Item {
    /// An image that stands as it is.
    pub fn new(
        split: Split,
        class: impl Into<Arc<str>>,
        name: impl Into<String>,
        file: ItemFile,
    ) -> Self {
        Self { split, class: class.into(), name: name.into(), file, turns: 0 }
    }
}

/// What a layout is read with.
#[derive(Debug, Clone, Copy, Default)]
pub struct Options<'a> {
    /// Lists of classes, `data.splits`.
    pub splits: Option<&'a Path>,
    /// Turned classes, `data.rotations`.
    pub rotations: bool,
}

/// Lists the data set in `root`, which every layout but `synthetic` needs.
///
/// # Errors
/// When the root is missing or holds no such data set.
pub fn list(format: Format, root: Option<&Path>, options: Options) -> Result<Listing, DataError> {
    if format == Format::Synthetic {
        return synthetic::list(root);
    }
    let root = existing(format, root)?;
    let listing = match format {
        Format::Synthetic => unreachable!("listed above"),
        Format::Omniglot => omniglot::list(root, options),
        Format::Filelist => filelist::list(root),
        Format::Csv => csv::list(root),
        Format::Folder => folder::list(root, options.splits),
        Format::CifarFs => cifar_fs::list(root, options.splits),
        Format::Easyfsl => easyfsl::list(root),
        Format::Pickle => pickle::list(root),
        Format::Pack => Pack::open(root).and_then(|pack| Arc::new(pack).listing()),
    }?;
    if listing.items.is_empty() {
        return Err(nothing(format, root, "it holds no image"));
    }
    Ok(listing)
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
        Format::Omniglot | Format::Csv | Format::Folder | Format::CifarFs => {
            (root.is_dir(), "a folder")
        }
        Format::Pack => (root.is_file(), "a file"),
        _ => (root.exists(), "there"),
    };
    if fits {
        return Ok(root);
    }
    let message = format!("`data.root: {}` is not {kind}", root.display());
    Err(DataError::pipeline("data.root", message, help))
}

/// The root is not of this layout.
fn nothing(format: Format, root: &Path, why: impl std::fmt::Display) -> DataError {
    let layout = match format {
        Format::Omniglot => "images_background*.zip, or images_background*/ALPHABET/characterNN/",
        Format::Filelist => "base.json, val.json and novel.json",
        Format::Csv => "train.csv, val.csv and test.csv",
        Format::Folder => "SPLIT/CLASS/IMAGE, or CLASS/IMAGE and `data.splits`",
        Format::CifarFs => "data/CLASS/IMAGE and splits/bertinetto/{train,val,test}.txt",
        Format::Easyfsl => "train.json, val.json and test.json of class_names and class_roots",
        Format::Pickle => "*-cache-{train,val,test}.pkl",
        Format::Pack | Format::Synthetic => "a file of `fsct data pack`",
    };
    DataError::pipeline(
        "data.root",
        format!("`data.root: {}` is no `{}` data set: {why}", root.display(), format.word()),
        format!(
            "expected: {layout}; `fsct explain data.format` lists the layouts, and \
             `fsct data inspect` shows what is there"
        ),
    )
}

/// The split that a file or folder is named for.
fn split_named(name: &str) -> Option<Split> {
    Some(match name.to_ascii_lowercase().as_str() {
        "base" | "train" | "training" | "meta_train" | "meta-train" => Split::Base,
        "val" | "valid" | "validation" | "meta_val" | "meta-val" => Split::Val,
        "novel" | "test" | "testing" | "meta_test" | "meta-test" => Split::Novel,
        _ => return None,
    })
}
