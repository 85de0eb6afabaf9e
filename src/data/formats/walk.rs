//! Folders and the names in them.

use std::fs;
use std::path::{Path, PathBuf};

use crate::data::DataError;
use crate::data::source::ItemFile;

/// Folders below a class that are looked into.
const MAX_DEPTH: usize = 8;

/// Entries of a folder, by name; hidden ones are left out.
pub fn entries(folder: &Path) -> Result<Vec<PathBuf>, DataError> {
    let mut paths = fs::read_dir(folder)
        .and_then(|entries| entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>, _>>())
        .map_err(DataError::file("list", folder))?;
    paths.retain(|path| !path.file_name().is_some_and(|it| it.as_encoded_bytes()[0] == b'.'));
    paths.sort();
    Ok(paths)
}

/// A path's last name; `Err` holds it as far as it can be read.
pub fn utf8_name(path: &Path) -> Result<String, String> {
    let name = path.file_name().unwrap_or_default();
    name.to_str().map(str::to_owned).ok_or_else(|| name.to_string_lossy().into_owned())
}

/// Whether a name ends as those of images do.
pub fn is_image_name(name: &str) -> bool {
    let end = name.rsplit_once('.').map(|(_, end)| end.to_ascii_lowercase());
    matches!(end.as_deref(), Some("png" | "jpg" | "jpeg" | "jpe" | "jfif" | "bmp"))
}

/// Images below a folder, by path inside it, with what cannot be used among them; and how many
/// other files there are, with the name of one.
pub fn images_below(folder: &Path) -> Result<(Vec<(String, ItemFile)>, Others), DataError> {
    let mut found = (Vec::new(), Others::default());
    walk(folder, "", 0, &mut found.0, &mut found.1)?;
    Ok(found)
}

/// Files that are no images, by their ending.
#[derive(Debug, Default)]
pub struct Others {
    /// How many.
    pub count: usize,
    /// One of them.
    pub example: Option<String>,
}

impl Others {
    /// Adds those of another folder.
    pub fn add(&mut self, other: Self) {
        self.count += other.count;
        self.example = self.example.take().or(other.example);
    }

    /// What the user is told of them.
    pub fn note(&self) -> Option<String> {
        let example = self.example.as_ref()?;
        Some(format!(
            "{} files among the images are left out, as their names end like no image's: {example}{}",
            self.count,
            if self.count > 1 { ", …" } else { "" },
        ))
    }
}

fn walk(
    folder: &Path,
    prefix: &str,
    depth: usize,
    found: &mut Vec<(String, ItemFile)>,
    others: &mut Others,
) -> Result<(), DataError> {
    for path in entries(folder)? {
        let name = match utf8_name(&path) {
            Ok(name) => format!("{prefix}{name}"),
            Err(name) => {
                let reason = "its name is not UTF-8; rename it".to_owned();
                found.push((format!("{prefix}{name}"), ItemFile::Unusable(reason)));
                continue;
            }
        };
        if is_image_name(&name) {
            // A folder or a dangling link of that name is said when it is read.
            found.push((name, ItemFile::Path(path)));
        } else if fs::metadata(&path).is_ok_and(|meta| meta.is_dir()) {
            if depth == MAX_DEPTH {
                let reason = "a link leads back to its own folder, or folders are too deep";
                found.push((name, ItemFile::Unusable(reason.into())));
            } else {
                walk(&path, &format!("{name}/"), depth + 1, found, others)?;
            }
        } else if fs::metadata(&path).is_err() {
            found.push((name, ItemFile::Unusable("it is a link that leads nowhere".into())));
        } else {
            others.count += 1;
            others.example.get_or_insert(name);
        }
    }
    Ok(())
}
