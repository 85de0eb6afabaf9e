//! Glyphs of alphabets that `fsct` invents: a data set that needs no download.
//!
//! They are drawn once, into a folder of PNGs (`SPLIT/ALPHABET/characterNN/DD.png`), and read from
//! there like any other data set.

use std::fs;
use std::io::Cursor;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use image::{GrayImage, ImageFormat};
use rayon::prelude::*;

use super::glyph::{Alphabet, SIDE};
use super::walk::entries;
use crate::data::listing::{Item, Listing};
use crate::data::source::ItemFile;
use crate::data::{DataError, Split};

/// Changes whenever other glyphs would be drawn, so that an old folder is not taken for a new one.
const VERSION: &str = "glyphs-v1";
/// Seed of the alphabets. Not the pipeline's: two runs with two seeds learn from the same images.
const SEED: u64 = 4040;

/// Alphabets of each split, characters of each alphabet, drawings of each character.
const ALPHABETS: [(Split, usize); 3] = [(Split::Base, 14), (Split::Val, 3), (Split::Novel, 5)];
const CHARACTERS: usize = 16;
const DRAWINGS: usize = 20;

/// Lists the glyphs in `root`, or in the user's cache folder; draws them first where there are
/// none.
pub fn list(root: Option<&Path>) -> Result<Listing, DataError> {
    let folder = root.map_or_else(cache, Path::to_owned).join(VERSION);
    if !folder.is_dir() {
        draw_into(&folder)?;
    }
    let mut items = Vec::new();
    for (split, _) in ALPHABETS {
        let split_folder = folder.join(split.to_string());
        for alphabet in entries(&split_folder)? {
            for character in entries(&alphabet)? {
                let class: Arc<str> = format!("{}/{}", name(&alphabet), name(&character)).into();
                for drawing in entries(&character)? {
                    let name = format!("{class}/{}", name(&drawing));
                    items.push(Item::new(split, class.clone(), name, ItemFile::Path(drawing)));
                }
            }
        }
    }
    let expected = ALPHABETS.iter().map(|(_, count)| count * CHARACTERS * DRAWINGS).sum::<usize>();
    if items.len() != expected {
        return Err(DataError::pipeline(
            "data.format",
            format!(
                "{} holds {} of the {expected} glyphs that `data.format: synthetic` draws",
                folder.display(),
                items.len()
            ),
            "delete that folder; it will be drawn again",
        ));
    }
    Ok(Listing { items, ink_is_dark: true, ..Listing::default() })
}

fn name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// `$XDG_CACHE_HOME/fsct`, `~/.cache/fsct`, or a folder among the temporary files.
fn cache() -> PathBuf {
    let variable = |name| std::env::var_os(name).filter(|it| !it.is_empty()).map(PathBuf::from);
    variable("XDG_CACHE_HOME")
        .or_else(|| variable("HOME").map(|home| home.join(".cache")))
        .or_else(|| variable("LOCALAPPDATA"))
        .unwrap_or_else(std::env::temp_dir)
        .join("fsct")
}

/// Draws all glyphs into a temporary folder next to `folder`, then renames it: the folder is complete or
/// absent. If two processes draw at once, the second one uses the folder of the first.
fn draw_into(folder: &Path) -> Result<(), DataError> {
    let parent = folder.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(parent).map_err(DataError::file("create", parent))?;
    let part = tempfile::Builder::new()
        .prefix(&format!("{VERSION}."))
        .suffix(".part")
        .tempdir_in(parent)
        .map_err(DataError::file("create a folder in", parent))?;
    let alphabets: Vec<(Split, usize)> = ALPHABETS
        .iter()
        .flat_map(|(split, count)| (0..*count).map(move |_| *split))
        .enumerate()
        .map(|(index, split)| (split, index))
        .collect();
    alphabets.par_iter().try_for_each(|(split, index)| {
        draw_alphabet(&part.path().join(split.to_string()), *index)
    })?;
    // As any new folder: a temporary one is for its owner alone.
    #[cfg(unix)]
    {
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        let _ = fs::set_permissions(part.path(), mode);
    }
    match fs::rename(part.path(), folder) {
        // There is nothing left to remove.
        Ok(()) => drop(part.keep()),
        // Another process was faster.
        Err(_) if folder.is_dir() => {}
        Err(error) => return Err(DataError::file("rename", part.path())(error)),
    }
    Ok(())
}

fn draw_alphabet(split: &Path, index: usize) -> Result<(), DataError> {
    let alphabet = Alphabet::invent(SEED, index as u64);
    for character in 0..CHARACTERS {
        let glyph = alphabet.character(character as u64);
        let folder = split.join(format!("alphabet{index:02}/character{:02}", character + 1));
        fs::create_dir_all(&folder).map_err(DataError::file("create", &folder))?;
        for drawing in 0..DRAWINGS {
            let path = folder.join(format!("{:02}.png", drawing + 1));
            let pixels = glyph.draw(drawing as u64);
            let image = GrayImage::from_raw(SIDE as u32, SIDE as u32, pixels)
                .expect("a drawing is a square of SIDE pixels");
            let mut png = Cursor::new(Vec::new());
            image.write_to(&mut png, ImageFormat::Png).map_err(|error| DataError::Image {
                name: path.display().to_string(),
                reason: error.to_string(),
            })?;
            fs::write(&path, png.into_inner()).map_err(DataError::file("write", &path))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn glyphs_are_drawn_once_and_are_the_same_again() {
        let (a, b) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let read = |listing: &Listing| -> Vec<_> {
            listing.items.iter().step_by(97).map(|it| it.file.bytes().unwrap().to_vec()).collect()
        };
        let first = list(Some(a.path())).unwrap();
        let written = fs::metadata(a.path().join(VERSION)).unwrap().modified().unwrap();
        let again = list(Some(a.path())).unwrap();
        assert_eq!(fs::metadata(a.path().join(VERSION)).unwrap().modified().unwrap(), written);
        assert_eq!(read(&first), read(&again));
        assert_eq!(read(&first), read(&list(Some(b.path())).unwrap()));
    }

    #[test]
    fn a_folder_that_lost_glyphs_is_an_error_that_says_so() {
        let root = tempfile::tempdir().unwrap();
        let listing = list(Some(root.path())).unwrap();
        let ItemFile::Path(one) = &listing.items[0].file else { panic!("glyphs are files") };
        fs::remove_file(one).unwrap();
        let error = list(Some(root.path())).unwrap_err();
        assert!(error.to_string().contains("of the"), "{error}");
    }

    #[test]
    fn splits_share_no_alphabet() {
        let root = tempfile::tempdir().unwrap();
        let listing = list(Some(root.path())).unwrap();
        let mut split_of = std::collections::BTreeMap::new();
        for item in &listing.items {
            let alphabet = item.class.split('/').next().unwrap().to_owned();
            assert_eq!(*split_of.entry(alphabet).or_insert(item.split), item.split);
        }
        assert_eq!(split_of.len(), 22);
    }
}
