//! The images that the arguments name.

use std::io::{self, BufRead};
use std::path::{Path, PathBuf};

use crate::Error;
use crate::data::{Item, ItemFile, Split, images_in};
use crate::run::RunError;

/// Reads paths from standard input.
const STDIN: &str = "-";

/// Images of the arguments, in their order: files, folders, patterns and `-`. A file that is not there
/// is listed: reading it is the error.
pub(super) fn images(arguments: &[PathBuf]) -> Result<Vec<Item>, Error> {
    let mut images = Vec::new();
    for argument in arguments {
        if argument.as_os_str() == STDIN {
            let lines = paths(io::stdin().lock()).map_err(RunError::file("read", STDIN))?;
            images.extend(lines.into_iter().map(file));
            continue;
        }
        let before = images.len();
        // A pattern is UTF-8; a folder or a file may have any name.
        let pattern = argument.to_str().filter(|text| text.contains(['*', '?', '[']));
        if argument.is_dir() {
            images.extend(below(argument)?);
        } else if let Some(pattern) = pattern.filter(|_| !argument.exists()) {
            for path in matching(pattern)? {
                if path.is_dir() {
                    images.extend(below(&path)?);
                } else {
                    images.push(file(path));
                }
            }
        } else {
            images.push(file(argument.clone()));
        }
        if images.len() == before {
            return Err(Error::failed_with_help(
                format!("`{}` names no image", argument.display()),
                "name image files, a folder with some, a pattern, or `-` for paths on standard input",
            ));
        }
    }
    Ok(images)
}

fn file(path: PathBuf) -> Item {
    Item::new(Split::Novel, "", path.display().to_string(), ItemFile::Path(path))
}

/// Every image below a folder, by name.
fn below(folder: &Path) -> Result<Vec<Item>, Error> {
    let found = images_in(folder).map_err(RunError::from)?;
    let item = |(name, file): (String, ItemFile)| {
        Item::new(Split::Novel, "", folder.join(name).display().to_string(), file)
    };
    Ok(found.into_iter().map(item).collect())
}

fn matching(pattern: &str) -> Result<Vec<PathBuf>, Error> {
    let help = "correct the pattern, or name the files";
    let paths = glob::glob(pattern).map_err(|error| {
        Error::failed_with_help(format!("`{pattern}` is not a pattern: {error}"), help)
    })?;
    let found: Result<Vec<PathBuf>, glob::GlobError> = paths.collect();
    Ok(found.map_err(|error| RunError::file("list", error.path().to_owned())(error.into()))?)
}

/// A path a line. Empty lines are skipped.
fn paths(mut lines: impl BufRead) -> io::Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    let mut line = Vec::new();
    while lines.read_until(b'\n', &mut line)? > 0 {
        let end = line.iter().rposition(|byte| !matches!(byte, b'\n' | b'\r'));
        line.truncate(end.map_or(0, |end| end + 1));
        if !line.is_empty() {
            paths.push(path(&line));
        }
        line.clear();
    }
    Ok(paths)
}

#[cfg(unix)]
fn path(bytes: &[u8]) -> PathBuf {
    use std::os::unix::ffi::OsStrExt;
    PathBuf::from(std::ffi::OsStr::from_bytes(bytes))
}

#[cfg(not(unix))]
fn path(bytes: &[u8]) -> PathBuf {
    PathBuf::from(String::from_utf8_lossy(bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_paths() -> io::Result<()> {
        let found = paths(&b"a.png\r\n\nb c.jpg\nlast"[..])?;
        assert_eq!(found, ["a.png", "b c.jpg", "last"].map(PathBuf::from));
        Ok(())
    }

    #[test]
    fn folders_patterns_and_files_are_images_in_the_order_of_the_arguments() -> io::Result<()> {
        let folder = tempfile::tempdir()?;
        for name in ["b.png", "a.jpg", "c.txt", "deep/d.webp", ".hidden/e.png"] {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap_or(folder.path()))?;
            std::fs::write(path, "")?;
        }
        let at = |name: &str| folder.path().join(name);
        let names = |arguments: &[&str]| {
            let found = images(&arguments.iter().map(|it| at(it)).collect::<Vec<_>>());
            let prefix = format!("{}/", folder.path().display());
            found.map(|it| it.iter().map(|it| it.name.replace(&prefix, "")).collect::<Vec<_>>())
        };
        assert_eq!(
            names(&[""]).ok(),
            Some(vec!["a.jpg".into(), "b.png".into(), "deep/d.webp".into()])
        );
        assert_eq!(
            names(&["absent.png", "c.txt", "*.png", "d*"]).ok(),
            Some(["absent.png", "c.txt", "b.png", "deep/d.webp"].map(String::from).to_vec())
        );
        assert!(names(&["*.bmp"]).is_err_and(|error| error.to_string().contains("names no image")));
        Ok(())
    }
}
