//! Layouts of data sets: a root → a [`Listing`] of which image is of which class and split.

mod glyph;
pub mod omniglot;
pub mod synthetic;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{DataError, Split};

/// What a data set holds, before any image is decoded.
#[derive(Debug, Default)]
pub struct Listing {
    /// Images by class and name.
    pub items: Vec<Item>,
    /// Drawings: ink is dark on light paper, and 1 to the network.
    pub ink_is_dark: bool,
}

/// One image.
#[derive(Debug)]
pub struct Item {
    /// Split of its class.
    pub split: Split,
    /// Name of its class.
    pub class: String,
    /// Path inside the data set, `/` between its parts.
    pub name: String,
    /// Where its bytes are.
    pub file: ItemFile,
}

/// Where the bytes of an image are.
#[derive(Debug)]
pub enum ItemFile {
    /// In a file of their own.
    Path(PathBuf),
    /// Read already, out of an archive.
    Bytes(Arc<[u8]>),
}

impl ItemFile {
    /// The bytes.
    pub fn read(&self) -> Result<Arc<[u8]>, DataError> {
        match self {
            Self::Bytes(bytes) => Ok(bytes.clone()),
            Self::Path(path) => Ok(fs::read(path).map_err(DataError::file("read", path))?.into()),
        }
    }
}

/// Entries of a folder, by name.
pub(super) fn entries(folder: &Path) -> Result<Vec<PathBuf>, DataError> {
    let mut paths = fs::read_dir(folder)
        .and_then(|entries| entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>, _>>())
        .map_err(DataError::file("list", folder))?;
    paths.sort();
    Ok(paths)
}
