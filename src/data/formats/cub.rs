//! `CUB_200_2011` as published: `images.txt`, `image_class_labels.txt`, `classes.txt` and
//! `images/CLASS/IMAGE`.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use super::mismatch::mismatch;
use super::options::Options;
use super::splits::SplitLists;
use crate::config::Format;
use crate::data::listing::{Item, Listing};
use crate::data::source::ItemFile;
use crate::data::text::read_text;
use crate::data::{DataError, Split};

/// Lists: the paths of images, the class of each, and the names of classes.
const LISTS: [&str; 3] = ["images.txt", "image_class_labels.txt", "classes.txt"];

/// Whether a folder has these lists.
pub fn is_here(root: &Path) -> bool {
    LISTS.iter().all(|name| root.join(name).is_file())
}

/// Lists the images under `root`. Without `data.splits` the classes are split as CloserLookFewShot
/// (Chen et al., ICLR 2019) does: every second one, in order, trains, and the others validate and
/// test in turn.
pub fn list(root: &Path, options: Options) -> Result<Listing, DataError> {
    if !is_here(root) {
        return Err(mismatch(Format::Cub, root, format!("it has not all of {}", LISTS.join(", "))));
    }
    let [images, labels, classes] = LISTS.map(|name| numbered(&root.join(name)));
    let (images, labels, classes) = (images?, labels?, classes?);
    let lists = options.splits.map(SplitLists::read).transpose()?;
    let mut listing = Listing::default();
    let mut split_of: BTreeMap<&str, (Arc<str>, Option<Split>)> = BTreeMap::new();
    for (at, (number, name)) in classes.iter().enumerate() {
        let split = match &lists {
            Some(lists) => lists.split_of.get(name).copied(),
            None if at % 2 == 0 => Some(Split::Base),
            None if at % 4 == 1 => Some(Split::Val),
            None => Some(Split::Novel),
        };
        split_of.insert(number, (Arc::from(name.as_str()), split));
    }
    let class_of: BTreeMap<&str, &str> =
        labels.iter().map(|(image, class)| (image.as_str(), class.as_str())).collect();
    for (number, name) in &images {
        let wrong = |file: &str, reason: String| DataError::List { path: root.join(file), reason };
        let class = class_of
            .get(number.as_str())
            .ok_or_else(|| wrong(LISTS[1], format!("the image {number} ({name}) has no class")))?;
        let (class, split) = split_of
            .get(class)
            .ok_or_else(|| wrong(LISTS[2], format!("the class {class} has no name")))?;
        let Some(split) = split else { continue };
        let short = format!("images/{}", name.replace('\\', "/"));
        let file = ItemFile::Path(root.join(&short));
        listing.items.push(Item::new(*split, class.clone(), short, file));
    }
    match (&lists, options.splits) {
        (Some(lists), Some(path)) => {
            let names: Vec<&str> = classes.iter().map(|(_, name)| name.as_str()).collect();
            if let Some(missing) = lists.split_of.keys().find(|name| !names.contains(&name.as_str())) {
                let reason = format!("the class `{missing}` is not in {}", LISTS[2]);
                return Err(DataError::List { path: path.to_owned(), reason });
            }
            let unlisted: Vec<&str> =
                names.into_iter().filter(|name| !lists.split_of.contains_key(*name)).collect();
            listing.notes.extend(lists.note_unlisted(&unlisted, path));
        }
        _ => listing.notes.push(
            "the classes are split as CloserLookFewShot does (2 of 4 train, 1 validates, 1 tests, in \
             order); `data.splits` names another split"
                .into(),
        ),
    }
    listing.items.sort_by(|a, b| (a.split, &a.class).cmp(&(b.split, &b.class)));
    Ok(listing)
}

/// Lines of a number and a text.
fn numbered(path: &Path) -> Result<Vec<(String, String)>, DataError> {
    let text = read_text(path)?;
    let mut lines = Vec::new();
    for (at, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let (number, name) = line.trim().split_once(' ').ok_or_else(|| DataError::List {
            path: path.to_owned(),
            reason: format!("line {}: expected a number and a name", at + 1),
        })?;
        lines.push((number.to_owned(), name.trim().to_owned()));
    }
    Ok(lines)
}
