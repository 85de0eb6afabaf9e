use std::path::{Path, PathBuf};

use clap::Args;
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use super::{Output, Root, free};
use crate::Error;
use crate::cli::print::outln;
use crate::data::Listing;
use crate::run::folder::write_atomically;

/// Write a seeded split of the classes of a data set
///
/// The file is what `data.splits` names. The same folders and seed give the same file.
#[derive(Debug, Args)]
pub struct Split {
    /// The data set: a folder with one folder per class, or one CSV list.
    #[command(flatten)]
    root: Root,
    /// File to write
    #[arg(long, short, value_name = "FILE", default_value = "splits.json")]
    output: PathBuf,
    /// Share of the classes to train on
    #[arg(long, default_value_t = 0.64)]
    train: f64,
    /// Share of the classes to validate on
    #[arg(long, default_value_t = 0.16)]
    val: f64,
    /// Share of the classes to test on
    #[arg(long, default_value_t = 0.2)]
    test: f64,
    /// Seed of the shuffle
    #[arg(long, default_value_t = 4040)]
    seed: u64,
    /// Replace an existing file
    #[arg(long)]
    force: bool,
}

impl Split {
    /// Shuffles the classes and writes the split.
    pub fn run(self, output: Output) -> Result<(), Error> {
        free(&self.output, self.force)?;
        let shares = [self.train, self.val, self.test];
        let sum: f64 = shares.iter().sum();
        let positive = shares.iter().all(|share| share.is_finite() && *share >= 0.0);
        if !positive || (sum - 1.0).abs() > 1e-6 {
            return Err(Error::failed_with_help(
                format!("--train, --val and --test are {shares:?}, with the sum {sum}"),
                "give three shares that add up to 1",
            ));
        }
        let listing = self.root.list(output)?;
        let [train, val, test] =
            write_splits(&self.root.root, &listing, shares, self.seed, &self.output)?;
        if !output.quiet {
            outln!(
                "wrote {}: {train} classes to train, {val} to validate, {test} to test; use it as \
                 `data.splits`",
                self.output.display(),
            )?;
        }
        Ok(())
    }
}

/// Shuffles the classes of the data set in `root` and writes which of them train, validate and test;
/// returns how many do.
pub fn write_splits(
    root: &Path,
    listing: &Listing,
    shares: [f64; 3],
    seed: u64,
    output: &Path,
) -> Result<[usize; 3], Error> {
    let mut classes: Vec<String> =
        listing.items.iter().map(|item| item.class.to_string()).collect();
    classes.sort();
    classes.dedup();
    if classes.len() < 2 {
        return Err(Error::failed_with_help(
            format!("{} has {} classes with images", root.display(), classes.len()),
            "name a folder with one folder per class, or a list",
        ));
    }
    classes.shuffle(&mut ChaCha8Rng::seed_from_u64(seed));
    let (train, val) = counts(classes.len(), shares);
    let mut lists = [
        classes[..train].to_vec(),
        classes[train..train + val].to_vec(),
        classes[train + val..].to_vec(),
    ];
    lists.iter_mut().for_each(|list| list.sort());
    let [base, validation, novel] = &lists;
    let json = serde_json::json!({"train": base, "val": validation, "test": novel});
    write_atomically(output, format!("{json:#}\n").as_bytes())?;
    Ok(lists.map(|list| list.len()))
}

/// Classes to train and to validate on; the rest tests. A share above 0 has a class at least.
fn counts(classes: usize, [train, val, test]: [f64; 3]) -> (usize, usize) {
    let least = |share: f64| usize::from(share > 0.0);
    let round = |share: f64| (share * classes as f64).round() as usize;
    let train_count = round(train).clamp(least(train), classes - least(test));
    let left = classes - train_count;
    let most = left.saturating_sub(least(test));
    let val_count = if test == 0.0 { left } else { round(val).max(least(val)).min(most) };
    (train_count, val_count)
}

#[cfg(test)]
mod tests {
    use super::counts;

    #[test]
    fn shares_become_classes() {
        assert_eq!(counts(100, [0.64, 0.16, 0.2]), (64, 16));
        assert_eq!(counts(3, [0.64, 0.16, 0.2]), (2, 0));
        assert_eq!(counts(10, [0.5, 0.5, 0.0]), (5, 5));
        assert_eq!(counts(7, [0.0, 0.0, 1.0]), (0, 0));
    }
}
