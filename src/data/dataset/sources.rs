//! The data sets that a pipeline names → the images of each split.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use super::absence::absence;
use super::part::Part;
use crate::config::{self, Classes, Format, OtherData, Pipeline};
use crate::data::formats::{self, Options};
use crate::data::listing::{EmptyClass, Item, Listing};
use crate::data::{DataError, Split, known};

/// A data set that is listed.
struct Source {
    format: Format,
    root: Option<PathBuf>,
    splits: Option<PathBuf>,
    listing: Listing,
}

/// The images of each split, in the order of the splits.
pub fn parts(
    pipeline: &Pipeline,
    base: &Path,
    notes: &mut Vec<String>,
) -> Result<[(Split, Part); 3], DataError> {
    let data = &pipeline.data;
    let others = [
        (Split::Base, &pipeline.train.data, "train.data.root"),
        (Split::Val, &pipeline.validate.data, "validate.data.root"),
        (Split::Novel, &pipeline.test.data, "test.data.root"),
    ];
    let mut parts = Split::ALL.map(|split| (split, Part::default()));
    // If each split has a source of its own, the common one is not read.
    if others.iter().any(|(_, other, _)| other.is_none()) {
        let source = source(data.format, data.root.as_deref(), data, base, "data.root", notes)?;
        for (split, part) in &mut parts {
            part.absence =
                absence(source.format, source.root.as_deref(), source.splits.as_deref(), *split);
            part.ink_is_dark = source.listing.ink_is_dark;
        }
        let mut items = source.listing.items;
        if !items.is_sorted_by_key(|item| item.split) {
            items.sort_by_key(|item| item.split);
        }
        // From the end, so that the index of the largest split, the first, does not change.
        for (split, part) in parts.iter_mut().rev() {
            part.items = items.split_off(items.partition_point(|item| item.split < *split));
            part.empty = source.listing.empty.clone();
            part.empty.retain(|class| class.split == *split);
        }
    }
    for ((split, part), (_, other, key)) in parts.iter_mut().zip(others) {
        if let Some(other) = other {
            let source = source(other.format, other.root.as_deref(), data, base, key, notes)?;
            *part = part_of(source, other, *split);
        }
    }
    Ok(parts)
}

/// The images of another data set for one split.
fn part_of(source: Source, other: &OtherData, split: Split) -> Part {
    let wanted = match other.classes {
        Classes::Same => Some(split),
        Classes::Base => Some(Split::Base),
        Classes::Val => Some(Split::Val),
        Classes::Novel => Some(Split::Novel),
        Classes::All => None,
    };
    let is_wanted = |it: Split| wanted.is_none_or(|wanted| it == wanted);
    let Listing { items, empty, ink_is_dark, .. } = source.listing;
    let mut items: Vec<Item> = items.into_iter().filter(|item| is_wanted(item.split)).collect();
    if wanted.is_none() {
        // One file may stand for all splits.
        let mut seen = HashSet::new();
        items.retain(|item| seen.insert((item.class.clone(), item.name.clone())));
    }
    items.iter_mut().for_each(|item| item.split = split);
    let empty: Vec<EmptyClass> = empty.into_iter().filter(|class| is_wanted(class.split)).collect();
    let named = wanted.unwrap_or(split);
    let absence = absence(source.format, source.root.as_deref(), source.splits.as_deref(), named);
    Part { items, empty, ink_is_dark, absence }
}

/// The layout of a data set whose root is given: as written, or guessed.
///
/// # Errors
/// When nothing is there, or nothing that is known.
pub fn format_of(format: Option<Format>, root: Option<&Path>) -> Result<Format, DataError> {
    match (format, root) {
        (Some(format), _) => Ok(format),
        (None, None) => Err(DataError::pipeline(
            "data.root",
            "`data` names no data set",
            "add `root:` with the folder, or write `format: synthetic`",
        )),
        (None, Some(root)) => formats::guess(root).ok_or_else(|| {
            let problem = match formats::packed_folder(root) {
                _ if !root.exists() => "does not exist".to_owned(),
                Some(archive) => format!("holds {archive}, which is not read; unpack it"),
                None => "holds no data set that fsct knows".to_owned(),
            };
            DataError::pipeline(
                "data.root",
                format!("`data.root: {}` {problem}", root.display()),
                "correct the path, or write `data.format`; `fsct explain data.format` lists the layouts",
            )
        }),
    }
}

fn source(
    format: Option<Format>,
    root: Option<&Path>,
    data: &config::Data,
    base: &Path,
    key: &'static str,
    notes: &mut Vec<String>,
) -> Result<Source, DataError> {
    let root = root.map(|root| base.join(root));
    let is_common = key == "data.root";
    let splits = data.splits.as_ref().filter(|_| is_common).map(|path| base.join(path));
    let under = |error: DataError| match error {
        // The same error, under the key that the root was written at.
        DataError::Pipeline { key: root, message, help } if root == "data.root" => {
            DataError::Pipeline { key: key.into(), message: message.replace(&root, key), help }
        }
        error => error,
    };
    let layout = format_of(format, root.as_deref()).map_err(under)?;
    if let (None, Some(root)) = (format, &root) {
        let section = key.trim_end_matches(".root");
        notes.push(format!(
            "the detected layout is `{}` (`{section}.format`), from what is in {}",
            layout.word(),
            root.display()
        ));
    }
    let options = Options {
        splits: splits.as_deref(),
        columns: Some(&data.columns),
        rotations: data.rotations,
        one_split: false,
    };
    let mut listing = formats::list(layout, root.as_deref(), options).map_err(under)?;
    notes.append(&mut listing.notes);
    notes.extend(root.as_deref().and_then(|root| known::note(layout, root, &listing)));
    Ok(Source { format: layout, root, splits, listing })
}
