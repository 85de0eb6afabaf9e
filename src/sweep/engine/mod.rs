//! Runs the cells of a sweep: each as a child process, under its lease, within the machine's capacity.

mod begin;
mod end;
mod state;

use std::io;
use std::path::PathBuf;
use std::process::Child;
use std::time::{Duration, Instant, SystemTime};

use super::capacity::{Capacity, Demand, Seat};
use super::cell_folder::{CellFolder, Standing};
use super::child;
use super::lease::{Claims, Lease, Terms};
use super::manifest::Manifest;
use super::progress;
use crate::Error;
use crate::run::ONE_REQUEST;

pub use state::{Change, Row, State, Summary, Watcher};

/// How often children, signals and seats are looked at.
const TICK: Duration = Duration::from_millis(40);
/// How often cells that other processes hold are looked at.
const LOOK: Duration = Duration::from_millis(500);
/// How often the progress of running cells is read.
const READ: Duration = Duration::from_millis(400);

/// How a sweep is run.
#[derive(Debug)]
pub struct Options {
    /// The program that runs a cell.
    pub program: PathBuf,
    /// How leases are taken.
    pub terms: Terms,
    /// What this machine has for cells.
    pub capacity: Capacity,
    /// Threads of each cell's process.
    pub threads: usize,
    /// Whether cells that were given up get another try.
    pub retry_failed: bool,
}

/// A cell's process here.
struct Running {
    row: usize,
    child: Child,
    lease: Lease,
    seat: Seat,
    renewed: Instant,
    /// The newest checkpoint before it.
    checkpoint: Option<SystemTime>,
}

/// Runs cells of a sweep.
pub struct Engine<'a> {
    manifest: &'a Manifest,
    options: Options,
    claims: Claims,
    rows: Vec<Row>,
    running: Vec<Running>,
    /// The rung of successive halving that is run, where there is one.
    rung: Option<usize>,
    watcher: &'a mut dyn Watcher,
    /// Signals received so far.
    signals: usize,
}

impl<'a> Engine<'a> {
    /// An engine for the cells with these numbers, up to the end of a rung of successive halving where
    /// one is given.
    pub fn new(
        manifest: &'a Manifest,
        numbers: &[usize],
        rung: Option<usize>,
        options: Options,
        watcher: &'a mut dyn Watcher,
    ) -> Self {
        let row = |number: &usize| Row {
            entry: manifest.entries[*number].clone(),
            state: State::Waiting,
            forgive: options.retry_failed,
            shares: true,
        };
        let rows = numbers.iter().map(row).collect();
        let claims = Claims::new(options.terms.clone());
        let running = Vec::new();
        Self { manifest, options, claims, rows, running, rung, watcher, signals: 0 }
    }

    /// Runs until every cell is done or given up, or a signal stops it. `received` returns the number of
    /// signals since it was last called.
    ///
    /// # Errors
    /// The folder cannot be read or written, or the program cannot be started.
    pub fn run(mut self, received: &mut dyn FnMut() -> usize) -> Result<Summary, Error> {
        let outcome = self.work(received);
        if outcome.is_err() {
            // No process is left behind: each writes a checkpoint first.
            self.running.iter().for_each(|running| child::ask_to_stop(&running.child));
            for mut running in self.running.drain(..) {
                let _ = running.child.wait();
                let _ = running.lease.release();
            }
        }
        outcome
    }

    fn work(&mut self, received: &mut dyn FnMut() -> usize) -> Result<Summary, Error> {
        for at in 0..self.rows.len() {
            self.settle(at);
        }
        let (mut looked, mut stopped, mut read) =
            (None::<Instant>, None::<Instant>, Instant::now());
        loop {
            // Signals within a second are one request, as for the cells.
            if received() > 0 && stopped.is_none_or(|at| at.elapsed() >= ONE_REQUEST) {
                stopped = Some(Instant::now());
                self.stop();
            }
            self.reap()?;
            let due = looked.is_none_or(|at| at.elapsed() >= LOOK);
            if self.signals == 0 {
                self.fill(due)?;
            }
            if due {
                looked = Some(Instant::now());
            }
            let open = |row: &Row| matches!(row.state, State::Waiting | State::Elsewhere(_));
            if self.running.is_empty() && (self.signals > 0 || !self.rows.iter().any(open)) {
                self.watcher.look(&self.rows);
                return Ok(self.summary());
            }
            if read.elapsed() >= READ {
                read = Instant::now();
                self.read_progress();
                self.watcher.look(&self.rows);
            }
            std::thread::sleep(TICK);
        }
    }

    fn summary(&self) -> Summary {
        let count = |of: fn(&State) -> bool| self.rows.iter().filter(|row| of(&row.state)).count();
        let done = count(|state| matches!(state, State::Done(_)));
        let failed = count(|state| matches!(state, State::Failed(_)));
        let open = self.rows.len() - done - failed;
        Summary { done, failed, open, interrupted: self.signals > 0 }
    }

    fn cell(&self, at: usize) -> CellFolder {
        self.manifest.cell_in(&self.rows[at].entry, self.rung)
    }

    /// Sets the state of a cell that is done or given up.
    fn settle(&mut self, at: usize) -> bool {
        self.rows[at].state = match self.cell(at).standing() {
            Standing::Done(metrics) => State::Done(metrics),
            Standing::Failed(_) if self.rows[at].forgive => return false,
            Standing::Failed(reason) => State::Failed(reason),
            Standing::Begun | Standing::Waiting => return false,
        };
        true
    }

    /// Passes a signal on: the first two ask, the third ends.
    fn stop(&mut self) {
        self.signals += 1;
        for running in &mut self.running {
            match self.signals {
                1 | 2 => child::ask_to_stop(&running.child),
                _ => drop(running.child.kill()),
            }
        }
    }

    /// Starts cells while there are seats; `due` also looks at those of other processes.
    fn fill(&mut self, due: bool) -> Result<(), Error> {
        for at in 0..self.rows.len() {
            match self.rows[at].state {
                State::Waiting => {}
                State::Elsewhere(_) if due => {}
                _ => continue,
            }
            let Row { entry, shares, .. } = &self.rows[at];
            let gpu_bytes = entry.gpu_bytes.filter(|_| *shares);
            let demand = Demand { memory: entry.memory_bytes, device: entry.device, gpu_bytes };
            let Some(seat) = self.options.capacity.seat(demand) else { continue };
            let began = self.begin(at, seat.clone()).map_err(|error| self.broken(at, &error));
            if !matches!(began, Ok(true)) {
                self.options.capacity.leave(&seat);
            }
            began?;
        }
        Ok(())
    }

    fn read_progress(&mut self) {
        for running in &self.running {
            let cell = self.manifest.cell(&self.rows[running.row].entry);
            if let (State::Running(_, known), Some(new)) =
                (&mut self.rows[running.row].state, progress::of(&cell))
            {
                *known = new;
            }
        }
    }

    fn tell(&mut self, row: usize, change: &Change) -> Result<(), Error> {
        self.watcher.changed(&self.rows[row], change)
    }

    fn broken(&self, at: usize, error: &io::Error) -> Error {
        Error::failed_with_help(
            format!("the cell in `{}` cannot be run: {error}", self.cell(at).path().display()),
            "check the folder, its permissions and the free space, then run the sweep again",
        )
    }
}
