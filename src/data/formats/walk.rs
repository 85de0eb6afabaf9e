//! Folders, and the images below them.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use walkdir::WalkDir;

use super::others::Others;
use crate::data::DataError;
use crate::data::codec::has_image_suffix;
use crate::data::source::ItemFile;

/// Folders and files that operating systems and storage devices add to a user's own.
const SYSTEM_NAMES: [&str; 8] = [
    "__MACOSX",
    "@eaDir",
    "#recycle",
    "$RECYCLE.BIN",
    "System Volume Information",
    "lost+found",
    "Thumbs.db",
    "desktop.ini",
];

/// Whether an entry of a folder is not looked at: hidden, or written by the operating system.
pub fn is_ignored(name: &OsStr) -> bool {
    let bytes = name.as_encoded_bytes();
    bytes.starts_with(b".") || SYSTEM_NAMES.iter().any(|it| name.eq_ignore_ascii_case(it))
}

/// Entries of a folder, by name. Hidden ones and those of the operating system are left out.
pub fn entries(folder: &Path) -> Result<Vec<PathBuf>, DataError> {
    let mut paths = fs::read_dir(folder)
        .and_then(|entries| entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>, _>>())
        .map_err(DataError::file("list", folder))?;
    paths.retain(|path| path.file_name().is_none_or(|name| !is_ignored(name)));
    paths.sort();
    Ok(paths)
}

/// A path's last name; `Err` has the name with a replacement for what is not UTF-8.
pub fn utf8_name(path: &Path) -> Result<String, String> {
    let name = path.file_name().unwrap_or_default();
    name.to_str().map(str::to_owned).ok_or_else(|| name.to_string_lossy().into_owned())
}

/// A folder in the root of a data set.
#[derive(Debug, Clone)]
pub struct Folder {
    /// Its name; what is not UTF-8 in it is replaced.
    pub name: String,
    /// The path of the folder.
    pub path: PathBuf,
    /// Whether its name is UTF-8. Lists, packs and reports cannot hold other names.
    pub is_utf8: bool,
}

/// The folders in a folder, by name.
pub fn folders(root: &Path) -> Result<Vec<Folder>, DataError> {
    let paths = entries(root)?.into_iter().filter(|path| path.is_dir());
    let folder = |path: PathBuf| {
        let name = utf8_name(&path);
        Folder { is_utf8: name.is_ok(), name: name.unwrap_or_else(|lossy| lossy), path }
    };
    Ok(paths.map(folder).collect())
}

/// Images below a folder, by path inside it, together with those that cannot be used.
///
/// # Errors
/// When a folder cannot be listed.
pub fn images_in(folder: &Path) -> Result<Vec<(String, ItemFile)>, DataError> {
    Ok(images_below(folder)?.0)
}

/// Images below a folder, by path inside it, together with those that cannot be used; and a count of
/// the other files. Links are followed.
pub fn images_below(folder: &Path) -> Result<(Vec<(String, ItemFile)>, Others), DataError> {
    let mut images = Vec::new();
    let mut others = Others::default();
    let mut walk =
        WalkDir::new(folder).min_depth(1).follow_links(true).sort_by_file_name().into_iter();
    while let Some(entry) = walk.next() {
        let path = match &entry {
            Ok(entry) => entry.path().to_owned(),
            Err(error) => error.path().unwrap_or(folder).to_owned(),
        };
        let file_name = path.file_name().unwrap_or_default();
        if is_ignored(file_name) {
            if entry.is_ok_and(|entry| entry.file_type().is_dir()) {
                walk.skip_current_dir();
            }
            continue;
        }
        let inside = path.strip_prefix(folder).unwrap_or(&path);
        let name = inside.to_string_lossy().replace('\\', "/");
        let mut unusable =
            |reason: &str| images.push((name.clone(), ItemFile::Unusable(reason.into())));
        let entry = match entry {
            Ok(entry) => entry,
            Err(error) if error.loop_ancestor().is_some() => {
                unusable("it is a link that leads back to a folder above it");
                continue;
            }
            Err(error) if fs::symlink_metadata(&path).is_ok_and(|it| it.is_symlink()) => {
                let reason = error.io_error().map_or(String::new(), |error| format!(": {error}"));
                unusable(&format!("it is a broken link{reason}"));
                continue;
            }
            Err(error) => {
                let error =
                    error.into_io_error().unwrap_or_else(|| std::io::Error::other("a link"));
                return Err(DataError::File { doing: "list", path, error });
            }
        };
        let is_folder = entry.file_type().is_dir();
        if inside.to_str().is_none() {
            unusable("its name is not UTF-8; rename it");
        } else if has_image_suffix(&name) {
            // A folder or a pipe with an image's name is an error when it is read.
            images.push((name, ItemFile::Path(path.clone())));
        } else {
            if !is_folder {
                others.count(name);
            }
            continue;
        }
        if is_folder {
            walk.skip_current_dir();
        }
    }
    Ok((images, others))
}
