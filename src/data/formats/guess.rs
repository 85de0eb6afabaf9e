use std::fs::File;
use std::io::Read;
use std::path::Path;

use super::{entries, split_named, utf8_name};
use crate::config::Format;
use crate::data::pack;

/// The layout of a data set, from what is in its root.
pub fn guess(root: &Path) -> Option<Format> {
    if root.is_file() {
        let end = root.extension().map(|end| end.to_ascii_lowercase())?;
        return match end.to_str()? {
            "json" => Some(json(root)),
            "pkl" | "pickle" => Some(Format::Pickle),
            _ => pack::is_pack(root).then_some(Format::Pack),
        };
    }
    let paths = entries(root).ok()?;
    let names: Vec<(String, bool)> = paths
        .iter()
        .map(|path| (utf8_name(path).unwrap_or_default().to_lowercase(), path.is_dir()))
        .collect();
    let has =
        |wanted: &str, folder: bool| names.iter().any(|(name, is)| name == wanted && *is == folder);
    let lists = |end: &str| {
        paths.iter().find(|path| {
            let name = utf8_name(path).unwrap_or_default();
            name.strip_suffix(end).and_then(split_named).is_some() && path.is_file()
        })
    };
    if names.iter().any(|(name, _)| {
        name.starts_with("images_background") || name.starts_with("images_evaluation")
    }) {
        return Some(Format::Omniglot);
    }
    if has("data", true) && root.join("splits").join("bertinetto").is_dir() {
        return Some(Format::CifarFs);
    }
    if lists(".csv").is_some() {
        return Some(Format::Csv);
    }
    if let Some(list) = lists(".json") {
        return Some(json(list));
    }
    if names.iter().any(|(name, folder)| name.ends_with(".pkl") && !folder) {
        return Some(Format::Pickle);
    }
    if names.iter().any(|(name, folder)| name.starts_with("glyphs-v") && *folder) {
        return Some(Format::Synthetic);
    }
    names.iter().any(|(_, folder)| *folder).then_some(Format::Folder)
}

/// Which of the two kinds of lists a file is, from its first keys.
fn json(path: &Path) -> Format {
    let mut head = Vec::new();
    let read = File::open(path).and_then(|file| file.take(1 << 16).read_to_end(&mut head));
    let text = String::from_utf8_lossy(&head);
    match read.is_ok() && text.contains("\"class_roots\"") || text.contains("\"class_names\"") {
        true => Format::Easyfsl,
        false => Format::Filelist,
    }
}
