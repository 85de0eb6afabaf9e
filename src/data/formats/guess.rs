use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use super::names::split_named;
use super::split_files::split_files;
use super::walk::{entries, utf8_name};
use super::zip_folder::is_zip;
use super::{csv, cub, folder, pickle};
use crate::config::Format;
use crate::data::pack;

/// Folders with nothing but one entry that are looked through.
const MAX_WRAPPERS: usize = 3;

/// The layout of a data set, from what is in its root.
pub fn guess(root: &Path) -> Option<Format> {
    guess_here(&unwrapped(root))
}

/// The root, or the folder or zip below it where the root has nothing but that one: archives are often
/// unpacked into a folder of their own name.
pub fn unwrapped(root: &Path) -> PathBuf {
    let mut inner = root.to_owned();
    for _ in 0..MAX_WRAPPERS {
        let Some(only) = only_entry(&inner) else { return root.to_owned() };
        inner = only;
        if is_zip(&inner) {
            return inner;
        }
        if guess_here(&inner)
            .is_some_and(|format| format != Format::Folder || folder::has_splits(&inner))
        {
            return inner;
        }
    }
    root.to_owned()
}

/// An archive in a root that has nothing else, if it is one that is not read.
pub fn packed_folder(root: &Path) -> Option<String> {
    let is_archive = |name: &str| {
        [".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".7z", ".rar", ".gz"]
            .iter()
            .any(|suffix| name.ends_with(suffix))
    };
    let paths = if root.is_file() { vec![root.to_owned()] } else { entries(root).ok()? };
    paths
        .iter()
        .filter(|path| path.is_file())
        .find_map(|path| utf8_name(path).ok().filter(|name| is_archive(&name.to_lowercase())))
}

fn only_entry(folder: &Path) -> Option<PathBuf> {
    let mut paths = entries(folder).ok()?;
    let only = paths.pop().filter(|path| paths.is_empty() && (path.is_dir() || is_zip(path)))?;

    let name = utf8_name(&only).unwrap_or_default().to_lowercase();
    let means_something = split_named(name.trim_end_matches(".zip")).is_some()
        || name.starts_with("images_")
        || name.starts_with("glyphs-v");
    (!means_something).then_some(only)
}

fn guess_here(root: &Path) -> Option<Format> {
    if root.is_file() {
        let end = root.extension().map(|end| end.to_ascii_lowercase())?;
        return match end.to_str()? {
            "json" => Some(json(root)),
            "csv" | "tsv" => Some(Format::Csv),
            "pkl" | "pickle" | "npz" => Some(Format::Pickle),
            "zip" => Some(Format::Folder),
            _ => pack::is_pack(root).then_some(Format::Pack),
        };
    }
    let paths = entries(root).ok()?;
    let names: Vec<(String, bool)> = paths
        .iter()
        .map(|path| (utf8_name(path).unwrap_or_default().to_lowercase(), path.is_dir()))
        .collect();
    let has_folder = |test: &dyn Fn(&str) -> bool| names.iter().any(|(name, is)| *is && test(name));
    let is_omniglot =
        |name: &str| name.starts_with("images_background") || name.starts_with("images_evaluation");
    if names.iter().any(|(name, _)| is_omniglot(name)) {
        return Some(Format::Omniglot);
    }
    if has_folder(&|name| name == "data") && root.join("splits").join("bertinetto").is_dir() {
        return Some(Format::CifarFs);
    }
    if cub::is_here(root) {
        return Some(Format::Cub);
    }
    let lists = |suffix: &str| split_files(root, suffix).ok()?.into_iter().next();
    if lists(".csv").is_some() {
        return Some(Format::Csv);
    }
    // `splits/train.json` may be a list of classes.
    if let Some((_, list)) = lists(".json").filter(|(_, list)| list.parent() == Some(root)) {
        return Some(json(&list));
    }
    if pickle::is_here(root) {
        return Some(Format::Pickle);
    }
    if has_folder(&|name| name.starts_with("glyphs-v")) {
        return Some(Format::Synthetic);
    }
    if !folder::has_splits(root) && csv::is_here(root) {
        return Some(Format::Csv);
    }
    (has_folder(&|_| true) || folder::has_splits(root)).then_some(Format::Folder)
}

/// Which of the two kinds of lists a file is, from its first keys.
fn json(path: &Path) -> Format {
    let mut head = Vec::new();
    let read = File::open(path).and_then(|file| file.take(1 << 16).read_to_end(&mut head));
    let text = String::from_utf8_lossy(&head);
    match read.is_ok() && (text.contains("\"class_roots\"") || text.contains("\"class_names\"")) {
        true => Format::Easyfsl,
        false => Format::Filelist,
    }
}
