//! Classes and pictures that two splits share, and pictures under two names.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use rayon::prelude::*;

use super::fingerprint::FileFacts;
use super::part::Part;
use crate::config::Pipeline;
use crate::data::listing::Item;
use crate::data::{DataError, Split};

/// Contents of images are compared where those of one size have no more bytes than this together.
const COMPARED_BYTES: u64 = 64 << 20;
/// Names that a message lists.
const NAMED: usize = 5;

/// Something about the data that is probably wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DataWarning {
    /// What is wrong, with the names concerned.
    pub message: String,
    /// The next action, for the user.
    pub help: &'static str,
}

/// What two splits share, and what is there twice.
pub fn find(items: &[&Item], facts: &FileFacts) -> Vec<DataWarning> {
    let mut warnings = shared_classes(items);
    warnings.extend(shared_pictures(items, &same_pictures(items, facts)));
    warnings
}

/// Few-shot classes are new ones: a class that was trained on is not.
fn shared_classes(items: &[&Item]) -> Vec<DataWarning> {
    let mut classes: BTreeMap<Split, BTreeSet<&str>> = BTreeMap::new();
    items.iter().for_each(|item| {
        classes.entry(item.split).or_default().insert(&item.class);
    });
    let mut warnings = Vec::new();
    for (split, names) in &classes {
        for (other, others) in classes.range(*split..).skip(1) {
            let shared: Vec<&str> = names.intersection(others).copied().collect();
            if shared.is_empty() {
                continue;
            }
            let help = match (split, other) {
                (Split::Base, _) => {
                    "few-shot accuracy is of classes that training has not seen: give each split \
                     classes of its own"
                }
                _ => {
                    "the checkpoint is chosen on these classes and tested on them: give each split \
                     classes of its own"
                }
            };
            warnings.push(DataWarning {
                message: format!(
                    "{} classes are in both {split} and {other}: {}",
                    shared.len(),
                    some(&shared)
                ),
                help,
            });
        }
    }
    warnings
}

/// An error where the test has no class that is new, unless the pipeline asks for it by naming a data
/// set for the test or for training.
pub fn check(parts: &[(Split, Part); 3], pipeline: &Pipeline) -> Result<(), DataError> {
    let named = pipeline.test.data.is_some() || pipeline.train.data.is_some();
    if named || pipeline.test.episodes == 0 {
        return Ok(());
    }
    let classes = |split: Split| -> BTreeSet<&str> {
        let of_split = parts.iter().filter(|(it, _)| *it == split);
        of_split.flat_map(|(_, part)| &part.items).map(|item| &*item.class).collect()
    };
    let (base, novel) = (classes(Split::Base), classes(Split::Novel));
    if novel.is_empty() || !novel.is_subset(&base) {
        return Ok(());
    }
    Err(DataError::pipeline(
        "data.root",
        format!(
            "all {} test classes are training classes, so the test would not be of new classes: {}",
            novel.len(),
            some(&novel.into_iter().collect::<Vec<_>>())
        ),
        "name a data set with other classes to test on, write `test: {episodes: 0}`, or name the data \
         set as `test.data` too if this is what you want",
    ))
}

/// Groups of images that are one picture: the same file under several names, or the same content.
fn same_pictures(items: &[&Item], facts: &FileFacts) -> Vec<Vec<usize>> {
    let mut by_file: HashMap<(u64, u64), Vec<usize>> = HashMap::new();
    let mut by_size: HashMap<u64, Vec<usize>> = HashMap::new();
    // A turned image is its own picture, though it has the upright one's file.
    for (at, identity) in facts.identities.iter().filter(|(at, _)| items[*at].turns == 0) {
        by_file.entry(*identity).or_default().push(*at);
        by_size.entry(facts.bytes[*at]).or_default().push(*at);
    }
    by_size.retain(|_, members| members.len() > 1);
    let bytes: u64 = by_size.iter().map(|(bytes, members)| bytes * members.len() as u64).sum();
    let mut groups: Vec<Vec<usize>> = if bytes <= COMPARED_BYTES {
        let mut by_size: Vec<Vec<usize>> = by_size.into_values().collect();
        by_size.par_iter_mut().flat_map_iter(|members| by_content(items, members)).collect()
    } else {
        by_file.into_values().collect()
    };
    groups.retain(|group| group.len() > 1);
    groups.sort();
    groups
}

fn by_content(items: &[&Item], members: &[usize]) -> Vec<Vec<usize>> {
    let mut groups: HashMap<Vec<u8>, Vec<usize>> = HashMap::new();
    for at in members {
        if let Ok(bytes) = items[*at].file.bytes() {
            groups.entry(bytes.into_owned()).or_default().push(*at);
        }
    }
    groups.into_values().collect()
}

fn shared_pictures(items: &[&Item], groups: &[Vec<usize>]) -> Vec<DataWarning> {
    let mut across = Vec::new();
    let mut within = Vec::new();
    for group in groups {
        let splits: BTreeSet<Split> = group.iter().map(|at| items[*at].split).collect();
        let names: Vec<String> =
            group.iter().map(|at| format!("{}: {}", items[*at].split, items[*at].name)).collect();
        if splits.len() > 1 { &mut across } else { &mut within }.push(names.join(" = "));
    }
    let warning = |pictures: &[String], what: &str, help: &'static str| {
        let names: Vec<&str> = pictures.iter().map(String::as_str).collect();
        (!names.is_empty()).then(|| DataWarning {
            message: format!("{} pictures {what}: {}", names.len(), some(&names)),
            help,
        })
    };
    warning(
        &across,
        "are in more than one split",
        "a test on pictures that training has seen is not a test: remove them from one split \
         (`fsct data inspect` lists them)",
    )
    .into_iter()
    .chain(warning(
        &within,
        "are in one split under several names",
        "one picture could be support and query of an episode: remove the copies or links \
         (`fsct data inspect` lists them)",
    ))
    .collect()
}

fn some(names: &[&str]) -> String {
    let more = names.len().saturating_sub(NAMED);
    let list = names.iter().take(NAMED).copied().collect::<Vec<_>>().join(", ");
    if more > 0 { format!("{list} and {more} more") } else { list }
}
