//! The names of event files, and which of them are ours.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Beginning of the names of our files. TensorBoard looks for `tfevents`.
const PREFIX: &str = "events.out.tfevents.";
/// End of the names of files that `fsct tensorboard` writes.
pub(super) const CONVERTED: &str = ".fsct";
/// End of the names of files that a run writes while it trains.
pub(super) const OF_RUN: &str = ".fsct-run";

/// A new file of a folder, whose name follows those of the files of its kind that are there: TensorBoard reads files in
/// the order of their names.
pub(super) fn next(folder: &Path, suffix: &str) -> PathBuf {
    let now = since_1970(SystemTime::now()).as_secs();
    let last = ours(folder, suffix).filter_map(|it| number(&it, suffix)).max();
    let second = last.map_or(now, |last| now.max(last.saturating_add(1)));
    folder.join(format!("{PREFIX}{second:010}{suffix}"))
}

/// Removes the files of that kind that were written before `path` in its folder.
pub(super) fn remove_others(path: &Path, suffix: &str) {
    let folder = path.parent().unwrap_or(Path::new("."));
    for other in ours(folder, suffix).filter(|other| other != path) {
        // A file that stays is void by the session start of the new one.
        let _ = fs::remove_file(other);
    }
}

/// Seconds since 1970.
pub(super) fn seconds(time: SystemTime) -> f64 {
    since_1970(time).as_secs_f64()
}

fn since_1970(time: SystemTime) -> Duration {
    time.duration_since(UNIX_EPOCH).unwrap_or_default()
}

fn ours(folder: &Path, suffix: &str) -> impl Iterator<Item = PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).filter(move |path| number(path, suffix).is_some())
}

/// The number in a name.
fn number(path: &Path, suffix: &str) -> Option<u64> {
    let name = path.file_name()?.to_str()?;
    name.strip_prefix(PREFIX)?.strip_suffix(suffix)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_file_comes_after_those_that_are_there() {
        let folder = tempfile::tempdir().unwrap();
        let first = next(folder.path(), OF_RUN);
        fs::write(&first, "").unwrap();
        let second = next(folder.path(), OF_RUN);
        assert!(second > first, "{second:?}");
        fs::write(&second, "").unwrap();
        let converted = next(folder.path(), CONVERTED);
        fs::write(&converted, "").unwrap();
        fs::write(folder.path().join("events.out.tfevents.1.host"), "").unwrap();
        remove_others(&second, OF_RUN);
        assert!(second.exists() && converted.exists() && !first.exists());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 3);
    }
}
