//! Files that are written completely or not at all: to a temporary neighbour, then renamed.
//!
//! An error (a full disk, say) leaves the old file as it was, and no temporary one behind.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use tempfile::{Builder, NamedTempFile, TempPath};

/// What the names of temporary files start with.
const PREFIX: &str = ".fsct-";
/// What they end with.
const SUFFIX: &str = ".part";

/// A file that replaces the one at its path when it is complete, and vanishes when it is dropped
/// before.
pub(crate) struct AtomicFile {
    path: PathBuf,
    target: Target,
}

enum Target {
    /// A temporary neighbour.
    Part(BufWriter<NamedTempFile>),
    /// A pipe or a terminal, which cannot be replaced and must not be.
    Stream(BufWriter<File>),
}

impl AtomicFile {
    /// Starts a file. Makes its folder.
    pub(crate) fn create(path: &Path) -> io::Result<Self> {
        let is_stream = fs::metadata(path).is_ok_and(|it| !it.is_file() && !it.is_dir());
        let target = if is_stream {
            Target::Stream(BufWriter::new(OpenOptions::new().write(true).open(path)?))
        } else {
            fs::create_dir_all(folder(path))?;
            Target::Part(BufWriter::new(temporary(folder(path))?))
        };
        Ok(Self { path: path.to_owned(), target })
    }

    /// Puts the complete file in its place.
    pub(crate) fn finish(self) -> io::Result<()> {
        let part = match self.target {
            Target::Part(part) => part.into_inner().map_err(io::IntoInnerError::into_error)?,
            Target::Stream(mut stream) => return stream.flush(),
        };
        part.as_file().sync_all()?;
        part.persist(&self.path).map_err(|error| error.error)?;
        // Without this the rename itself may be lost with the power. Not every system supports it.
        if let Ok(folder) = File::open(folder(&self.path)) {
            let _ = folder.sync_all();
        }
        Ok(())
    }
}

impl Write for AtomicFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.target {
            Target::Part(part) => part.write(bytes),
            Target::Stream(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match &mut self.target {
            Target::Part(part) => part.flush(),
            Target::Stream(stream) => stream.flush(),
        }
    }
}

/// Writes `bytes` to `path`.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = AtomicFile::create(path)?;
    file.write_all(bytes)?;
    file.finish()
}

/// Writes a file that has to be sought in, such as a zip. Makes its folder.
pub(crate) fn write_with(
    path: &Path,
    write: impl FnOnce(&mut File) -> io::Result<()>,
) -> io::Result<()> {
    fs::create_dir_all(folder(path))?;
    let mut part = temporary(folder(path))?;
    write(part.as_file_mut())?;
    AtomicFile { path: path.to_owned(), target: Target::Part(BufWriter::new(part)) }.finish()
}

/// Writes a file that does not exist yet.
pub(crate) fn write_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = folder(path);
    let mut part = temporary(folder)?;
    part.write_all(bytes)?;
    part.as_file().sync_all()?;
    part.persist_noclobber(path).map_err(|error| error.error)?;
    Ok(())
}

/// The path of a temporary file beside `path`, removed when it is dropped.
pub(crate) fn beside(path: &Path) -> io::Result<TempPath> {
    Ok(temporary(folder(path))?.into_temp_path())
}

/// Removes the temporary files of processes that were killed. Nobody may be writing to `folder`.
pub(crate) fn remove_left_over(folder: &Path) {
    let is_left_over = |path: &PathBuf| {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        name.starts_with(PREFIX) && name.ends_with(SUFFIX)
    };
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    for path in entries.map(|entry| entry.path()).filter(is_left_over) {
        let _ = fs::remove_file(path);
    }
}

fn folder(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn temporary(folder: &Path) -> io::Result<NamedTempFile> {
    let mut builder = Builder::new();
    builder.prefix(PREFIX).suffix(SUFFIX);
    #[cfg(unix)]
    {
        // The permissions of any new file, not a private one's.
        use std::os::unix::fs::PermissionsExt;
        builder.permissions(fs::Permissions::from_mode(0o666));
    }
    // The error names the temporary file, which nobody knows: the caller names the file itself.
    let plain = |error: io::Error| match error.raw_os_error() {
        Some(code) => io::Error::from_raw_os_error(code),
        None => io::Error::from(error.kind()),
    };
    builder.tempfile_in(folder).map_err(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_write_leaves_the_old_file_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.json");
        write(&path, b"old").unwrap();
        let failed = write_with(&path, |file| {
            file.write_all(b"half of the n")?;
            Err(io::Error::from(io::ErrorKind::StorageFull))
        });
        assert_eq!(failed.unwrap_err().kind(), io::ErrorKind::StorageFull);
        assert_eq!(fs::read(&path).unwrap(), b"old");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_new_file_does_not_replace_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.yaml");
        write_new(&path, b"mine").unwrap();
        let kind = write_new(&path, b"other").unwrap_err().kind();
        assert_eq!(kind, io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read(&path).unwrap(), b"mine");
    }

    #[test]
    fn files_of_killed_processes_are_removed_and_no_others() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(".fsct-Ab1.part"), "half").unwrap();
        fs::write(folder.path().join("last.ckpt"), "whole").unwrap();
        remove_left_over(folder.path());
        let left: Vec<_> = fs::read_dir(folder.path()).unwrap().flatten().collect();
        assert_eq!(left.len(), 1);
        assert_eq!(left[0].file_name(), "last.ckpt");
    }

    #[cfg(unix)]
    #[test]
    fn others_may_read_what_is_written() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let (ours, plain) = (folder.path().join("a"), folder.path().join("b"));
        write(&ours, b"x").unwrap();
        fs::write(&plain, b"x").unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode();
        assert_eq!(mode(&ours), mode(&plain));
    }
}
