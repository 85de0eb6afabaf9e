//! easyfsl's `train.json`, `val.json` and `test.json`: `class_names` and the folder of each.

use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::folder::Classes;
use super::{DataError, Listing, Split, entries, nothing, split_named, utf8_name};
use crate::config::Format;

/// A file of easyfsl.
#[derive(Deserialize)]
struct Spec {
    class_names: Vec<String>,
    class_roots: Vec<String>,
}

/// Lists the images that the files in `root` name; `root` may be one file.
pub fn list(root: &Path) -> Result<Listing, DataError> {
    let mut classes = Classes::default();
    let files = files(root)?;
    if files.is_empty() {
        return Err(nothing(Format::Easyfsl, root, "it has no such file"));
    }
    for (split, file) in files {
        let wrong = |reason: String| DataError::List { path: file.clone(), reason };
        let text = fs::read_to_string(&file).map_err(DataError::file("read", &file))?;
        let spec: Spec = serde_json::from_str(&text).map_err(|error| wrong(error.to_string()))?;
        let (names, roots) = (spec.class_names.len(), spec.class_roots.len());
        if names != roots {
            return Err(wrong(format!("{names} class_names have {roots} class_roots")));
        }
        for (class, folder) in spec.class_names.iter().zip(&spec.class_roots) {
            let folder = find(folder, &file).ok_or_else(|| {
                wrong(format!("the folder `{folder}` of the class `{class}` is not there"))
            })?;
            classes.add(split, class, &folder)?;
        }
    }
    Ok(classes.listing())
}

/// The files of a folder by split; a single file stands for all splits.
pub fn files(root: &Path) -> Result<Vec<(Split, PathBuf)>, DataError> {
    if root.is_file() {
        return Ok(Split::ALL.map(|split| (split, root.to_owned())).to_vec());
    }
    let mut files = Vec::new();
    for path in entries(root)? {
        let name = utf8_name(&path).unwrap_or_default();
        if let Some(split) = name.strip_suffix(".json").and_then(split_named) {
            files.push((split, path));
        }
    }
    files.sort();
    Ok(files)
}

/// The folder as it is named, from the list's folder, or from one above it: easyfsl's own lists are
/// relative to the folder that its scripts run in.
fn find(folder: &str, file: &Path) -> Option<PathBuf> {
    let named = Path::new(folder);
    let above = file.ancestors().skip(1).take(5);
    std::iter::once(named.to_owned())
        .filter(|path| path.is_absolute())
        .chain(above.map(|base| base.join(named)))
        .find(|path| path.is_dir())
}
