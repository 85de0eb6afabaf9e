//! The files of leases and locks in a cell's folder.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

pub(super) fn file(folder: &Path, number: u64) -> PathBuf {
    folder.join(format!("lease.{number}"))
}

pub(super) fn numbers(folder: &Path) -> io::Result<Vec<u64>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let name = entry?.file_name();
        found.extend(name.to_str().and_then(|it| it.strip_prefix("lease.")?.parse::<u64>().ok()));
    }
    Ok(found)
}

pub(super) fn newest(folder: &Path) -> io::Result<u64> {
    Ok(numbers(folder)?.into_iter().max().unwrap_or(0))
}

/// A file that was replaced between listing and reading.
pub(super) fn absent(error: io::Error) -> io::Result<Vec<u8>> {
    if error.kind() == io::ErrorKind::NotFound { Ok(Vec::new()) } else { Err(error) }
}

/// What came of locking a file.
pub(super) enum Locked {
    Here(File),
    ByAnother,
    NotSupported,
}

pub(super) fn try_lock(path: &Path) -> io::Result<Locked> {
    let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
    match file.try_lock() {
        Ok(()) => Ok(Locked::Here(file)),
        Err(TryLockError::WouldBlock) => Ok(Locked::ByAnother),
        Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::Unsupported => {
            Ok(Locked::NotSupported)
        }
        Err(TryLockError::Error(error)) => Err(error),
    }
}
