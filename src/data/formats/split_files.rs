//! One list a split: `train.csv`, `base.json`, …

use std::path::{Path, PathBuf};

use super::names::split_named;
use super::walk::{entries, utf8_name};
use crate::data::{DataError, Split};

/// Folders next to the images that contain lists.
const LIST_FOLDERS: [&str; 3] = ["split", "splits", "filelists"];

/// The lists of a data set with a suffix such as `.csv`, by split, in `root` or in a folder `split`
/// or `splits` in it. A root that is a file stands for all splits.
pub fn split_files(root: &Path, suffix: &str) -> Result<Vec<(Split, PathBuf)>, DataError> {
    if root.is_file() {
        return Ok(Split::ALL.map(|split| (split, root.to_owned())).to_vec());
    }
    let mut files = files_in(root, suffix)?;
    for folder in LIST_FOLDERS.map(|name| root.join(name)) {
        if files.is_empty() && folder.is_dir() {
            files = files_in(&folder, suffix)?;
        }
    }
    Ok(files)
}

fn files_in(folder: &Path, suffix: &str) -> Result<Vec<(Split, PathBuf)>, DataError> {
    let mut files = Vec::new();
    for path in entries(folder)? {
        let name = utf8_name(&path).unwrap_or_default().to_lowercase();
        if let Some(split) = name.strip_suffix(suffix).and_then(split_named)
            && path.is_file()
        {
            files.push((split, path));
        }
    }
    files.sort();
    Ok(files)
}

/// The folder that the names in a list are relative to: the list's, or the one above a folder that
/// has only lists.
pub fn list_base(list: &Path) -> PathBuf {
    let folder = list.parent().unwrap_or(Path::new("."));
    let is_list_folder = utf8_name(folder).is_ok_and(|name| LIST_FOLDERS.contains(&name.as_str()));
    match folder.parent() {
        Some(above) if is_list_folder => {
            if above.as_os_str().is_empty() {
                PathBuf::from(".")
            } else {
                above.to_owned()
            }
        }
        _ => folder.to_owned(),
    }
}
