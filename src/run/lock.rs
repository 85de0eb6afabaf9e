//! One process a run folder.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::path::Path;

use super::RunError;

/// A lock on a run folder, held until it is dropped or the process ends, however it ends.
#[derive(Debug)]
pub struct RunLock {
    _file: Option<File>,
}

impl RunLock {
    /// Locks the folder whose lock file is `path`.
    ///
    /// # Errors
    /// Another process holds it.
    pub fn acquire(path: &Path) -> Result<Self, RunError> {
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)
            .map_err(RunError::file("open", path))?;
        match file.try_lock() {
            Ok(()) => {
                write_process(&mut file).map_err(RunError::file("write", path))?;
                Ok(Self { _file: Some(file) })
            }
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                let _ = file.read_to_string(&mut holder);
                let holder = match holder.trim() {
                    "" => "another process".into(),
                    process => format!("process {process}"),
                };
                let folder = path.parent().unwrap_or(path).to_owned();
                Err(RunError::InUse { folder, holder })
            }
            // Some network file systems have no locks: there, one process a run is up to the user.
            Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::Unsupported => {
                Ok(Self { _file: None })
            }
            Err(TryLockError::Error(error)) => Err(RunError::file("lock", path)(error)),
        }
    }
}

fn write_process(file: &mut File) -> io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    writeln!(file, "{}", std::process::id())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_holder_is_refused_until_the_first_ends() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        let first = RunLock::acquire(&path).unwrap();
        let refused = RunLock::acquire(&path).unwrap_err().to_string();
        assert!(refused.contains(&format!("process {}", std::process::id())), "{refused}");
        drop(first);
        RunLock::acquire(&path).unwrap();
    }
}
