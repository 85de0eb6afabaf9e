//! A zipped folder: `SPLIT/CLASS/IMAGE` or `CLASS/IMAGE` in a zip, or a zip a split.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::Path;
use std::sync::Arc;

use super::class_folders::Images;
use super::names::split_named;
use super::walk::is_ignored;
use crate::data::DataError;
use crate::data::Split;
use crate::data::codec::has_image_suffix;
use crate::data::source::ItemFile;
use crate::data::zipped::Zip;

/// Whether a file is a zip by its name.
pub fn is_zip(path: &Path) -> bool {
    path.extension().is_some_and(|suffix| suffix.eq_ignore_ascii_case("zip")) && path.is_file()
}

/// The images in a zip by class, and by split where its folders say it.
#[derive(Debug, Default)]
pub struct ZipFolders {
    /// Classes in folders of splits: their images by split and class name.
    pub by_split: BTreeMap<Split, BTreeMap<String, Images>>,
    /// Class folders that are in no folder of a split.
    pub classes: BTreeMap<String, Images>,
}

/// Lists the class folders of a zip file.
pub fn read(path: &Path) -> Result<ZipFolders, DataError> {
    let zip = Arc::new(Zip::open(path)?);
    let files = zip.files()?;
    let mut names: Vec<(usize, Vec<&str>)> = files
        .iter()
        .map(|(index, name)| (*index, name.split('/').filter(|part| !part.is_empty()).collect()))
        .filter(|(_, parts): &(_, Vec<&str>)| {
            !parts.iter().any(|part| is_ignored(OsStr::new(part)))
        })
        .collect();
    names.sort_by(|a, b| a.1.cmp(&b.1));
    let wrappers = wrappers(&names);
    let mut folders = ZipFolders::default();
    for (index, parts) in names {
        let [first, rest @ ..] = &parts[wrappers.min(parts.len() - 1)..] else { continue };
        let (classes, class, name) = match (split_named(first), rest) {
            (Some(split), [class, name @ ..]) if !name.is_empty() => {
                (folders.by_split.entry(split).or_default(), *class, name.join("/"))
            }
            (_, name) if !name.is_empty() => (&mut folders.classes, *first, name.join("/")),
            // A file that is in no class folder.
            _ => continue,
        };
        let images = classes.entry(class.to_owned()).or_default();
        if has_image_suffix(&name) {
            images.files.push((name, ItemFile::Zipped(zip.clone(), index)));
        } else {
            images.others.count(name);
        }
    }
    Ok(folders)
}

/// How many folders all images are in together, down to the folders of splits or classes.
fn wrappers(names: &[(usize, Vec<&str>)]) -> usize {
    let images: Vec<&Vec<&str>> = names
        .iter()
        .map(|(_, parts)| parts)
        .filter(|parts| parts.last().is_some_and(|name| has_image_suffix(name)))
        .collect();
    let mut count = 0;
    while let Some(first) = images.first().and_then(|parts| parts.get(count))
        && split_named(first).is_none()
        // A folder of classes must be left: CLASS/IMAGE.
        && images.iter().all(|parts| parts.len() >= count + 3 && parts[count] == *first)
    {
        count += 1;
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrapping_folders_are_left_out_and_splits_are_not() {
        let count = |names: &[&str]| {
            let names: Vec<_> = names.iter().map(|name| (0, name.split('/').collect())).collect();
            wrappers(&names)
        };
        assert_eq!(count(&["set/train/ant/1.png", "set/test/bee/1.png"]), 1);
        assert_eq!(count(&["set/ant/1.png", "set/bee/1.png", "readme.txt"]), 1);
        assert_eq!(count(&["train/ant/1.png", "train/bee/1.png"]), 0);
        assert_eq!(count(&["ant/1.png", "bee/1.png"]), 0);
        assert_eq!(count(&["a/b/train/ant/1.png"]), 2);
        assert_eq!(count(&["ant/1.png"]), 0);
        assert_eq!(count(&[]), 0);
    }
}
