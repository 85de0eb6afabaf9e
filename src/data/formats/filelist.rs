//! CloserLookFewShot's `base.json`, `val.json` and `novel.json`: `label_names`, and `image_names`
//! with their `image_labels`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use serde::Deserialize;

use super::locate::{Entry, Locator};
use super::mismatch::mismatch;
use super::split_files::split_files;
use crate::config::Format;
use crate::data::DataError;
use crate::data::listing::{Item, Listing};
use crate::data::source::ItemFile;
use crate::data::text::read_text;

/// A list.
#[derive(Deserialize)]
struct Filelist {
    label_names: Vec<String>,
    image_names: Vec<String>,
    image_labels: Vec<i64>,
}

/// Lists the images that the files in `root` name; `root` may be one file, such as `all.json`.
pub fn list(root: &Path) -> Result<Listing, DataError> {
    let files = split_files(root, ".json")?;
    if files.is_empty() {
        return Err(mismatch(Format::Filelist, root, "it has no such file"));
    }
    let mut listing = Listing::default();
    for (split, file) in files {
        let wrong = |reason: String| DataError::List { path: file.clone(), reason };
        let list: Filelist =
            serde_json::from_str(&read_text(&file)?).map_err(|error| wrong(error.to_string()))?;
        let (images, labels) = (list.image_names.len(), list.image_labels.len());
        if images != labels {
            return Err(wrong(format!("{images} image_names have {labels} image_labels")));
        }
        let classes = list.classes().map_err(wrong)?;
        let mut locator = Locator::new(&file);
        for (name, label) in list.image_names.iter().zip(&list.image_labels) {
            let class = &classes[label];
            let item = match locator.find(Entry { name, class, split: Some(split) }) {
                Ok(found) => {
                    Item::new(split, class.clone(), found.short, ItemFile::Path(found.path))
                }
                Err(reason) => {
                    Item::new(split, class.clone(), name.as_str(), ItemFile::Unusable(reason))
                }
            };
            listing.items.push(item);
        }
    }
    Ok(listing)
}

impl Filelist {
    /// The class of each label that an image has.
    fn classes(&self) -> Result<BTreeMap<i64, Arc<str>>, String> {
        let labels: BTreeSet<i64> = self.image_labels.iter().copied().collect();
        let first = self.first_named_label(&labels);
        let mut classes = BTreeMap::new();
        for label in labels {
            let name = usize::try_from(label - first).ok().and_then(|at| self.label_names.get(at));
            let name = name.ok_or_else(|| {
                let names = self.label_names.len();
                format!("the label {label} has no name: there are {names} label_names")
            })?;
            classes.insert(label, Arc::<str>::from(name.as_str()));
        }
        let distinct: BTreeSet<&Arc<str>> = classes.values().collect();
        if distinct.len() < classes.len() {
            return Err("two labels of its images have the same name in label_names".into());
        }
        Ok(classes)
    }

    /// The label that the first of `label_names` is of. As a rule it is 0, and the names are those of
    /// all splits. CIFAR's lists number the classes of all splits and name only their own.
    fn first_named_label(&self, labels: &BTreeSet<i64>) -> i64 {
        match (labels.first(), labels.last()) {
            (Some(first), Some(last))
                if *first > 0
                    && labels.len() == self.label_names.len()
                    && last - first + 1 == labels.len() as i64 =>
            {
                *first
            }
            _ => 0,
        }
    }
}
