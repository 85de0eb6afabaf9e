//! Copies of images in a folder for each class.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use crate::atomic_file::write_new;
use crate::run::RunError;

/// What became of a copy.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Copied {
    /// The copy is there, from now or from before.
    There,
    /// Another file has the name; it is kept.
    Taken(PathBuf),
}

/// Copies a file to `root/class/`, under its own name. A file that is there is never replaced.
pub(super) fn copy(file: &Path, root: &Path, class: &str) -> Result<Copied, RunError> {
    let target = root.join(class).join(file.file_name().unwrap_or_default());
    let bytes = fs::read(file).map_err(RunError::file("read", file))?;
    if let Some(folder) = target.parent() {
        fs::create_dir_all(folder).map_err(RunError::file("create", folder))?;
    }
    match write_new(&target, &bytes) {
        Ok(()) => Ok(Copied::There),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            let is_same = fs::read(&target).is_ok_and(|there| there == bytes);
            Ok(if is_same { Copied::There } else { Copied::Taken(target) })
        }
        Err(error) => Err(RunError::file("write", target)(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_there_is_kept() -> Result<(), Box<dyn std::error::Error>> {
        let folder = tempfile::tempdir()?;
        let (file, other) = (folder.path().join("1.png"), folder.path().join("x/1.png"));
        fs::create_dir(folder.path().join("x"))?;
        fs::write(&file, "one")?;
        fs::write(&other, "other")?;
        let root = folder.path().join("sorted");
        let target = root.join("cat/1.png");
        assert_eq!(copy(&file, &root, "cat")?, Copied::There);
        assert_eq!(copy(&file, &root, "cat")?, Copied::There, "the same once more");
        assert_eq!(copy(&other, &root, "cat")?, Copied::Taken(target.clone()));
        assert_eq!(fs::read(target)?, b"one");
        assert_eq!(fs::read_dir(root.join("cat"))?.count(), 1);
        Ok(())
    }
}
