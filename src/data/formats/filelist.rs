//! CloserLookFewShot's `base.json`, `val.json` and `novel.json`: `label_names`, and `image_names`
//! with their `image_labels`.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Deserialize;

use super::{DataError, Item, Listing, easyfsl::files, nothing};
use crate::config::Format;
use crate::data::source::ItemFile;

/// A list.
#[derive(Deserialize)]
struct Filelist {
    label_names: Vec<String>,
    image_names: Vec<String>,
    image_labels: Vec<i64>,
}

/// Lists the images that the files in `root` name; `root` may be one file, such as `all.json`.
pub fn list(root: &Path) -> Result<Listing, DataError> {
    let files = files(root)?;
    if files.is_empty() {
        return Err(nothing(Format::Filelist, root, "it has no such file"));
    }
    let mut listing = Listing::default();
    for (split, file) in files {
        let wrong = |reason: String| DataError::List { path: file.clone(), reason };
        let text = fs::read_to_string(&file).map_err(DataError::file("read", &file))?;
        let list: Filelist =
            serde_json::from_str(&text).map_err(|error| wrong(error.to_string()))?;
        let (images, labels) = (list.image_names.len(), list.image_labels.len());
        if images != labels {
            return Err(wrong(format!("{images} image_names have {labels} image_labels")));
        }
        // The names may be of more classes than the split has: its classes are its labels.
        let labels: BTreeSet<i64> = list.image_labels.iter().copied().collect();
        let mut classes = std::collections::BTreeMap::new();
        for label in labels {
            let name = usize::try_from(label).ok().and_then(|at| list.label_names.get(at));
            let name = name.ok_or_else(|| {
                let names = list.label_names.len();
                wrong(format!("the label {label} has no name: there are {names} label_names"))
            })?;
            classes.insert(label, Arc::<str>::from(name.as_str()));
        }
        let distinct: BTreeSet<&Arc<str>> = classes.values().collect();
        if distinct.len() < classes.len() {
            return Err(wrong("two labels of its images have the same name in label_names".into()));
        }
        let moved = Moved::find(&file, &list.image_names);
        for (name, label) in list.image_names.iter().zip(&list.image_labels) {
            let path = moved.path(name);
            listing.items.push(Item::new(
                split,
                classes[label].clone(),
                moved.short(name),
                ItemFile::Path(path),
            ));
        }
    }
    Ok(listing)
}

/// Where the images of a list lie now: lists hold the paths of the machine that wrote them.
struct Moved {
    base: PathBuf,
    /// Parts of each name that are left out.
    skip: usize,
}

impl Moved {
    /// Looks for the first image: as it is named, then under shorter and shorter ends of its name,
    /// in the list's folder and those above it.
    fn find(list: &Path, names: &[String]) -> Self {
        let folder = list.parent().unwrap_or(Path::new("."));
        let stay = Self { base: folder.to_owned(), skip: 0 };
        let Some(first) = names.first() else { return stay };
        let count = parts(first).count();
        for skip in 0..count {
            for base in folder.ancestors().take(4) {
                let moved = Self { base: base.to_owned(), skip };
                if moved.path(first).exists() {
                    return moved;
                }
            }
        }
        stay
    }

    fn path(&self, name: &str) -> PathBuf {
        // `join` takes an absolute path as it is.
        if self.skip == 0 { self.base.join(name) } else { self.base.join(self.end(name)) }
    }

    fn end(&self, name: &str) -> PathBuf {
        parts(name).skip(self.skip).collect()
    }

    /// The name in the data set: without the folder that all of them are in.
    fn short(&self, name: &str) -> String {
        let path = self.path(name);
        let short = path.strip_prefix(&self.base).unwrap_or(&path);
        short.to_string_lossy().replace('\\', "/")
    }
}

fn parts(name: &str) -> impl Iterator<Item = &str> {
    name.split(['/', '\\']).filter(|part| !part.is_empty() && *part != ".")
}
