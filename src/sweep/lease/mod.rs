//! Leases: one process runs a cell at a time, on one machine or on several that share a folder.
//!
//! A lease is a file `lease.N` in the cell's folder, created exclusively. The one with the largest N
//! holds, and is never removed; a process that takes over from a dead one creates `lease.N+1`, which
//! only one of several can. Its content changes with every renewal, and nobody compares the clocks of
//! two machines: another machine's lease has expired when its content stayed the same for a while of
//! the observer's own time. Beside it a lock on the file `lock`, which the child process inherits, is
//! held as long as either of them lives, where the file system has such locks.

mod files;
mod holder;

use std::collections::HashMap;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::machine;
use crate::atomic_file;

use files::{Locked, absent, file, newest, numbers, try_lock};

pub use holder::Holder;

/// How leases are taken; the same for all processes of a sweep.
#[derive(Debug, Clone)]
pub struct Terms {
    /// Name of this host.
    pub host: String,
    /// How long another host's lease must stay the same to have expired.
    pub expiry: Duration,
    /// Whether locks of the file system are used too.
    pub locks: bool,
}

/// What came of a claim.
#[derive(Debug)]
pub enum Claim {
    /// The lease is this process's.
    Taken(Lease),
    /// Another process holds it, or may still do.
    Held(Holder),
}

/// A lease of this process.
#[derive(Debug)]
pub struct Lease {
    folder: PathBuf,
    number: u64,
    holder: Holder,
    lock: Option<File>,
}

/// Takes leases, and remembers those of others.
#[derive(Debug)]
pub struct Claims {
    terms: Terms,
    here: Holder,
    /// For each folder, the newest lease of another host and since when it is the same.
    seen: HashMap<PathBuf, (u64, Vec<u8>, Instant)>,
}

impl Claims {
    /// Claims under these terms.
    pub fn new(terms: Terms) -> Self {
        Self { here: Holder::here(&terms.host), terms, seen: HashMap::new() }
    }

    /// Tries to take the lease of a cell's folder.
    ///
    /// # Errors
    /// The folder cannot be read or written.
    pub fn claim(&mut self, folder: &Path) -> io::Result<Claim> {
        let lock = match self.terms.locks {
            true => try_lock(&folder.join("lock"))?,
            false => Locked::NotSupported,
        };
        let newest = newest(folder)?;
        let bytes = match newest {
            0 => Vec::new(),
            number => fs::read(file(folder, number)).or_else(absent)?,
        };
        let holder: Holder = serde_json::from_slice(&bytes).unwrap_or_default();
        let lock = match lock {
            Locked::ByAnother => return Ok(Claim::Held(holder)),
            Locked::Here(file) => Some(file),
            Locked::NotSupported => None,
        };
        if newest > 0 && !holder.released && self.holds(folder, newest, bytes, &holder) {
            return Ok(Claim::Held(holder));
        }
        self.take(folder, newest + 1, lock).map(|lease| match lease {
            Some(lease) => Claim::Taken(lease),
            None => Claim::Held(holder),
        })
    }

    /// Whether a lease that was not given back still holds.
    fn holds(&mut self, folder: &Path, number: u64, bytes: Vec<u8>, holder: &Holder) -> bool {
        if let Some(lives) = holder.lives(&self.here) {
            return lives;
        }
        let same = self.seen.get(folder).filter(|it| it.0 == number && it.1 == bytes);
        if let Some((.., since)) = same {
            return since.elapsed() < self.terms.expiry;
        }
        self.seen.insert(folder.to_owned(), (number, bytes, Instant::now()));
        true
    }

    /// Creates the lease with a number; `None` where another process was faster.
    fn take(&self, folder: &Path, number: u64, lock: Option<File>) -> io::Result<Option<Lease>> {
        use io::ErrorKind::{AlreadyExists, NotFound};
        let holder = self.here.clone();
        let bytes = serde_json::to_vec(&holder)?;
        match atomic_file::write_new(&file(folder, number), &bytes) {
            Ok(()) => {}
            // Not found: the new holder has tidied the folder up while this was being written.
            Err(error) if matches!(error.kind(), AlreadyExists | NotFound) => return Ok(None),
            Err(error) => return Err(error),
        }
        // A process that was stopped for long may have created the lease of a number that is past.
        if newest(folder)? != number {
            let _ = fs::remove_file(file(folder, number));
            return Ok(None);
        }
        for old in numbers(folder)?.into_iter().filter(|old| *old < number) {
            let _ = fs::remove_file(file(folder, old));
        }
        atomic_file::remove_left_over(folder);
        Ok(Some(Lease { folder: folder.to_owned(), number, holder, lock }))
    }
}

impl Lease {
    /// Writes that the holder lives. `false`: another process has taken over.
    ///
    /// # Errors
    /// The folder cannot be read or written.
    pub fn renew(&mut self) -> io::Result<bool> {
        if newest(&self.folder)? != self.number {
            return Ok(false);
        }
        self.holder.renewals += 1;
        self.write()
    }

    /// Records the cell's process, and renews.
    ///
    /// # Errors
    /// As [`renew`](Self::renew).
    pub fn with_child(&mut self, process: u32) -> io::Result<bool> {
        self.holder.child = Some((process, machine::started(process)));
        self.renew()
    }

    /// The lock, for a child process to inherit: it is held as long as the child lives.
    pub fn lock(&self) -> Option<File> {
        self.lock.as_ref()?.try_clone().ok()
    }

    /// Gives the lease back.
    ///
    /// # Errors
    /// The folder cannot be written; the lease expires then.
    pub fn release(mut self) -> io::Result<()> {
        if newest(&self.folder)? == self.number {
            self.holder.released = true;
            self.holder.child = None;
            self.write()?;
        }
        Ok(())
    }

    /// Writes the file; `false` where another process has taken over meanwhile.
    fn write(&self) -> io::Result<bool> {
        let bytes = serde_json::to_vec(&self.holder)?;
        match atomic_file::write(&file(&self.folder, self.number), &bytes) {
            Ok(()) => Ok(true),
            // The new holder has tidied the folder up while this was being written.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                if newest(&self.folder)? == self.number { Err(error) } else { Ok(false) }
            }
            Err(error) => Err(error),
        }
    }
}

/// The newest lease of a folder, unless it was given back or its process is known to be dead.
pub fn holder(folder: &Path) -> Option<Holder> {
    let bytes = fs::read(file(folder, newest(folder).ok().filter(|it| *it > 0)?)).ok()?;
    let holder: Holder = serde_json::from_slice(&bytes).ok()?;
    let dead = holder.lives(&Holder::here(&holder.host)) == Some(false);
    (!holder.released && !dead).then_some(holder)
}

#[cfg(test)]
mod tests;
