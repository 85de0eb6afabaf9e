//! Omniglot (Lake, Salakhutdinov and Tenenbaum, Science 2015):
//! `images_background_*/ALPHABET/characterNN/NNNN_DD.png`, in zips or folders.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use zip::ZipArchive;

use super::mismatch::mismatch;
use super::options::Options;
use super::splits::SplitLists;
use super::walk::entries;
use crate::config::Format;
use crate::data::listing::{Item, Listing};
use crate::data::source::{Blob, ItemFile};
use crate::data::{DataError, Split};

/// Largest drawing that is read; Omniglot's have some 200 bytes.
const MAX_DRAWING_BYTES: u64 = 1 << 20;
/// Most bytes that an archive may unpack to; both of Omniglot's have 15 MB.
const MAX_ARCHIVE_BYTES: u64 = 1 << 30;
/// Folders below the root that are looked into: collection, alphabet, character.
const MAX_DEPTH: usize = 4;

/// Drawings by alphabet, character and file, so that an alphabet that stands in two collections
/// counts once.
type Drawings = BTreeMap<(String, String, String), ItemFile>;

/// Lists the drawings under `root`. Without lists the alphabets are split: Latin validates, Japanese
/// katakana and Sanskrit test, the rest trains.
pub fn list(root: &Path, options: Options) -> Result<Listing, DataError> {
    let mut drawings = Drawings::new();
    walk(root, 0, &mut drawings)?;
    if drawings.is_empty() {
        return Err(mismatch(Format::Omniglot, root, "it contains no drawings"));
    }
    let lists = options.splits.map(Vinyals::read).transpose()?;
    let turns = if options.rotations { 0..4u8 } else { 0..1 };
    let mut items = Vec::new();
    // Turns are classes of their own (Santoro et al., ICML 2016), after the upright ones of their
    // alphabet's character.
    for ((alphabet, character, file), source) in drawings {
        for turn in turns.clone() {
            let upright = format!("{alphabet}/{character}");
            let split = match &lists {
                Some(lists) => match lists.split(&upright, turn) {
                    Some(split) => split,
                    None => continue,
                },
                None => split(&alphabet),
            };
            let turned =
                if turn == 0 { String::new() } else { format!("/rot{:03}", 90 * u32::from(turn)) };
            items.push(Item {
                split,
                class: Arc::from(format!("{upright}{turned}")),
                name: format!("{upright}{turned}/{file}"),
                file: source.clone(),
                turns: turn,
            });
        }
    }
    if let Some(lists) = &lists {
        lists.check(&items, options.splits.unwrap_or(root))?;
    }
    Ok(Listing { items, ink_is_dark: true, ..Listing::default() })
}

/// Lists of characters, as Vinyals et al. (NIPS 2016) split them: `Alphabet/characterNN`, or with
/// `/rot000` to `/rot270` after it.
struct Vinyals {
    lists: SplitLists,
    /// Whether turns are named.
    turned: bool,
}

impl Vinyals {
    fn read(path: &Path) -> Result<Self, DataError> {
        let lists = SplitLists::read(path)?;
        let turned = lists.split_of.keys().any(|class| class.contains("/rot"));
        Ok(Self { lists, turned })
    }

    fn split(&self, upright: &str, turn: u8) -> Option<Split> {
        let class = match self.turned {
            true => &format!("{upright}/rot{:03}", 90 * u32::from(turn)),
            false => upright,
        };
        self.lists.split_of.get(class).copied()
    }

    /// Every character that is named must have a drawing: half a data set is not silently a whole.
    fn check(&self, items: &[Item], path: &Path) -> Result<(), DataError> {
        let there: std::collections::BTreeSet<&str> = items
            .iter()
            .filter_map(|item| item.name.rsplit_once('/').map(|(class, _)| class))
            .flat_map(|class| [class, class.split("/rot").next().unwrap_or(class)])
            .collect();
        let missing: Vec<&String> = self
            .lists
            .split_of
            .keys()
            .filter(|class| {
                let (upright, turn) = class.split_once("/rot").unwrap_or((class, "000"));
                match turn {
                    "000" => !there.contains(upright),
                    // Lists with turns, and `data.rotations: false`: only the upright ones are used.
                    _ => {
                        there.iter().any(|it| it.contains("/rot"))
                            && !there.contains(class.as_str())
                    }
                }
            })
            .collect();
        match missing.first() {
            None => Ok(()),
            Some(first) => Err(DataError::List {
                path: path.to_owned(),
                reason: format!(
                    "{} of its {} classes have no drawing, the first `{first}`",
                    missing.len(),
                    self.lists.split_of.len()
                ),
            }),
        }
    }
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
    let damaged = |reason: String| DataError::archive(path, reason);
    let file = File::open(path).map_err(DataError::file("open", path))?;
    let mut archive = ZipArchive::new(file).map_err(|error| damaged(error.to_string()))?;
    let mut unpacked = 0;
    for index in 0..archive.len() {
        let mut entry = archive.by_index(index).map_err(|error| damaged(error.to_string()))?;
        let name = entry.name().map_err(|error| damaged(error.to_string()))?.into_owned();
        // Nothing is written, so such a name does no harm; but Omniglot has none.
        if name.split(['/', '\\']).any(|part| part == "..") || name.starts_with('/') {
            return Err(damaged(format!("the entry {name} leads out of it")));
        }
        let Some(key) = drawing(&name) else { continue };
        if entry.size() > MAX_DRAWING_BYTES {
            return Err(damaged(format!("{name} claims {} bytes", entry.size())));
        }
        unpacked += entry.size();
        if unpacked > MAX_ARCHIVE_BYTES {
            return Err(damaged(format!("it unpacks to more than {MAX_ARCHIVE_BYTES} bytes")));
        }
        let mut bytes = Vec::new();
        // The size that an entry claims need not be the one it has.
        entry
            .by_ref()
            .take(MAX_DRAWING_BYTES + 1)
            .read_to_end(&mut bytes)
            .map_err(|error| damaged(format!("{name}: {error}")))?;
        if bytes.len() as u64 != entry.size() {
            return Err(damaged(format!("{name} is not as long as it claims")));
        }
        drawings.entry(key).or_insert(ItemFile::Bytes(Arc::new(Blob::Owned(bytes))));
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
