//! What a data set is, in a few bytes, without reading an image.

use std::fmt::Write;
use std::fs;

use rayon::prelude::*;
use sha2::{Digest, Sha256};

use crate::data::listing::Item;
use crate::data::source::ItemFile;

/// Hexadecimal digits of a fingerprint.
const DIGITS: usize = 32;

/// Sizes of images, and what tells the files of two images from one.
#[derive(Debug, Default)]
pub struct FileFacts {
    /// Bytes of each image's file, or of its pixels where there is no file of its own.
    pub bytes: Vec<u64>,
    /// Images that have a file of their own, with the device and number of the file.
    pub identities: Vec<(usize, (u64, u64))>,
}

/// Looks at the files; nothing is opened. A file that is not there has no size.
pub fn facts(items: &[&Item]) -> FileFacts {
    let each: Vec<(u64, Option<(u64, u64)>)> =
        items.par_iter().map(|item| facts_of(&item.file)).collect();
    let identity = |(at, (_, identity)): (usize, &(u64, Option<_>))| Some((at, (*identity)?));
    FileFacts {
        identities: each.iter().enumerate().filter_map(identity).collect(),
        bytes: each.into_iter().map(|(bytes, _)| bytes).collect(),
    }
}

fn facts_of(file: &ItemFile) -> (u64, Option<(u64, u64)>) {
    let bytes = match file {
        ItemFile::Path(path) => {
            return fs::metadata(path).map_or((0, None), |meta| (meta.len(), identity(&meta)));
        }
        ItemFile::Zipped(zip, index) => return (zip.size(*index), None),
        ItemFile::Bytes(bytes) => bytes.len(),
        ItemFile::Pixels(block) => block.array.shape.values(),
        ItemFile::Packed(pack, _) => pack.shape().values(),
        ItemFile::Unusable(_) => 0,
    };
    (bytes as u64, None)
}

#[cfg(unix)]
fn identity(meta: &fs::Metadata) -> Option<(u64, u64)> {
    use std::os::unix::fs::MetadataExt;
    Some((meta.dev(), meta.ino()))
}

#[cfg(not(unix))]
fn identity(_: &fs::Metadata) -> Option<(u64, u64)> {
    None
}

/// Of splits, classes, names and sizes, in any order.
pub fn fingerprint(items: &[&Item], bytes: &[u64]) -> String {
    let key = |at: &usize| (items[*at].split, &*items[*at].class, items[*at].name.as_str());
    let mut order: Vec<usize> = (0..items.len()).collect();
    order.sort_unstable_by(|a, b| key(a).cmp(&key(b)).then(bytes[*a].cmp(&bytes[*b])));
    let mut digest = Sha256::new();
    for at in order {
        let (split, class, name) = key(&at);
        // Names hold no zero byte, so that no two lists give the same bytes.
        digest.update(format!("{split}\0{class}\0{name}\0{}\n", bytes[at]));
    }
    let mut text = String::with_capacity(DIGITS);
    for byte in &digest.finalize()[..DIGITS / 2] {
        let _ = write!(text, "{byte:02x}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Split;

    #[test]
    fn it_depends_on_what_is_listed_and_not_on_the_order() {
        let item = |class: &str, name: &str| {
            Item::new(Split::Base, class, name, ItemFile::Unusable(String::new()))
        };
        let of = |items: &[Item], bytes: u64| {
            let items: Vec<&Item> = items.iter().collect();
            fingerprint(&items, &vec![bytes; items.len()])
        };
        let first = of(&[item("a", "1.png"), item("b", "2.png")], 7);
        assert_eq!(first, of(&[item("b", "2.png"), item("a", "1.png")], 7));
        assert_eq!(first.len(), DIGITS);
        for other in [
            of(&[item("a", "1.png")], 7),
            of(&[item("a", "1.png"), item("b", "2.png")], 8),
            of(&[item("a", "1.png"), item("b", "3.png")], 7),
            of(&[item("a", "1.png"), item("a", "2.png")], 7),
        ] {
            assert_ne!(first, other);
        }
        // Stored in checkpoints: it must be the same with every version and on every machine.
        assert_eq!(of(&[item("a", "1.png")], 7), "a68f732995e971144b3c1e5472060087");
    }
}
