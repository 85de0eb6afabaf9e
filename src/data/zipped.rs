//! Images in a zip, read where they are.

use std::fs::File;
use std::io::{Cursor, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use memmap2::Mmap;
use zip::ZipArchive;

use super::DataError;

/// A file that is mapped into memory, shared by the readers of its entries.
#[derive(Clone)]
struct SharedMap(Arc<Mmap>);

impl AsRef<[u8]> for SharedMap {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

/// An open zip. Nothing of it is unpacked to the disk.
pub struct Zip {
    path: PathBuf,
    archive: ZipArchive<Cursor<SharedMap>>,
}

impl std::fmt::Debug for Zip {
    /// Without the entries.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Zip({})", self.path.display())
    }
}

impl Zip {
    /// Opens a zip and reads its directory.
    ///
    /// # Errors
    /// When it is not a zip, or damaged.
    pub fn open(path: &Path) -> Result<Self, DataError> {
        let file = File::open(path).map_err(DataError::file("open", path))?;
        // SAFETY: the file is read only. If another program shortens it meanwhile, reading it ends the
        // process, as with any map.
        let map = unsafe { Mmap::map(&file) }.map_err(DataError::file("map", path))?;
        let archive = ZipArchive::new(Cursor::new(SharedMap(Arc::new(map))))
            .map_err(|error| DataError::archive(path, error.to_string()))?;
        Ok(Self { path: path.to_owned(), archive })
    }

    /// Number and name of each file, folders left out. A name that leads out of the zip is an error,
    /// though nothing is written by it.
    pub fn files(&self) -> Result<Vec<(usize, String)>, DataError> {
        let mut files = Vec::new();
        for index in 0..self.archive.len() {
            let damaged = |reason: String| DataError::archive(&self.path, reason);
            let entry =
                self.archive.by_index_data(index).map_err(|error| damaged(error.to_string()))?;
            let name = entry.name().map_err(|error| damaged(error.to_string()))?;
            let name = name.replace('\\', "/");
            if name.split('/').any(|part| part == "..") {
                return Err(damaged(format!("the entry {name} leads out of it")));
            }
            if !name.ends_with('/') {
                files.push((index, name));
            }
        }
        Ok(files)
    }

    /// Bytes of a file, as the directory says.
    pub fn size(&self, index: usize) -> u64 {
        self.archive.by_index_data(index).map_or(0, |entry| entry.size())
    }

    /// Reads the file at `index` of the directory; an error if it has more than `most` bytes.
    pub fn read(&self, index: usize, most: u64) -> Result<Vec<u8>, String> {
        // A clone shares the directory and the map.
        let mut archive = self.archive.clone();
        let mut entry = archive.by_index(index).map_err(|error| error.to_string())?;
        let size = entry.size();
        if size > most {
            return Err(format!("it has {size} bytes, more than the {most} that are read"));
        }
        // The size that an entry claims need not be the one it has.
        let mut bytes = Vec::new();
        entry.by_ref().take(size + 1).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
        if bytes.len() as u64 != size {
            return Err("it is not as long as its zip says".into());
        }
        Ok(bytes)
    }
}
