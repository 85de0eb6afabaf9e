//! What a data folder has for episodes: splits, classes, images that can be read.

use std::{collections::BTreeMap, path::Path};

use crate::{
    Error,
    config::{Episode, Format},
    data::{self, Listing, Options, Split, inspect::inspect},
    run::RunError,
};

/// Queries of each class in a starter pipeline, where the classes have as many images.
const QUERIES: usize = 10;
/// Classes of which one image is read, to find out whether any can be.
const TRIED: usize = 64;

/// What a starter pipeline for a data set needs to know.
#[derive(Debug, Clone, PartialEq)]
pub struct Survey {
    /// An episode that every split has.
    pub episode: Episode,
    /// Shares of the classes to train, to validate and to test on, where the layout has no splits.
    pub shares: Option<[f64; 3]>,
    /// Whether there are classes to validate on.
    pub validates: bool,
    /// Whether there are classes to test on.
    pub tests: bool,
}

impl Survey {
    /// Lists the data set in `root` and reads a few images.
    ///
    /// # Errors
    /// When the data set is damaged, has no readable image, or has too few classes or images for
    /// any episode.
    pub fn of(root: &Path, format: Format) -> Result<Self, Error> {
        let has_splits = !data::is_unsplit(format, root);
        let options = Options { one_split: !has_splits, ..Options::default() };
        let listing = data::list(format, Some(root), options).map_err(RunError::from)?;
        readable(root, &listing)?;
        let mut images: BTreeMap<Split, BTreeMap<&str, usize>> = BTreeMap::new();
        for item in &listing.items {
            *images.entry(item.split).or_default().entry(&item.class).or_default() += 1;
        }
        let too_few = |message: String| {
            Error::failed_with_help(
                format!("`{}` {message}", root.display()),
                "add images, or name another folder; `fsct data inspect` shows what is there",
            )
        };
        let shares = match has_splits {
            true => None,
            false => {
                let classes = images.values().map(BTreeMap::len).sum();
                Some(shares(classes).ok_or_else(|| {
                    too_few(format!(
                        "has {classes} classes; training and testing need two each at least"
                    ))
                })?)
            }
        };
        let smallest = images.values().flat_map(BTreeMap::values).copied().min().unwrap_or(0);
        if smallest < 2 {
            return Err(too_few(
                "has a class with one image; an episode needs two of each class at least".into(),
            ));
        }
        let fewest = match shares {
            None => images.values().map(BTreeMap::len).min().unwrap_or(0),
            Some(shares) => {
                let classes: usize = images.values().map(BTreeMap::len).sum();
                let of = |share: f64| (share * classes as f64).round() as usize;
                shares.into_iter().map(of).filter(|count| *count > 0).min().unwrap_or(0)
            }
        };
        if fewest < 2 || (has_splits && !images.contains_key(&Split::Base)) {
            return Err(too_few("has a split with fewer than two classes".into()));
        }
        let has = |at: usize, split: Split| {
            shares.map_or(images.contains_key(&split), |shares| shares[at] > 0.0)
        };
        Ok(Self {
            episode: Episode {
                n_way: fewest.min(5),
                k_shot: 1,
                n_query: QUERIES.min(smallest - 1),
            },
            validates: has(1, Split::Val),
            tests: has(2, Split::Novel),
            shares,
        })
    }
}

/// At least one image of a few classes can be read.
fn readable(root: &Path, listing: &Listing) -> Result<(), Error> {
    let mut tried: BTreeMap<(Split, &str), usize> = BTreeMap::new();
    for (at, item) in listing.items.iter().enumerate() {
        if tried.len() < TRIED {
            tried.entry((item.split, &item.class)).or_insert(at);
        }
    }
    let items: Vec<_> = tried.into_values().map(|at| listing.items[at].clone()).collect();
    let count = items.len();
    let found = inspect(&Listing { items, ..Listing::default() });
    match found.bad.iter().next() {
        Some((name, reason)) if found.bad.len() == count => Err(Error::failed_with_help(
            format!("`{}` has no image that can be read: {name}: {reason}", root.display()),
            "convert the images, such as to PNG or JPEG, or name another folder",
        )),
        _ => Ok(()),
    }
}

/// Shares that give every split two classes at least; without enough classes, none to validate on.
fn shares(classes: usize) -> Option<[f64; 3]> {
    let share = |count: usize| count as f64 / classes as f64;
    match classes {
        0..4 => None,
        4 | 5 => Some([share(classes - 2), 0.0, share(2)]),
        6..13 => Some([share(classes - 4), share(2), share(2)]),
        _ => Some([0.64, 0.16, 0.2]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_split_has_two_classes() {
        assert_eq!(shares(3), None);
        for classes in 4..200 {
            let shares = shares(classes).unwrap_or_default();
            assert!((shares.iter().sum::<f64>() - 1.0).abs() < 1e-9);
            for share in shares.into_iter().filter(|share| *share > 0.0) {
                assert!((share * classes as f64).round() >= 2.0, "{classes}: {shares:?}");
            }
        }
    }
}
