//! easyfsl's `train.json`, `val.json` and `test.json`: `class_names` and the folder of each.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::class_folders::ClassFolders;
use super::mismatch::mismatch;
use super::split_files::split_files;
use crate::config::Format;
use crate::data::DataError;
use crate::data::listing::Listing;
use crate::data::text::read_text;

/// Folders above a list's that a class folder is looked for in.
const ABOVE: usize = 4;

/// A file of easyfsl.
#[derive(Deserialize)]
struct Spec {
    class_names: Vec<String>,
    class_roots: Vec<String>,
}

/// Lists the images that the files in `root` name; `root` may be one file.
pub fn list(root: &Path) -> Result<Listing, DataError> {
    let mut classes = ClassFolders::default();
    let files = split_files(root, ".json")?;
    if files.is_empty() {
        return Err(mismatch(Format::Easyfsl, root, "it has no such file"));
    }
    for (split, file) in files {
        let wrong = |reason: String| DataError::List { path: file.clone(), reason };
        let spec: Spec =
            serde_json::from_str(&read_text(&file)?).map_err(|error| wrong(error.to_string()))?;
        let (names, roots) = (spec.class_names.len(), spec.class_roots.len());
        if names != roots {
            return Err(wrong(format!("{names} class_names have {roots} class_roots")));
        }
        for (class, folder) in spec.class_names.iter().zip(&spec.class_roots) {
            let folder = find(folder, &file).ok_or_else(|| {
                wrong(format!("the folder `{folder}` of the class `{class}` is not there"))
            })?;
            classes.add_named(split, class, &folder)?;
        }
    }
    Ok(classes.listing())
}

/// The folder as named, in the list's folder, or in a folder above it: easyfsl's own lists are
/// relative to the folder that its scripts run in.
fn find(folder: &str, file: &Path) -> Option<PathBuf> {
    let folder = folder.replace('\\', "/");
    let named = Path::new(&folder);
    let above = file.ancestors().skip(1).take(ABOVE + 1);
    std::iter::once(named.to_owned())
        .filter(|path| path.is_absolute())
        .chain(above.map(|base| base.join(named)))
        .find(|path| path.is_dir())
}
