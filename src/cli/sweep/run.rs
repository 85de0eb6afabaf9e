//! `fsct sweep run`: the cells that are not done, here.

use std::path::PathBuf;
use std::time::Duration;

use super::board::Board;
use crate::cli::Output;
use crate::cli::print::outln;
use crate::config::ByteSize;
use crate::device::nvidia;
use crate::sweep::capacity::{Capacity, Gpu};
use crate::sweep::cell_folder::Standing;
use crate::sweep::engine::{Engine, Options, Summary};
use crate::sweep::lease::Terms;
use crate::sweep::machine;
use crate::sweep::manifest::{Entry, Manifest, Wanted, label};
use crate::sweep::search;
use crate::{Error, Failure};

/// Run the cells that are not done
///
/// Each cell is a process of its own. A cell that is done is skipped, one that was killed is resumed, one
/// that failed is tried once more. Several processes, also on several machines that share the folder,
/// may run one sweep: a cell is never run twice.
#[derive(Debug, clap::Args)]
pub struct Run {
    /// Folder of the sweep, as `fsct sweep plan` made it
    folder: PathBuf,
    /// Run this cell alone, by its number in manifest.jsonl, from 0: what a scheduler calls. Not with
    /// successive halving, where the candidates wait for each other
    #[arg(long, value_name = "I", conflicts_with = "jobs")]
    index: Option<usize>,
    /// Cells that run at once, as far as their predicted memory fits; each has its share of the cores
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
    jobs: u16,
    /// Main memory for cells [default: what is free]
    #[arg(long, value_name = "SIZE")]
    memory: Option<ByteSize>,
    /// Try cells again that were given up: they failed twice, or were killed each time
    #[arg(long)]
    retry_failed: bool,
    /// Name of this host in leases, where several machines share a name [default: the system's]
    #[arg(long, value_name = "NAME")]
    host: Option<String>,
    /// Seconds after which another host's cell is taken over if its lease is not renewed
    #[arg(long, value_name = "SECONDS", default_value_t = 120, value_parser = clap::value_parser!(u64).range(1..))]
    lease: u64,
    /// Use leases alone, no locks of the file system: to test the leases on one machine.
    #[arg(long, hide = true)]
    without_locks: bool,
}

impl Run {
    /// Runs the cells and says how many are done.
    pub fn run(self, output: Output) -> Result<(), Error> {
        let manifest = Manifest::read(&self.folder)?;
        let count = manifest.entries.len();
        let numbers: Vec<usize> = match self.index {
            None => (0..count).collect(),
            Some(index) if index < count => vec![index],
            Some(index) => {
                return Err(Error::failed_with_help(
                    format!("there is no cell {index}: the sweep has {count}, counted from 0"),
                    "give a number of manifest.jsonl",
                ));
            }
        };
        let mut signals = Signals::listen()?;
        if manifest.rungs().is_empty() {
            let summary = self.cells(&manifest, &numbers, None, output, &mut signals)?;
            return self.conclude(summary, numbers.len());
        }
        if self.index.is_some() {
            return Err(Error::failed_with_help(
                "`--index` runs one cell, and in successive halving the candidates wait for each other",
                format!(
                    "start `fsct sweep run {}` as often as you like, on any number of machines: they \
                     share the rungs",
                    self.folder.display()
                ),
            ));
        }
        self.halve(&manifest, output, &mut signals)
    }

    /// Runs rung after rung, and decides each when its candidates stand.
    fn halve(
        &self,
        manifest: &Manifest,
        output: Output,
        signals: &mut Signals,
    ) -> Result<(), Error> {
        let rungs = manifest.rungs();
        let last = rungs.len() - 1;
        loop {
            let open = search::open(manifest)?;
            let (rung, count) = (open.rung, open.cells.len());
            let noun = if count == 1 { "cell" } else { "cells" };
            let epochs = rungs[rung].epochs;
            if !output.quiet {
                outln!("rung {rung} of 0 to {last}: {count} {noun} to epoch {epochs}")?;
            }
            let summary = self.cells(manifest, &open.cells, Some(rung), output, signals)?;
            if summary.interrupted {
                return self.conclude(summary, count);
            }
            if rung == last {
                return self.halved(manifest, summary);
            }
            let decision = search::decide(manifest, &open)?;
            for group in &decision.groups {
                let of = match group.values.is_empty() {
                    true => String::new(),
                    false => format!(" ({})", label(&group.values)),
                };
                let kept = group.ranking.iter().filter(|it| it.kept);
                let kept: Vec<String> = kept.map(|it| it.candidate.to_string()).collect();
                let kept = match kept.is_empty() {
                    true => "no candidate goes on".to_owned(),
                    false => format!("candidates that go on: {}", kept.join(", ")),
                };
                if !output.quiet {
                    outln!("rung {rung} is decided{of}; {kept}")?;
                }
            }
        }
    }

    /// The end of the last rung.
    fn halved(&self, manifest: &Manifest, summary: Summary) -> Result<(), Error> {
        let folder = self.folder.display();
        let last = Some(manifest.rungs().len() - 1);
        let is_failed = |entry: &&Entry| {
            matches!(manifest.cell_in(entry, last).standing(), Standing::Failed(_))
        };
        let failed = manifest.entries.iter().filter(is_failed).count();
        if failed > 0 {
            let cells = manifest.entries.len();
            return Err(Error::failed_with_help(
                format!(
                    "{failed} of {cells} cells failed twice, and their candidates were dropped"
                ),
                format!(
                    "`{folder}/cells/ID/log.txt` has what they printed; `fsct sweep collect {folder}` \
                     ranks the others"
                ),
            ));
        }
        let done = summary.done;
        outln!(
            "the last rung is over with {done} cells; `fsct sweep collect {folder}` makes the table"
        )
    }

    /// Runs cells, up to the end of a rung where one is given.
    fn cells(
        &self,
        manifest: &Manifest,
        numbers: &[usize],
        rung: Option<usize>,
        output: Output,
        signals: &mut Signals,
    ) -> Result<Summary, Error> {
        let jobs = usize::from(self.jobs);
        let gpus = match manifest.entries.iter().any(|entry| entry.device != Wanted::Cpu) {
            true => visible_gpus(),
            false => Vec::new(),
        };
        let memory = self.memory.map(|size| size.0).or_else(machine::free_memory);
        let options = Options {
            program: std::env::current_exe()?,
            terms: Terms {
                host: self.host.clone().unwrap_or_else(machine::host),
                expiry: Duration::from_secs(self.lease),
                locks: !self.without_locks,
            },
            capacity: Capacity::new(jobs, memory.unwrap_or(u64::MAX), gpus),
            threads: (machine::cores() / jobs.min(numbers.len()).max(1)).max(1),
            retry_failed: self.retry_failed,
        };
        let mut board = Board::new(output.verbosity(), jobs);
        let engine = Engine::new(manifest, numbers, rung, options, &mut board);
        let summary = engine.run(&mut || signals.received());
        board.finish();
        summary
    }

    fn conclude(&self, summary: Summary, count: usize) -> Result<(), Error> {
        let Summary { done, failed, open, interrupted } = summary;
        let folder = self.folder.display();
        if interrupted {
            return Err(Error::Interrupted(
                Failure::new(format!(
                    "interrupted: {done} of {count} cells are done, {open} are not"
                ))
                .help(format!("`fsct sweep run {folder}` continues; what runs has a checkpoint")),
            ));
        }
        if failed > 0 {
            return Err(Error::failed_with_help(
                format!("{failed} of {count} cells are given up, {done} are done"),
                format!(
                    "`{folder}/cells/ID/log.txt` has what they printed; `fsct sweep run {folder} \
                     --retry-failed` tries them again"
                ),
            ));
        }
        outln!("{done} of {count} cells done; `fsct sweep collect {folder}` makes the table")
    }
}

/// The GPUs that this process may use, as `CUDA_VISIBLE_DEVICES` names them, with what is free of them now.
fn visible_gpus() -> Vec<Gpu> {
    let gpus = nvidia::driver().map_or_else(|_| Vec::new(), |driver| driver.gpus);
    let named = std::env::var("CUDA_VISIBLE_DEVICES").unwrap_or_default();
    let names: Vec<String> = named
        .split(',')
        .map(|name| name.trim().to_owned())
        .filter(|name| !name.is_empty())
        .collect();
    let names = match names.is_empty() {
        true => (0..gpus.len()).map(|number| number.to_string()).collect(),
        // The driver lists what the variable leaves.
        false => names,
    };
    let gpu = |(name, gpu): (_, nvidia::Gpu)| Gpu {
        name,
        bytes: Some(gpu.free_bytes.unwrap_or(gpu.total_bytes)),
    };
    names.into_iter().zip(gpus).map(gpu).collect()
}

/// Signals that ask to stop.
struct Signals {
    inner: signal_hook::iterator::Signals,
}

impl Signals {
    fn listen() -> Result<Self, Error> {
        use signal_hook::consts::{SIGINT, SIGTERM};
        #[cfg(unix)]
        let signals = [SIGINT, SIGTERM, signal_hook::consts::SIGHUP];
        #[cfg(not(unix))]
        let signals = [SIGINT, SIGTERM];
        let inner = signal_hook::iterator::Signals::new(signals)?;
        Ok(Self { inner })
    }

    /// How many came since the last call.
    fn received(&mut self) -> usize {
        self.inner.pending().count()
    }
}
