//! The folder of a run: what lies where, and how it is written.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::RunError;
use crate::atomic_file;

/// `runs/NAME-TIME/`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunFolder {
    path: PathBuf,
}

impl RunFolder {
    /// Makes a new folder under `runs`. Two runs that start in the same second get two folders.
    pub fn create(runs: &Path, name: &str) -> Result<Self, RunError> {
        fs::create_dir_all(runs).map_err(RunError::file("create", runs))?;
        let stem = format!("{}-{}", file_name(name), timestamp(SystemTime::now()));
        for attempt in 1.. {
            let suffix = if attempt == 1 { String::new() } else { format!("-{attempt}") };
            let path = runs.join(format!("{stem}{suffix}"));
            match fs::create_dir(&path) {
                Ok(()) => return Ok(Self { path }),
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(RunError::file("create", path)(error)),
            }
        }
        unreachable!("some number is free")
    }

    /// An existing folder.
    pub fn open(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// The newest run of that name under `runs` that has a checkpoint.
    pub fn newest(runs: &Path, name: &str) -> Result<Self, RunError> {
        let prefix = format!("{}-", file_name(name));
        let mut found: Vec<(SystemTime, PathBuf)> = fs::read_dir(runs)
            .into_iter()
            .flatten()
            .flatten()
            .map(|entry| entry.path())
            .filter(|path| {
                let name = path.file_name().and_then(|name| name.to_str());
                // What follows the prefix is the time, so `a-b` is not a run of `a`.
                name.and_then(|name| name.strip_prefix(&prefix))
                    .is_some_and(|rest| rest.starts_with(|first: char| first.is_ascii_digit()))
            })
            .filter_map(|path| {
                let checkpoint = Self::open(&path).last();
                let time = fs::metadata(checkpoint).and_then(|meta| meta.modified()).ok()?;
                Some((time, path))
            })
            .collect();
        found.sort();
        found.pop().map(|(_, path)| Self { path }).ok_or_else(|| RunError::Missing {
            reason: format!("no run of `{name}` in {} has a checkpoint", runs.display()),
            help: "start it without --resume, or name the run's folder after --resume".into(),
        })
    }

    /// The folder itself.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The resolved pipeline.
    pub fn pipeline(&self) -> PathBuf {
        self.path.join("pipeline.yaml")
    }

    /// Every event, one a line.
    pub fn events(&self) -> PathBuf {
        self.path.join("events.jsonl")
    }

    /// The result.
    pub fn metrics(&self) -> PathBuf {
        self.path.join("metrics.json")
    }

    /// The newest checkpoint.
    pub fn last(&self) -> PathBuf {
        self.path.join("checkpoints").join("last.ckpt")
    }

    /// The checkpoint with the best validation accuracy.
    pub fn best(&self) -> PathBuf {
        self.path.join("checkpoints").join("best.ckpt")
    }
}

/// Writes a file completely or not at all.
pub fn write_atomically(path: &Path, bytes: &[u8]) -> Result<(), RunError> {
    write_atomically_with(path, |file| file.write_all(bytes))
}

/// Writes a file completely or not at all, in as many pieces as it takes.
pub fn write_atomically_with(
    path: &Path,
    write: impl FnOnce(&mut File) -> io::Result<()>,
) -> Result<(), RunError> {
    atomic_file::write_with(path, write).map_err(RunError::file("write", path))
}

/// A name that every file system takes.
fn file_name(name: &str) -> String {
    let safe = |c: char| {
        if c.is_alphanumeric() || "-_.".contains(c) { c } else { '_' }
    };
    name.chars().map(safe).collect()
}

/// `20261124-093015`, UTC.
fn timestamp(time: SystemTime) -> String {
    let seconds = time.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |it| it.as_secs());
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    let (year, month, day) = civil_date(days as i64);
    let (hour, minute, second) = (rest / 3600, rest / 60 % 60, rest % 60);
    format!("{year:04}{month:02}{day:02}-{hour:02}{minute:02}{second:02}")
}

/// Days since 1970-01-01 → (year, month, day), proleptic Gregorian calendar.
fn civil_date(days: i64) -> (i64, i64, i64) {
    // Years start in March here, so that the leap day is a year's last.
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn timestamps_are_civil() {
        let at = |seconds| timestamp(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds));
        assert_eq!(at(0), "19700101-000000");
        assert_eq!(at(951_827_696), "20000229-123456");
        assert_eq!(at(1_795_478_399), "20261123-235959");
    }

    #[test]
    fn runs_of_one_second_do_not_share_a_folder() {
        let runs = tempfile::tempdir().unwrap();
        let a = RunFolder::create(runs.path(), "my run/1").unwrap();
        let b = RunFolder::create(runs.path(), "my run/1").unwrap();
        assert_ne!(a, b);
        assert_eq!(a.path().parent().unwrap(), runs.path());
    }

    #[test]
    fn the_newest_run_is_one_with_a_checkpoint_and_that_very_name() {
        let runs = tempfile::tempdir().unwrap();
        assert!(RunFolder::newest(runs.path(), "a").is_err());
        let with = RunFolder::create(runs.path(), "a").unwrap();
        write_atomically(&with.last(), b"x").unwrap();
        RunFolder::create(runs.path(), "a").unwrap();
        let other = RunFolder::create(runs.path(), "a-b").unwrap();
        write_atomically(&other.last(), b"x").unwrap();
        assert_eq!(RunFolder::newest(runs.path(), "a").unwrap(), with);
    }
}
