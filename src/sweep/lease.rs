//! Leases: one process runs a cell at a time, on one machine or on several that share a folder.
//!
//! A lease is a file `lease.N` in the cell's folder, created exclusively. The one with the largest N
//! holds, and is never removed; a process that takes over from a dead one creates `lease.N+1`, which
//! only one of several can. Its content changes with every renewal, and nobody compares the clocks of
//! two machines: another machine's lease has expired when its content stayed the same for a while of
//! the observer's own time. Beside it a lock on the file `lock`, which the child process inherits, is
//! held as long as either of them lives, where the file system has such locks.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::machine;
use crate::atomic_file;

/// The process that holds a lease.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// Name of its host.
    pub host: String,
    /// What tells the boot of its machine from others.
    pub boot: String,
    /// The process and when it started.
    pub process: (u32, Option<u64>),
    /// The cell's own process, once it is started.
    pub child: Option<(u32, Option<u64>)>,
    /// Number of renewals so far.
    pub renewals: u64,
    /// Whether it has given the lease back.
    pub released: bool,
}

impl Holder {
    fn here(host: &str) -> Self {
        let process = std::process::id();
        let process = (process, machine::started(process));
        Self { host: host.to_owned(), boot: machine::boot(), process, ..Self::default() }
    }

    /// Whether one of its processes lives; `None` where this machine cannot know.
    fn lives(&self, here: &Self) -> Option<bool> {
        let is_here = self.host == here.host && self.boot == here.boot && !self.boot.is_empty();
        let lives = |(process, start): (u32, Option<u64>)| {
            start.is_some() && machine::started(process) == start
        };
        is_here.then(|| lives(self.process) || self.child.is_some_and(lives))
    }
}

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
        self.write().map(|()| true)
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

    fn write(&self) -> io::Result<()> {
        atomic_file::write(&file(&self.folder, self.number), &serde_json::to_vec(&self.holder)?)
    }
}

/// The newest lease of a folder, unless it was given back or its process is known to be dead.
pub fn holder(folder: &Path) -> Option<Holder> {
    let bytes = fs::read(file(folder, newest(folder).ok().filter(|it| *it > 0)?)).ok()?;
    let holder: Holder = serde_json::from_slice(&bytes).ok()?;
    let dead = holder.lives(&Holder::here(&holder.host)) == Some(false);
    (!holder.released && !dead).then_some(holder)
}

fn file(folder: &Path, number: u64) -> PathBuf {
    folder.join(format!("lease.{number}"))
}

fn numbers(folder: &Path) -> io::Result<Vec<u64>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let name = entry?.file_name();
        found.extend(name.to_str().and_then(|it| it.strip_prefix("lease.")?.parse::<u64>().ok()));
    }
    Ok(found)
}

fn newest(folder: &Path) -> io::Result<u64> {
    Ok(numbers(folder)?.into_iter().max().unwrap_or(0))
}

/// A file that was replaced between listing and reading.
fn absent(error: io::Error) -> io::Result<Vec<u8>> {
    if error.kind() == io::ErrorKind::NotFound { Ok(Vec::new()) } else { Err(error) }
}

enum Locked {
    Here(File),
    ByAnother,
    NotSupported,
}

fn try_lock(path: &Path) -> io::Result<Locked> {
    let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
    match file.try_lock() {
        Ok(()) => Ok(Locked::Here(file)),
        Err(TryLockError::WouldBlock) => Ok(Locked::ByAnother),
        Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::Unsupported => {
            Ok(Locked::NotSupported)
        }
        Err(TryLockError::Error(error)) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    const EXPIRY: Duration = Duration::from_millis(60);

    fn claims(host: &str, locks: bool) -> Claims {
        Claims::new(Terms { host: host.into(), expiry: EXPIRY, locks })
    }

    fn taken(claim: io::Result<Claim>) -> Option<Lease> {
        match claim.unwrap() {
            Claim::Taken(lease) => Some(lease),
            Claim::Held(_) => None,
        }
    }

    #[test]
    fn a_lease_is_held_until_it_is_given_back() {
        for locks in [true, false] {
            let folder = tempfile::tempdir().unwrap();
            let mut a = claims("a", locks);
            let mut b = claims("b", locks);
            let lease = taken(a.claim(folder.path())).unwrap();
            assert!(taken(a.claim(folder.path())).is_none(), "its own process holds it");
            assert!(taken(b.claim(folder.path())).is_none());
            assert_eq!(holder(folder.path()).unwrap().host, "a");
            lease.release().unwrap();
            assert_eq!(holder(folder.path()), None);
            assert!(taken(b.claim(folder.path())).is_some());
        }
    }

    #[test]
    fn another_hosts_lease_expires_when_it_is_not_renewed() {
        let folder = tempfile::tempdir().unwrap();
        let (mut a, mut b) = (claims("a", false), claims("b", false));
        let mut lease = taken(a.claim(folder.path())).unwrap();
        assert!(taken(b.claim(folder.path())).is_none());
        for _ in 0..3 {
            std::thread::sleep(EXPIRY / 2);
            assert!(lease.renew().unwrap());
            assert!(taken(b.claim(folder.path())).is_none(), "renewed");
        }
        std::thread::sleep(EXPIRY + Duration::from_millis(10));
        let mut other = taken(b.claim(folder.path())).expect("expired");
        assert!(!lease.renew().unwrap(), "the first has lost it");
        assert!(other.renew().unwrap());
        lease.release().unwrap();
        assert!(other.renew().unwrap(), "giving back what is lost changes nothing");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn the_lease_of_a_dead_process_of_this_host_is_free_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let mut dead = Holder::here("a");
        dead.process = (u32::MAX, Some(1));
        fs::write(file(folder.path(), 7), serde_json::to_vec(&dead).unwrap()).unwrap();
        assert!(
            taken(claims("b", false).claim(folder.path())).is_none(),
            "of another host: not yet"
        );
        // Its child lives on.
        let own = std::process::id();
        dead.child = Some((own, machine::started(own)));
        fs::write(file(folder.path(), 7), serde_json::to_vec(&dead).unwrap()).unwrap();
        assert!(taken(claims("a", false).claim(folder.path())).is_none());
        dead.child = None;
        fs::write(file(folder.path(), 7), serde_json::to_vec(&dead).unwrap()).unwrap();
        let lease = taken(claims("a", false).claim(folder.path())).unwrap();
        assert_eq!((lease.number, numbers(folder.path()).unwrap()), (8, vec![8]));
    }

    /// Sixteen hosts, without locks: each cell is held by one at a time, also when leases expire.
    #[test]
    fn a_lease_is_never_held_twice() {
        let folder = tempfile::tempdir().unwrap();
        let (inside, turns) = (AtomicUsize::new(0), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            for host in 0..16 {
                let (folder, inside, turns) = (folder.path(), &inside, &turns);
                scope.spawn(move || {
                    let mut claims = Claims::new(Terms {
                        host: format!("host{host}"),
                        expiry: Duration::from_millis(500),
                        locks: false,
                    });
                    while turns.load(Ordering::SeqCst) < 40 {
                        let Some(lease) = taken(claims.claim(folder)) else { continue };
                        assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0, "held twice");
                        let turn = turns.fetch_add(1, Ordering::SeqCst);
                        inside.fetch_sub(1, Ordering::SeqCst);
                        // Two of them die without a word.
                        if turn % 16 != 15 {
                            lease.release().unwrap();
                        }
                    }
                });
            }
        });
    }
}
