//! `train.csv`, `val.csv` and `test.csv`: `filename,label` or `image_name,class_name`, images in
//! `images/`, in class folders, or beside the lists.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{DataError, Item, Listing, Split, entries, nothing, split_named, utf8_name};
use crate::config::Format;
use crate::data::source::ItemFile;

/// Lists the images that the files in `root` name.
pub fn list(root: &Path) -> Result<Listing, DataError> {
    let mut listing = Listing::default();
    let mut found = false;
    for path in entries(root)? {
        let name = utf8_name(&path).unwrap_or_default();
        if let Some(split) = name.strip_suffix(".csv").and_then(split_named) {
            found = true;
            read(root, split, &path, &mut listing)?;
        }
    }
    if !found {
        return Err(nothing(Format::Csv, root, "it has no such file"));
    }
    // By name, as files in folders are: `val` comes after `train` in a folder's order.
    listing.items.sort_by(|a, b| (a.split, &a.class).cmp(&(b.split, &b.class)));
    Ok(listing)
}

fn read(root: &Path, split: Split, path: &Path, listing: &mut Listing) -> Result<(), DataError> {
    let wrong = |reason: String| DataError::List { path: path.to_owned(), reason };
    let mut reader = csv::ReaderBuilder::new()
        .trim(csv::Trim::All)
        .from_path(path)
        .map_err(|error| wrong(error.to_string()))?;
    let headers = reader.headers().map_err(|error| wrong(error.to_string()))?.clone();
    let column = |names: &[&str]| {
        let clean = |header: &str| header.trim_start_matches('\u{feff}').to_ascii_lowercase();
        headers.iter().position(|header| names.contains(&clean(header).as_str()))
    };
    let (Some(image), Some(class)) = (
        column(&["filename", "image_name", "file", "image", "path"]),
        column(&["label", "class_name", "class"]),
    ) else {
        let there: Vec<&str> = headers.iter().collect();
        return Err(wrong(format!(
            "its columns are {}; expected: filename,label or image_name,class_name",
            there.join(",")
        )));
    };
    let mut place = None;
    for (index, record) in reader.records().enumerate() {
        let at = |reason: String| wrong(format!("line {}: {reason}", index + 2));
        let record = record.map_err(|error| at(error.to_string()))?;
        let (name, class) = (&record[image], &record[class]);
        if name.is_empty() || class.is_empty() {
            return Err(at("the name or the class is empty".into()));
        }
        let place = *place.get_or_insert_with(|| Place::find(root, split, name, class));
        let (file, short) = place.path(root, split, name, class);
        listing.items.push(Item::new(split, Arc::<str>::from(class), short, ItemFile::Path(file)));
    }
    Ok(())
}

/// Where the images of a list are.
#[derive(Debug, Clone, Copy)]
enum Place {
    Images,
    Classes,
    SplitClasses,
    Beside,
}

impl Place {
    fn find(root: &Path, split: Split, name: &str, class: &str) -> Self {
        [Self::Images, Self::Classes, Self::SplitClasses, Self::Beside]
            .into_iter()
            .find(|place| place.path(root, split, name, class).0.exists())
            .unwrap_or(Self::Images)
    }

    /// The file, and its name in the data set.
    fn path(self, root: &Path, split: Split, name: &str, class: &str) -> (PathBuf, String) {
        let short = match self {
            Self::Images => format!("images/{name}"),
            Self::Classes => format!("{class}/{name}"),
            Self::SplitClasses => {
                let folder = match split {
                    Split::Base => "train",
                    Split::Val => "val",
                    Split::Novel => "test",
                };
                format!("{folder}/{class}/{name}")
            }
            Self::Beside => name.to_owned(),
        };
        (root.join(&short), short)
    }
}
