//! Files that are written completely or not at all.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use tempfile::{Builder, NamedTempFile, TempPath};

/// Suffix of a file that is being written.
const PART: &str = ".part";
/// Random letters and digits before it.
const RANDOM: usize = 6;
/// Parts that were not written to for this long belong to a process that was killed.
const STALE: Duration = Duration::from_secs(3600);

/// A file that takes its name when it is complete. Dropped before that, it is removed.
pub(crate) struct AtomicFile(Target);

enum Target {
    /// A temporary file beside the one that it replaces.
    Part { target: PathBuf, part: NamedTempFile },
    /// A device or a pipe: it has no content to keep, and must not be replaced by a file.
    Stream(File),
}

impl AtomicFile {
    /// Starts a file. Its folder is created if it is not there; the file that has the name now is kept
    /// until [`commit`](Self::commit).
    pub fn create(path: &Path) -> io::Result<Self> {
        if fs::metadata(path).is_ok_and(|meta| !meta.is_file() && !meta.is_dir()) {
            return Ok(Self(Target::Stream(OpenOptions::new().write(true).open(path)?)));
        }
        // The file that a link leads to is replaced, not the link.
        let target = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        fs::create_dir_all(folder(&target))?;
        remove_stale(&target);
        let part = temporary(&target)?;
        Ok(Self(Target::Part { target, part }))
    }

    /// The file, to be written to.
    pub fn file(&mut self) -> &mut File {
        match &mut self.0 {
            Target::Part { part, .. } => part.as_file_mut(),
            Target::Stream(file) => file,
        }
    }

    /// Gives the file its name, once its bytes are on the disk.
    pub fn commit(self) -> io::Result<()> {
        let Target::Part { target, part } = self.0 else { return Ok(()) };
        part.as_file().sync_all()?;
        part.persist(&target).map_err(|error| error.error)?;
        // Without this the rename itself may be lost when the power fails. Not every system can do it.
        if let Ok(folder) = OpenOptions::new().read(true).open(folder(&target)) {
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
    let mut file = AtomicFile::create(path)?;
    write(file.file())?;
    file.commit()
}

/// Writes `bytes` to `path`.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    write_with(path, |file| file.write_all(bytes))
}

/// Writes a file that does not exist yet.
///
/// # Errors
/// Of the kind `AlreadyExists` where it does.
pub(crate) fn write_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut part = temporary(path)?;
    part.write_all(bytes)?;
    part.as_file().sync_all()?;
    part.persist_noclobber(path).map_err(|error| error.error)?;
    Ok(())
}

/// The path of a temporary file beside `path`, removed when it is dropped.
pub(crate) fn beside(path: &Path) -> io::Result<TempPath> {
    Ok(temporary(path)?.into_temp_path())
}

/// Removes the parts that killed processes left in `folder`. No process may be writing there.
pub(crate) fn remove_left_over(folder: &Path) {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    for entry in entries.filter(|it| name_of(&it.file_name().to_string_lossy()).is_some()) {
        let _ = fs::remove_file(entry.path());
    }
}

fn folder(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// An empty file beside `path`, named `NAME.RANDOM.part`.
fn temporary(path: &Path) -> io::Result<NamedTempFile> {
    let mut builder = Builder::new();
    let prefix = format!("{}.", path.file_name().unwrap_or_default().to_string_lossy());
    builder.prefix(&prefix).suffix(PART).rand_bytes(RANDOM);
    // As any new file: a temporary one would be for its owner alone.
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    // The error names the temporary file, which no user knows: the caller names the file itself.
    builder.tempfile_in(folder(path)).map_err(|error| match error.raw_os_error() {
        Some(code) => io::Error::from_raw_os_error(code),
        None => io::Error::from(error.kind()),
    })
}

/// Name of the file that a part becomes; `None` for any other file, such as a user's `notes.part`.
///
/// burn-store, which writes tensors into a part, itself writes `PART.PROCESS-NUMBER.tmp` first.
fn name_of(part: &str) -> Option<&str> {
    let part = match part.strip_suffix(".tmp").and_then(|it| it.rsplit_once('.')) {
        Some((part, count)) if is_count(count) => part,
        _ => part,
    };
    let (name, random) = part.strip_suffix(PART)?.rsplit_once('.')?;
    let is_random = random.len() == RANDOM && random.bytes().all(|it| it.is_ascii_alphanumeric());
    (is_random && !name.is_empty()).then_some(name)
}

/// Whether a text is `PROCESS-NUMBER`.
fn is_count(text: &str) -> bool {
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|it| it.is_ascii_digit());
    text.split_once('-').is_some_and(|(process, number)| is_number(process) && is_number(number))
}

/// Removes the parts of a file that a killed process left.
fn remove_stale(target: &Path) {
    let name = target.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let is_stale = |entry: &fs::DirEntry| {
        name_of(&entry.file_name().to_string_lossy()) == Some(name.as_str())
            && entry.metadata().and_then(|meta| meta.modified()).is_ok_and(|time| {
                SystemTime::now().duration_since(time).is_ok_and(|age| age > STALE)
            })
    };
    for entry in fs::read_dir(folder(target)).into_iter().flatten().flatten().filter(is_stale) {
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
            [("a.Xyzab1.part", old), ("a.b.Xyzab1.part", old), ("a.Xyzab2.part", SystemTime::now())]
        {
            File::create(folder.path().join(name))?.set_modified(time)?;
        }
        write_with(&folder.path().join("a"), |_| Ok(()))?;
        let mut left = names(folder.path())?;
        left.sort();
        assert_eq!(left, ["a", "a.Xyzab2.part", "a.b.Xyzab1.part"]);
        Ok(())
    }

    #[test]
    fn a_new_file_does_not_replace_one() -> io::Result<()> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("a.yaml");
        write_new(&path, b"mine")?;
        let refused = write_new(&path, b"other").map_err(|error| error.kind());
        assert_eq!(refused, Err(io::ErrorKind::AlreadyExists));
        assert_eq!(fs::read(&path)?, b"mine");
        assert_eq!(names(folder.path())?, ["a.yaml"]);
        Ok(())
    }

    #[test]
    fn all_parts_of_killed_processes_are_removed_and_nothing_else() -> io::Result<()> {
        let folder = tempfile::tempdir()?;
        let (mut part, path) = temporary(&folder.path().join("last.ckpt"))?.keep()?;
        part.write_all(b"half")?;
        assert!(path.exists());
        // burn-store's own, while it writes the part; and a user's with such a name.
        fs::write(format!("{}.30482-11.tmp", path.display()), b"half")?;
        fs::write(folder.path().join("mine.30482-11.tmp"), b"a user's")?;
        write(&folder.path().join("last.ckpt"), b"whole")?;
        write(&folder.path().join("notes.part"), b"a user's")?;
        remove_left_over(folder.path());
        let mut left = names(folder.path())?;
        left.sort();
        assert_eq!(left, ["last.ckpt", "mine.30482-11.tmp", "notes.part"]);
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
