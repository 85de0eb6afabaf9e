//! Lists of images as CSV: `train.csv`, `val.csv` and `test.csv`, or one list of all images, such as
//! HAM10000's metadata. Images lie anywhere below the lists.

mod columns;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::locate::{Entry, Locator};
use super::mismatch::mismatch;
use super::names::split_named;
use super::options::Options;
use super::split_files::split_files;
use super::splits::SplitLists;
use super::walk::entries;
use crate::config::Format;
use crate::data::listing::{Item, Listing};
use crate::data::source::ItemFile;
use crate::data::text::read_text;
use crate::data::{DataError, Split};
use columns::Columns;

/// Lists the images that the files in `root` name; `root` may be one file.
pub fn list(root: &Path, options: Options) -> Result<Listing, DataError> {
    let mut listing = match lists(root)? {
        Lists::None => return Err(mismatch(Format::Csv, root, "it has no such file")),
        Lists::BySplit(files) => {
            let mut listing = Listing::default();
            for (split, path) in files {
                listing.items.extend(items(&path, options, &|_, _| Ok(Some(split)))?);
            }
            listing
        }
        Lists::Single(path) => list_single(&path, options)?,
    };
    // By name, as files in folders are: `val` comes after `train` in a folder's order.
    listing.items.sort_by(|a, b| (a.split, &a.class).cmp(&(b.split, &b.class)));
    Ok(listing)
}

/// Whether a root has one list of all images.
pub fn is_single(root: &Path) -> bool {
    matches!(lists(root), Ok(Lists::Single(_)))
}

/// Whether a folder has one list of all images, by the names of its columns.
pub fn is_here(root: &Path) -> bool {
    let Ok(Lists::Single(path)) = lists(root) else { return false };
    let Ok(text) = read_text(&path) else { return false };
    let header = reader(&text).headers().cloned();
    header.is_ok_and(|header| Columns::find(&header, None).is_ok())
}

/// The lists of a root.
enum Lists {
    None,
    BySplit(Vec<(Split, PathBuf)>),
    Single(PathBuf),
}

fn lists(root: &Path) -> Result<Lists, DataError> {
    if root.is_file() {
        return Ok(Lists::Single(root.to_owned()));
    }
    let files = split_files(root, ".csv")?;
    if !files.is_empty() {
        return Ok(Lists::BySplit(files));
    }
    let is_csv = |path: &PathBuf| path.extension().is_some_and(|it| it.eq_ignore_ascii_case("csv"));
    let mut found: Vec<PathBuf> = entries(root)?.into_iter().filter(is_csv).collect();
    Ok(match (found.pop(), found.len()) {
        (Some(one), 0) => Lists::Single(one),
        _ => Lists::None,
    })
}

/// One list of all images: the split of a class is in a column of it, or in `data.splits`.
fn list_single(path: &Path, options: Options) -> Result<Listing, DataError> {
    let lists = options.splits.map(SplitLists::read).transpose()?;
    let split_of = |class: &str, named: Option<&str>| {
        if options.one_split {
            return Ok(Some(Split::Base));
        }
        match (&lists, named) {
            (Some(lists), _) => Ok(lists.split_of.get(class).copied()),
            (None, Some(named)) => match split_named(named) {
                None => Err(format!("`{named}` is not a split: use train, val and test")),
                split => Ok(split),
            },
            (None, None) => Ok(None),
        }
    };
    let listed = items(path, options, &split_of)?;
    let mut listing = Listing::default();
    if let Some((lists, file)) = lists.as_ref().zip(options.splits) {
        let mut found: BTreeMap<&str, usize> = BTreeMap::new();
        listed.iter().for_each(|item| *found.entry(&item.class).or_default() += 1);
        if let Some((class, split)) =
            lists.split_of.iter().find(|(class, _)| !found.contains_key(class.as_str()))
        {
            let reason =
                format!("the class `{class}` of {split} has no image in {}", path.display());
            return Err(DataError::List { path: file.to_owned(), reason });
        }
    }
    if listed.is_empty() {
        return Err(DataError::pipeline(
            "data.splits",
            format!("{} does not say which split each class is in", path.display()),
            format!(
                "write a list with `fsct data split {} -o splits.json`, and name it as `data.splits`; \
                 or name the list's column of splits as `data.columns.split`",
                path.display()
            ),
        ));
    }
    listing.items = listed;
    Ok(listing)
}

/// The split of an image, by its class and what the column of splits has. `None` leaves it out.
type SplitOf<'a> = &'a dyn Fn(&str, Option<&str>) -> Result<Option<Split>, String>;

fn items(path: &Path, options: Options, split_of: SplitOf) -> Result<Vec<Item>, DataError> {
    let wrong = |reason: String| DataError::List { path: path.to_owned(), reason };
    let text = read_text(path)?;
    let mut reader = reader(&text);
    let header = reader.headers().map_err(|error| wrong(error.to_string()))?.clone();
    let columns = Columns::find(&header, options.columns).map_err(wrong)?;
    let mut classes: BTreeMap<String, Arc<str>> = BTreeMap::new();
    let mut locator = Locator::new(path);
    let mut items = Vec::new();
    for record in reader.records() {
        let record = record.map_err(|error| {
            let line = error.position().map_or(0, csv::Position::line);
            wrong(format!("line {line}: {error}"))
        })?;
        let line = record.position().map_or(0, csv::Position::line);
        let at = |reason: String| wrong(format!("line {line}: {reason}"));
        let row = columns.row(&record).map_err(at)?;
        let Some(split) = split_of(row.class, row.split).map_err(at)? else { continue };
        let class = classes.entry(row.class.to_owned()).or_insert_with(|| row.class.into()).clone();
        let item =
            match locator.find(Entry { name: row.image, class: row.class, split: Some(split) }) {
                Ok(found) => Item::new(split, class, found.short, ItemFile::Path(found.path)),
                Err(reason) => Item::new(split, class, row.image, ItemFile::Unusable(reason)),
            };
        items.push(item);
    }
    Ok(items)
}

/// A reader whose separator is the one that is most frequent in the first line.
fn reader(text: &str) -> csv::Reader<&[u8]> {
    let header = text.lines().next().unwrap_or_default();
    let count = |separator: u8| header.bytes().filter(|byte| *byte == separator).count();
    let separator = [b'\t', b';', b','].into_iter().max_by_key(|separator| count(*separator));
    csv::ReaderBuilder::new()
        .trim(csv::Trim::All)
        .delimiter(separator.unwrap_or(b','))
        .from_reader(text.as_bytes())
}
