//! Lists of classes by split: `fsct data split`'s file, or a folder with a text file a split.

use std::collections::BTreeMap;
use std::path::Path;

use super::names::split_named;
use super::walk::{entries, utf8_name};
use crate::data::text::read_text;
use crate::data::{DataError, Split};

/// Which class is in which split.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SplitLists {
    /// Split of each class.
    pub split_of: BTreeMap<String, Split>,
}

impl SplitLists {
    /// Reads `{"train": [..], "val": [..], "test": [..]}`, or `train.txt`, `val.txt` and `test.txt`
    /// in a folder, a class a line.
    ///
    /// # Errors
    /// When it is neither, or names a class twice.
    pub fn read(path: &Path) -> Result<Self, DataError> {
        let wrong = |reason: String| DataError::List { path: path.to_owned(), reason };
        let mut lists = Self::default();
        let mut named = 0;
        if path.is_dir() {
            for file in entries(path)? {
                let Ok(name) = utf8_name(&file) else { continue };
                let Some(split) = name.strip_suffix(".txt").and_then(split_named) else { continue };
                let text = read_text(&file)?;
                named += 1;
                let classes = text.lines().map(str::trim).filter(|line| !line.is_empty());
                lists.add(split, classes.map(str::to_owned)).map_err(wrong)?;
            }
        } else {
            let text = read_text(path)?;
            let by_name: BTreeMap<String, Vec<String>> =
                serde_json::from_str(&text).map_err(|error| wrong(error.to_string()))?;
            for (name, classes) in by_name {
                let split = split_named(&name).ok_or_else(|| {
                    wrong(format!("`{name}` is not a split: use train, val and test"))
                })?;
                named += 1;
                lists.add(split, classes).map_err(wrong)?;
            }
        }
        if named == 0 || lists.split_of.is_empty() {
            return Err(wrong("it names no class of train, val or test".into()));
        }
        Ok(lists)
    }

    /// What is said of classes that are there and in no list.
    pub fn note_unlisted(&self, classes: &[&str], path: &Path) -> Option<String> {
        let first = classes.first()?;
        let more = if classes.len() > 1 { ", …" } else { "" };
        let (count, path) = (classes.len(), path.display());
        Some(format!("{count} classes are in no split of {path} and are left out: {first}{more}"))
    }

    fn add(
        &mut self,
        split: Split,
        classes: impl IntoIterator<Item = String>,
    ) -> Result<(), String> {
        for class in classes {
            if let Some(other) = self.split_of.insert(class.clone(), split) {
                return Err(format!("the class `{class}` is named twice, in {other} and {split}"));
            }
        }
        Ok(())
    }
}
