//! What is in a data set: counts, sizes, damage, overlaps.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::{DefaultHasher, Hasher};

use rayon::prelude::*;
use serde::Serialize;

use super::codec::Size;
use super::{Item, Listing, Split};

/// What is in a data set.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Inspection {
    /// Counts of each split, by its name.
    pub splits: BTreeMap<String, SplitFacts>,
    /// Images that cannot be read, with the reason.
    pub bad: BTreeMap<String, String>,
    /// Classes of the same name in two splits.
    pub shared_classes: BTreeSet<String>,
    /// Images of the same content in several splits.
    pub shared_pictures: Vec<Vec<String>>,
    /// Images of the same content in one split, under several names.
    pub duplicates: Vec<Vec<String>>,
    /// Classes that are named and have no image.
    pub empty_classes: Vec<String>,
    /// Remarks on files that are not images.
    pub notes: Vec<String>,
}

/// What is in a split.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct SplitFacts {
    /// Images of each class.
    pub classes: BTreeMap<String, usize>,
    /// Images that can be read.
    pub images: usize,
    /// Images of each size, `width×height`, the most frequent first.
    pub sizes: Vec<(String, usize)>,
    /// Number of images without colour.
    pub grey: usize,
}

impl SplitFacts {
    /// Images of the smallest and the largest class.
    pub fn extremes(&self) -> (usize, usize) {
        let counts = || self.classes.values().copied();
        (counts().min().unwrap_or(0), counts().max().unwrap_or(0))
    }

    /// Most queries a class for `k_shot` shots, of `n_way` classes.
    pub fn n_query(&self, n_way: usize, k_shot: usize) -> Option<usize> {
        let smallest = self.extremes().0;
        (self.classes.len() >= n_way && smallest > k_shot).then(|| smallest - k_shot)
    }
}

/// What one image is like.
struct Facts {
    size: Size,
    grey: bool,
    digest: u64,
    bytes: usize,
}

/// Reads every image of a data set.
pub fn inspect(listing: &Listing) -> Inspection {
    let facts: Vec<Result<Facts, String>> = listing.items.par_iter().map(facts).collect();
    let mut splits: BTreeMap<String, SplitFacts> = BTreeMap::new();
    let mut sizes: BTreeMap<(Split, Size), usize> = BTreeMap::new();
    let mut bad = BTreeMap::new();
    let mut same: HashMap<(u64, usize), Vec<usize>> = HashMap::new();
    for (at, (item, facts)) in listing.items.iter().zip(&facts).enumerate() {
        let split = splits.entry(item.split.to_string()).or_default();
        let images = split.classes.entry(item.class.to_string()).or_default();
        match facts {
            Ok(facts) => {
                *images += 1;
                split.images += 1;
                split.grey += usize::from(facts.grey);
                *sizes.entry((item.split, facts.size)).or_default() += 1;
                if item.turns == 0 {
                    same.entry((facts.digest, facts.bytes)).or_default().push(at);
                }
            }
            Err(reason) => {
                bad.insert(item.name.clone(), reason.clone());
            }
        }
    }
    for ((split, Size { width, height }), count) in sizes {
        if let Some(facts) = splits.get_mut(&split.to_string()) {
            facts.sizes.push((format!("{width}×{height}"), count));
        }
    }
    splits.values_mut().for_each(|facts| facts.sizes.sort_by_key(|(_, count)| usize::MAX - count));
    let (shared_pictures, duplicates) = duplicates(&listing.items, same);
    Inspection {
        shared_classes: shared(&splits),
        shared_pictures,
        duplicates,
        splits,
        bad,
        empty_classes: listing
            .empty
            .iter()
            .map(|it| format!("{}: {} ({})", it.split, it.class, it.reason))
            .collect(),
        notes: listing.notes.clone(),
    }
}

fn facts(item: &Item) -> Result<Facts, String> {
    let bytes = item.file.bytes()?;
    let mut digest = DefaultHasher::new();
    digest.write(&bytes);
    let (digest, bytes) = (digest.finish(), bytes.len());
    item.file.with(item.turns, |opened| {
        let size = opened.size();
        let mut grey = true;
        opened.region(0..size.width, 0..size.height, &mut |_, row| {
            grey = grey && row.chunks_exact(4).all(|it| it[0] == it[1] && it[1] == it[2]);
        })?;
        Ok(Facts { size, grey, digest, bytes })
    })
}

fn shared(splits: &BTreeMap<String, SplitFacts>) -> BTreeSet<String> {
    let mut seen = BTreeSet::new();
    let names = splits.values().flat_map(|facts| facts.classes.keys());
    names.filter(|name| !seen.insert(*name)).cloned().collect()
}

/// Groups of equal files, those over several splits first. Digests are compared, then bytes.
fn duplicates(
    items: &[Item],
    same: HashMap<(u64, usize), Vec<usize>>,
) -> (Vec<Vec<String>>, Vec<Vec<String>>) {
    let (mut across, mut within) = (Vec::new(), Vec::new());
    for members in same.into_values().filter(|members| members.len() > 1) {
        let first = &items[members[0]];
        let bytes = first.file.bytes().ok();
        if members[1..].iter().any(|at| items[*at].file.bytes().ok() != bytes) {
            continue;
        }
        let name = |at: &usize| format!("{}: {}", items[*at].split, items[*at].name);
        let names = members.iter().map(name).collect();
        match members.iter().any(|at| items[*at].split != first.split) {
            true => across.push(names),
            false => within.push(names),
        }
    }
    across.sort();
    within.sort();
    (across, within)
}
