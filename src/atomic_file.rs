//! Files that are written completely or not at all.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use tempfile::{Builder, NamedTempFile};

/// Suffix of a file that is being written.
const PART: &str = ".part";
/// Parts that were not written to for this long belong to a process that was killed.
const STALE: Duration = Duration::from_secs(3600);

/// A file that takes its name when it is complete. Dropped before that, it is removed.
pub(crate) struct AtomicFile {
    target: PathBuf,
    part: NamedTempFile,
}

impl AtomicFile {
    /// Starts a file. Its folder is created if it is not there; the file that has the name now is kept
    /// until [`commit`](Self::commit).
    pub fn create(path: &Path) -> io::Result<Self> {
        // The file that a link leads to is replaced, not the link.
        let target = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let folder = match target.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        fs::create_dir_all(folder)?;
        let name = target.file_name().unwrap_or_default().to_string_lossy().into_owned();
        remove_stale(folder, &name);
        let mut builder = Builder::new();
        let prefix = format!("{name}.");
        builder.prefix(&prefix).suffix(PART);
        // As any new file: a temporary one would be for its owner alone.
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
        let part = builder.tempfile_in(folder)?;
        Ok(Self { target, part })
    }

    /// The file, to be written to.
    pub fn file(&mut self) -> &mut File {
        self.part.as_file_mut()
    }

    /// Gives the file its name, once its bytes are on the disk.
    pub fn commit(self) -> io::Result<()> {
        self.part.as_file().sync_all()?;
        let target = self.target;
        self.part.persist(&target).map_err(|error| error.error)?;
        // Without this the rename itself may be lost when the power fails. Not every system can do it.
        if let Some(folder) = target.parent()
            && let Ok(folder) = OpenOptions::new().read(true).open(folder)
        {
            let _ = folder.sync_all();
        }
        Ok(())
    }
}

impl Write for AtomicFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file().flush()
    }
}

impl Seek for AtomicFile {
    fn seek(&mut self, place: SeekFrom) -> io::Result<u64> {
        self.file().seek(place)
    }
}

/// Writes a file in as many pieces as `write` takes.
pub(crate) fn write_with(
    path: &Path,
    write: impl FnOnce(&mut File) -> io::Result<()>,
) -> io::Result<()> {
    // A device or a pipe has no content to keep, and must not be replaced by a file.
    if fs::metadata(path).is_ok_and(|meta| !meta.is_file() && !meta.is_dir()) {
        return write(&mut OpenOptions::new().write(true).open(path)?);
    }
    let mut file = AtomicFile::create(path)?;
    write(file.file())?;
    file.commit()
}

/// Removes the parts of a file that a killed process left.
fn remove_stale(folder: &Path, name: &str) {
    let is_stale = |entry: &fs::DirEntry| {
        let file = entry.file_name();
        let rest = file.to_str().and_then(|file| file.strip_prefix(name)?.strip_prefix('.'));
        rest.is_some_and(|rest| rest.ends_with(PART))
            && entry.metadata().and_then(|meta| meta.modified()).is_ok_and(|time| {
                SystemTime::now().duration_since(time).is_ok_and(|age| age > STALE)
            })
    };
    for entry in fs::read_dir(folder).into_iter().flatten().flatten().filter(is_stale) {
        let _ = fs::remove_file(entry.path());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> io::Result<Vec<String>> {
        let entries = fs::read_dir(folder)?.collect::<io::Result<Vec<_>>>()?;
        Ok(entries.iter().map(|it| it.file_name().to_string_lossy().into_owned()).collect())
    }

    #[test]
    fn a_failed_write_leaves_the_old_file_and_nothing_else() -> io::Result<()> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("deep/a.json");
        write_with(&path, |file| file.write_all(b"old"))?;
        let failed = write_with(&path, |file| {
            file.write_all(b"half")?;
            Err(io::Error::other("the disk is full"))
        });
        assert!(failed.is_err());
        assert_eq!(fs::read(&path)?, b"old");
        assert_eq!(names(&folder.path().join("deep"))?, ["a.json"]);
        Ok(())
    }

    #[test]
    fn parts_of_killed_processes_are_removed_and_others_kept() -> io::Result<()> {
        let folder = tempfile::tempdir()?;
        let old = SystemTime::now() - 2 * STALE;
        for (name, time) in
            [("a.Xy1.part", old), ("b.Xy1.part", old), ("a.Xy2.part", SystemTime::now())]
        {
            File::create(folder.path().join(name))?.set_modified(time)?;
        }
        write_with(&folder.path().join("a"), |_| Ok(()))?;
        let mut left = names(folder.path())?;
        left.sort();
        assert_eq!(left, ["a", "a.Xy2.part", "b.Xy1.part"]);
        Ok(())
    }

    #[cfg(unix)]
    #[test]
    fn links_are_followed_and_devices_kept() -> io::Result<()> {
        use std::os::unix::fs::{PermissionsExt, symlink};
        let folder = tempfile::tempdir()?;
        let (file, link) = (folder.path().join("file"), folder.path().join("link"));
        write_with(&file, |_| Ok(()))?;
        assert_ne!(fs::metadata(&file)?.permissions().mode() & 0o044, 0, "as any new file");
        symlink(&file, &link)?;
        write_with(&link, |file| file.write_all(b"new"))?;
        assert_eq!(fs::read(&file)?, b"new");
        assert!(fs::symlink_metadata(&link)?.is_symlink());
        write_with(Path::new("/dev/null"), |file| file.write_all(b"x"))?;
        assert!(!fs::metadata("/dev/null")?.is_file());
        Ok(())
    }
}
