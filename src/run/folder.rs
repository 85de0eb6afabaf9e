//! The folder of a run: what lies where, and how it is written.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::{RunError, RunLock};
use crate::atomic_file;

/// The folder `runs/NAME-TIME/` of a run, and the paths of its files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunFolder {
    path: PathBuf,
}

impl RunFolder {
    /// Makes a new folder under `runs`. Two runs that start in the same second get two folders.
    pub fn create(runs: &Path, name: &str) -> Result<Self, RunError> {
        const CREATE: &str = "create the run folder";
        fs::create_dir_all(runs).map_err(RunError::file(CREATE, runs))?;
        let stem = format!("{}-{}", file_name(name), timestamp(SystemTime::now()));
        for attempt in 1.. {
            let suffix = if attempt == 1 { String::new() } else { format!("-{attempt}") };
            let path = runs.join(format!("{stem}{suffix}"));
            match fs::create_dir(&path) {
                Ok(()) => return Ok(Self { path }),
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(RunError::file(CREATE, path)(error)),
            }
        }
        unreachable!("some number is free")
    }

    /// The folder of an existing run; nothing is read yet.
    pub fn open(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// The folder that a path means: itself, or the one that a `last.ckpt` lies in.
    pub fn of(path: &Path) -> Result<Self, RunError> {
        if path.is_dir() {
            return Ok(Self::open(path));
        }
        let folder = path.parent().and_then(Path::parent).unwrap_or(Path::new(""));
        let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
        if path.is_file() && folder.join("checkpoints").join("last.ckpt") == path {
            return Ok(Self::open(folder));
        }
        let (reason, help) = match path.is_file() {
            true => (
                format!("{} is not the last checkpoint of a run folder", path.display()),
                format!(
                    "a run is resumed from its last checkpoint; `--from {}` starts a new run from \
                     this one",
                    path.display()
                ),
            ),
            false => (
                format!("{} does not exist", path.display()),
                "name a run's folder (`runs/NAME-TIME`) or its `checkpoints/last.ckpt`".into(),
            ),
        };
        Err(RunError::Missing { reason, help })
    }

    /// The checkpoint that a path means: the file itself, or of a run's folder the best one, or the last
    /// one if there is no best.
    pub fn checkpoint(path: &Path) -> Result<PathBuf, RunError> {
        if path.is_file() {
            return Ok(path.to_owned());
        }
        let folder = Self::open(path);
        [folder.best(), folder.last()].into_iter().find(|path| path.is_file()).ok_or_else(|| {
            RunError::Missing {
                reason: format!("there is no checkpoint in {}", path.display()),
                help: "name a run's folder (`runs/NAME-TIME`) or a .ckpt file".into(),
            }
        })
    }

    /// Whether it has the files of a run.
    fn is_run(&self) -> bool {
        self.events().is_file() || self.pipeline().is_file()
    }

    /// Checks that it is the folder of a run.
    ///
    /// # Errors
    /// It has neither events nor a pipeline.
    pub fn expect_run(&self) -> Result<(), RunError> {
        if self.is_run() {
            return Ok(());
        }
        Err(RunError::Missing {
            reason: format!("{} is not the folder of a run", self.path.display()),
            help: "name a folder that `fsct run` made, such as `runs/NAME-TIME`".into(),
        })
    }

    /// The folder that a path means: itself, or the run whose checkpoint it is.
    pub fn around(path: &Path) -> Self {
        let is_checkpoint = path.is_file() && path.extension().is_some_and(|it| it == "ckpt");
        match path.parent().and_then(Path::parent).filter(|_| is_checkpoint) {
            Some(folder) => Self::open(folder),
            None => Self::open(path),
        }
    }

    /// The run under `runs` that wrote an event last, if there is a run.
    pub fn latest(runs: &Path) -> Option<Self> {
        let folders = fs::read_dir(runs).into_iter().flatten().flatten();
        let found = folders.map(|entry| Self::open(entry.path())).filter(Self::is_run);
        let written = |run: &Self| {
            let modified = |path| fs::metadata(path).and_then(|it| it.modified()).ok();
            // Between the two files a run reads its data.
            modified(run.events()).or_else(|| modified(run.pipeline()))
        };
        // Of the same moment, the later name.
        found.max_by_key(|run| (written(run), run.path.clone()))
    }

    /// Locks the folder for this process, and removes what killed ones left half-written.
    pub fn lock(&self) -> Result<RunLock, RunError> {
        let lock = RunLock::acquire(&self.path.join("lock"))?;
        atomic_file::remove_left_over(&self.path);
        atomic_file::remove_left_over(&self.path.join("checkpoints"));
        Ok(lock)
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
                // The time follows the prefix: `a-5way-…` is not a run of `a`.
                name.and_then(|name| name.strip_prefix(&prefix)).is_some_and(is_timestamp)
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

    /// Path of the folder itself.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Path of the resolved pipeline.
    pub fn pipeline(&self) -> PathBuf {
        self.path.join("pipeline.yaml")
    }

    /// Every event, one a line.
    pub fn events(&self) -> PathBuf {
        self.path.join("events.jsonl")
    }

    /// Path of the result, as JSON.
    pub fn metrics(&self) -> PathBuf {
        self.path.join("metrics.json")
    }

    /// Path of the test's answers, one episode a line.
    pub fn answers(&self) -> PathBuf {
        self.path.join("answers.jsonl")
    }

    /// Path of what a report shows beyond the events.
    pub fn evidence(&self) -> PathBuf {
        self.path.join("report.json")
    }

    /// Path of the page about the run.
    pub fn report(&self) -> PathBuf {
        self.path.join("report.html")
    }

    /// Path of the newest checkpoint.
    pub fn last(&self) -> PathBuf {
        self.path.join("checkpoints").join("last.ckpt")
    }

    /// The checkpoint of pretraining with the best validation accuracy.
    pub fn pretrained(&self) -> PathBuf {
        self.path.join("checkpoints").join("pretrained.ckpt")
    }

    /// The checkpoint with the best validation accuracy.
    pub fn best(&self) -> PathBuf {
        self.path.join("checkpoints").join("best.ckpt")
    }
}

/// Writes a file completely or not at all.
pub fn write_atomically(path: &Path, bytes: &[u8]) -> Result<(), RunError> {
    atomic_file::write(path, bytes).map_err(RunError::file("write", path))
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
    let time = time::OffsetDateTime::from(time);
    let (year, month, day) = time.to_calendar_date();
    let (hour, minute, second) = time.to_hms();
    format!("{year:04}{:02}{day:02}-{hour:02}{minute:02}{second:02}", u8::from(month))
}

/// Whether a text is what [`timestamp`] writes, or that and the number of a folder of the same
/// second: `20261124-093015-2`.
fn is_timestamp(text: &str) -> bool {
    let digits = |text: &str, count: usize| {
        text.len() == count && text.bytes().all(|byte| byte.is_ascii_digit())
    };
    let mut parts = text.split('-');
    let (date, time) = (parts.next().unwrap_or(""), parts.next().unwrap_or(""));
    let number = parts.next().is_none_or(|it| !it.is_empty() && digits(it, it.len()));
    digits(date, 8) && digits(time, 6) && number && parts.next().is_none()
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
        assert!(is_timestamp(&at(951_827_696)) && is_timestamp("20261124-093015-2"));
        for other in
            ["5way-1shot-20261124-093015", "2026", "20261124-093015-", "20261124-093015-2-1"]
        {
            assert!(!is_timestamp(other), "{other}");
        }
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
        for other in ["a-b", "a-5way-1shot", "a-20"] {
            let other = RunFolder::create(runs.path(), other).unwrap();
            write_atomically(&other.last(), b"x").unwrap();
        }
        assert_eq!(RunFolder::newest(runs.path(), "a").unwrap(), with);
    }

    #[test]
    fn the_latest_run_is_the_one_that_wrote_last() {
        let runs = tempfile::tempdir().unwrap();
        assert_eq!(RunFolder::latest(&runs.path().join("absent")), None);
        fs::create_dir(runs.path().join("other")).unwrap();
        fs::write(runs.path().join("notes"), "").unwrap();
        assert_eq!(RunFolder::latest(runs.path()), None);
        let [a, b] = ["a", "b"].map(|name| RunFolder::create(runs.path(), name).unwrap());
        let at = |path: PathBuf, seconds| {
            let file = fs::File::create(path).unwrap();
            file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)).unwrap();
        };
        at(a.events(), 10);
        at(b.pipeline(), 5);
        assert_eq!(RunFolder::latest(runs.path()), Some(a.clone()));
        at(b.events(), 20);
        assert_eq!(RunFolder::latest(runs.path()), Some(b));
        at(a.events(), 30);
        assert_eq!(RunFolder::latest(runs.path()), Some(a.clone()));
        fs::create_dir(a.path().join("checkpoints")).unwrap();
        fs::write(a.best(), "").unwrap();
        assert_eq!(RunFolder::around(&a.best()), a);
        assert!(a.expect_run().is_ok() && RunFolder::open(runs.path()).expect_run().is_err());
    }

    #[test]
    fn a_run_is_named_by_its_folder_or_its_last_checkpoint() {
        let runs = tempfile::tempdir().unwrap();
        let run = RunFolder::create(runs.path(), "a").unwrap();
        write_atomically(&run.last(), b"x").unwrap();
        write_atomically(&run.best(), b"x").unwrap();
        assert_eq!(RunFolder::of(run.path()).unwrap(), run);
        assert_eq!(RunFolder::of(&run.last()).unwrap(), run);
        let help = |path: &Path| {
            let error = RunFolder::of(path).unwrap_err();
            miette::Diagnostic::help(&error).unwrap().to_string()
        };
        assert!(help(&run.best()).contains("--from"));
        assert!(help(&runs.path().join("b")).contains("last.ckpt"));
    }
}
