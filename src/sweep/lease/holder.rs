//! Who holds a lease, and whether it lives.

use serde::{Deserialize, Serialize};

use crate::sweep::machine;

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
    pub(super) fn here(host: &str) -> Self {
        let process = std::process::id();
        let process = (process, machine::started(process));
        Self { host: host.to_owned(), boot: machine::boot(), process, ..Self::default() }
    }

    /// Whether one of its processes lives; `None` where this machine cannot know.
    pub(super) fn lives(&self, here: &Self) -> Option<bool> {
        let is_here = self.host == here.host && self.boot == here.boot && !self.boot.is_empty();
        let lives = |(process, start): (u32, Option<u64>)| {
            start.is_some() && machine::started(process) == start
        };
        is_here.then(|| lives(self.process) || self.child.is_some_and(lives))
    }
}
