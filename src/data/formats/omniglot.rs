//! Omniglot (Lake, Salakhutdinov and Tenenbaum, Science 2015):
//! `images_background_*/ALPHABET/characterNN/NNNN_DD.png`, in zips or folders.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use zip::ZipArchive;

use super::{Item, ItemFile, Listing, entries};
use crate::data::{DataError, Split};

/// Largest drawing that is believed; Omniglot's have some 200 bytes.
const MAX_DRAWING_BYTES: u64 = 16 << 20;
/// Folders below the root that are looked into: collection, alphabet, character.
const MAX_DEPTH: usize = 4;

/// Drawings by alphabet, character and file, so that an alphabet that stands in two collections
/// counts once.
type Drawings = BTreeMap<(String, String, String), ItemFile>;

/// Lists the drawings under `root`. Alphabets are split: Latin validates, Japanese katakana and
/// Sanskrit test, the rest trains.
pub fn list(root: &Path) -> Result<Listing, DataError> {
    let mut drawings = Drawings::new();
    walk(root, 0, &mut drawings)?;
    if drawings.is_empty() {
        return Err(DataError::pipeline(
            "data.root",
            format!("there is no drawing of Omniglot in `data.root: {}`", root.display()),
            "name the folder that holds images_background*.zip or the folders in them: \
             images_background*/ALPHABET/characterNN/NNNN_DD.png",
        ));
    }
    let items = drawings.into_iter().map(|((alphabet, character, file), source)| Item {
        split: split(&alphabet),
        class: format!("{alphabet}/{character}"),
        name: format!("{alphabet}/{character}/{file}"),
        file: source,
    });
    Ok(Listing { items: items.collect(), ink_is_dark: true })
}

fn split(alphabet: &str) -> Split {
    match alphabet {
        "Latin" => Split::Val,
        "Japanese_(katakana)" | "Sanskrit" => Split::Novel,
        _ => Split::Base,
    }
}

fn walk(folder: &Path, depth: usize, drawings: &mut Drawings) -> Result<(), DataError> {
    for path in entries(folder)? {
        if path.is_dir() {
            if depth < MAX_DEPTH {
                walk(&path, depth + 1, drawings)?;
            }
        } else if depth == 0 && path.extension().is_some_and(|it| it.eq_ignore_ascii_case("zip")) {
            unzip(&path, drawings)?;
        } else if let Some(key) = drawing(&path.to_string_lossy().replace('\\', "/")) {
            drawings.entry(key).or_insert(ItemFile::Path(path));
        }
    }
    Ok(())
}

fn unzip(path: &Path, drawings: &mut Drawings) -> Result<(), DataError> {
    let damaged = |reason: String| DataError::Image { name: path.display().to_string(), reason };
    let file = File::open(path).map_err(DataError::file("open", path))?;
    let mut archive = ZipArchive::new(file).map_err(|error| damaged(error.to_string()))?;
    for index in 0..archive.len() {
        let mut entry = archive.by_index(index).map_err(|error| damaged(error.to_string()))?;
        let name = entry.name().map_err(|error| damaged(error.to_string()))?.into_owned();
        let Some(key) = drawing(&name) else { continue };
        if entry.size() > MAX_DRAWING_BYTES {
            return Err(damaged(format!("{name} claims {} bytes", entry.size())));
        }
        let mut bytes = Vec::new();
        // The size that an entry claims need not be the one it has.
        entry
            .by_ref()
            .take(MAX_DRAWING_BYTES)
            .read_to_end(&mut bytes)
            .map_err(|error| damaged(format!("{name}: {error}")))?;
        drawings.entry(key).or_insert(ItemFile::Bytes(bytes.into()));
    }
    Ok(())
}

/// `…/ALPHABET/characterNN/NNNN_DD.png` → alphabet, character, file.
fn drawing(path: &str) -> Option<(String, String, String)> {
    let mut parts = path.rsplit('/');
    let (file, character, alphabet) = (parts.next()?, parts.next()?, parts.next()?);
    let fits = file.ends_with(".png")
        && !file.starts_with("._")
        && character.starts_with("character")
        && !alphabet.is_empty();
    fits.then(|| (alphabet.to_owned(), character.to_owned(), file.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_drawing_is_known_by_its_last_three_names() {
        let key = drawing("images_background_small1/Latin/character01/0685_01.png").unwrap();
        assert_eq!(key, ("Latin".into(), "character01".into(), "0685_01.png".into()));
        for other in ["Latin/0685_01.png", "x/Latin/character01/._0685_01.png", "a/b/c.png"] {
            assert!(drawing(other).is_none(), "{other}");
        }
    }
}
