//! Runs the cells of a sweep: each as a child process, under its lease, within the machine's capacity.

use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::process::{Child, ExitStatus};
use std::time::{Duration, Instant, SystemTime};

use super::capacity::{Capacity, Seat};
use super::cell_folder::{Attempt, Attempts, CellFolder, Outcome, Standing};
use super::child::{self, Launch};
use super::lease::{Claim, Claims, Lease, Terms};
use super::manifest::{Entry, Manifest};
use super::progress::{self, Progress};
use crate::Error;
use crate::run::events::Metrics;

/// How often children, signals and seats are looked at.
const TICK: Duration = Duration::from_millis(40);
/// How often cells that other processes hold are looked at.
const LOOK: Duration = Duration::from_millis(500);
/// How often the progress of running cells is read.
const READ: Duration = Duration::from_millis(400);
/// Renewals of a lease before it would expire.
const RENEWALS: u32 = 6;

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

/// A cell as this process sees it.
#[derive(Debug)]
pub struct Row {
    /// Its line of the manifest.
    pub entry: Entry,
    /// What is happening to it.
    pub state: State,
    /// Whether it gets another try although it was given up.
    forgive: bool,
}

/// What is happening to a cell.
#[derive(Debug, Clone, PartialEq)]
pub enum State {
    /// It waits for a seat.
    Waiting,
    /// It runs here since then.
    Running(Instant, Progress),
    /// Another process runs it, on this host.
    Elsewhere(String),
    /// It has its result.
    Done(Box<Metrics>),
    /// It was given up, for this reason.
    Failed(String),
}

/// What a watcher is told of a cell.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// Its process was started; whether from a checkpoint.
    Started(bool),
    /// Its process was killed or failed, and it will be tried again.
    Again(String),
    /// Its process stopped as asked, with a checkpoint.
    Stopped,
    /// It has its result.
    Done,
    /// It was given up.
    Failed(String),
    /// Another process has taken over, so its process here was ended.
    Lost,
}

/// Is told what happens to the cells of a sweep.
pub trait Watcher {
    /// A cell has changed.
    ///
    /// # Errors
    /// The output cannot be written.
    fn changed(&mut self, row: &Row, change: &Change) -> Result<(), Error>;

    /// Called every few ticks.
    fn look(&mut self, rows: &[Row]);
}

/// How many cells ended how.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Summary {
    /// Cells with a result.
    pub done: usize,
    /// Cells that were given up.
    pub failed: usize,
    /// Cells that are neither.
    pub open: usize,
    /// Whether a signal ended it.
    pub interrupted: bool,
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
    watcher: &'a mut dyn Watcher,
    /// Signals received so far.
    signals: usize,
}

impl<'a> Engine<'a> {
    /// An engine for the cells with these numbers.
    pub fn new(
        manifest: &'a Manifest,
        numbers: &[usize],
        options: Options,
        watcher: &'a mut dyn Watcher,
    ) -> Self {
        let row = |number: &usize| Row {
            entry: manifest.entries[*number].clone(),
            state: State::Waiting,
            forgive: options.retry_failed,
        };
        let rows = numbers.iter().map(row).collect();
        let claims = Claims::new(options.terms.clone());
        Self { manifest, options, claims, rows, running: Vec::new(), watcher, signals: 0 }
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
        let (mut looked, mut read) = (None::<Instant>, Instant::now());
        loop {
            for _ in 0..received() {
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
        self.manifest.cell(&self.rows[at].entry)
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
            let (memory, device) = (self.rows[at].entry.memory_bytes, self.rows[at].entry.device);
            let Some(seat) = self.options.capacity.seat(memory, device) else { continue };
            let began = self.begin(at, seat.clone()).map_err(|error| self.broken(at, &error));
            if !matches!(began, Ok(true)) {
                self.options.capacity.leave(&seat);
            }
            began?;
        }
        Ok(())
    }

    /// Starts a cell, unless another process has it or has finished it.
    fn begin(&mut self, at: usize, seat: Seat) -> io::Result<bool> {
        if self.settle(at) {
            return Ok(false);
        }
        let cell = self.cell(at);
        let mut lease = match self.claims.claim(cell.path())? {
            Claim::Taken(lease) => lease,
            Claim::Held(holder) => {
                self.rows[at].state = State::Elsewhere(holder.host);
                return Ok(false);
            }
        };
        // It may have been finished just before.
        if self.settle(at) {
            lease.release()?;
            return Ok(false);
        }
        let checkpoint = cell.checkpoint_time();
        let mut attempts = cell.attempts();
        // Its process ended without a word, and so did the one that had started it.
        let progressed =
            attempts.attempts.last().is_some_and(|last| since(checkpoint, last.started));
        attempts.close(Outcome::Orphaned, None, progressed, None);
        if std::mem::take(&mut self.rows[at].forgive) && attempts.given_up().is_some() {
            attempts.attempts.iter_mut().for_each(|attempt| attempt.forgiven = true);
        }
        if attempts.given_up().is_some() {
            cell.write(&attempts)?;
            self.settle(at);
            lease.release()?;
            return Ok(false);
        }
        attempts.attempts.push(self.attempt(cell.resumable().is_some()));
        cell.write(&attempts)?;
        let launch = Launch {
            program: &self.options.program,
            threads: self.options.threads,
            visible: seat.visible.as_deref(),
        };
        let lock: Option<File> = lease.lock();
        let (child, resumed) = child::start(&cell, &launch, lock)?;
        lease.with_child(child.id())?;
        self.rows[at].state = State::Running(Instant::now(), Progress::default());
        let renewed = Instant::now();
        self.running.push(Running { row: at, child, lease, seat, renewed, checkpoint });
        self.tell(at, &Change::Started(resumed)).map_err(io::Error::other)?;
        Ok(true)
    }

    fn attempt(&self, resumed: bool) -> Attempt {
        let started = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        Attempt {
            started: started.map_or(0, |it| it.as_secs()),
            host: self.options.terms.host.clone(),
            resumed,
            outcome: None,
            exit_code: None,
            progressed: false,
            message: None,
            forgiven: false,
        }
    }

    /// Looks after the processes: their end, and their leases.
    fn reap(&mut self) -> Result<(), Error> {
        let every = self.options.terms.expiry / RENEWALS;
        let mut at = 0;
        while at < self.running.len() {
            let running = &mut self.running[at];
            let row = running.row;
            let ended = running.child.try_wait();
            let ended = ended.map_err(|error| self.broken(row, &error))?;
            if let Some(status) = ended {
                let running = self.running.swap_remove(at);
                self.ended(running, status)?;
                continue;
            }
            let running = &mut self.running[at];
            if running.renewed.elapsed() >= every {
                running.renewed = Instant::now();
                // A lease that cannot be written now is tried again before it expires.
                if matches!(running.lease.renew(), Ok(false)) {
                    let mut running = self.running.swap_remove(at);
                    let _ = running.child.kill();
                    let _ = running.child.wait();
                    self.options.capacity.leave(&running.seat);
                    self.rows[row].state = State::Elsewhere(String::new());
                    self.tell(row, &Change::Lost)?;
                    continue;
                }
            }
            at += 1;
        }
        Ok(())
    }

    /// A process has ended: records how, and gives lease and seat back.
    fn ended(&mut self, running: Running, status: ExitStatus) -> Result<(), Error> {
        let Running { row, lease, seat, checkpoint, .. } = running;
        self.options.capacity.leave(&seat);
        let cell = self.cell(row);
        let progressed = cell.checkpoint_time() > checkpoint;
        let done = cell.finished().is_some();
        let (outcome, message) = match status.code() {
            _ if done => (Outcome::Done, None),
            Some(130) => (Outcome::Interrupted, None),
            None if asked(status) => (Outcome::Interrupted, None),
            None => (Outcome::Killed, Some(how(status))),
            Some(0) => (Outcome::Failed, Some("ended without a result".to_owned())),
            Some(_) => (Outcome::Failed, Some(cell.last_words())),
        };
        let mut attempts: Attempts = cell.attempts();
        attempts.close(outcome, status.code(), progressed, message.clone());
        let written = cell.write(&attempts).and_then(|()| lease.release());
        written.map_err(|error| self.broken(row, &error))?;
        self.rows[row].state = State::Waiting;
        self.settle(row);
        let message = message.unwrap_or_default();
        let change = match (&self.rows[row].state, outcome) {
            (State::Done(_), _) => Change::Done,
            (State::Failed(reason), _) => Change::Failed(reason.clone()),
            (_, Outcome::Interrupted) if self.signals > 0 => Change::Stopped,
            (_, Outcome::Interrupted) => Change::Again("its process was asked to stop".into()),
            _ => Change::Again(message),
        };
        self.tell(row, &change)
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

/// Whether a checkpoint was written after a second.
fn since(checkpoint: Option<SystemTime>, seconds: u64) -> bool {
    let start = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
    checkpoint.is_some_and(|time| time >= start)
}

/// The signal that ended a process.
#[cfg(unix)]
fn signal(status: ExitStatus) -> Option<i32> {
    std::os::unix::process::ExitStatusExt::signal(&status)
}

#[cfg(not(unix))]
fn signal(_: ExitStatus) -> Option<i32> {
    None
}

/// Whether a process was ended by a request to stop, before it listened to such requests.
fn asked(status: ExitStatus) -> bool {
    use signal_hook::consts::{SIGINT, SIGTERM};
    // SIGHUP has no name on every system.
    const SIGHUP: i32 = 1;
    signal(status).is_some_and(|it| [SIGHUP, SIGINT, SIGTERM].contains(&it))
}

/// How a process was ended from outside.
fn how(status: ExitStatus) -> String {
    signal(status).map_or("killed".into(), |signal| format!("killed by signal {signal}"))
}
