//! How a cell's process is started: its lease, its attempt, the process.

use std::fs::File;
use std::io;
use std::time::{Duration, Instant, SystemTime};

use super::{Change, Engine, Running, State};
use crate::sweep::capacity::Seat;
use crate::sweep::cell_folder::{Attempt, Outcome};
use crate::sweep::child::{self, Launch};
use crate::sweep::lease::Claim;
use crate::sweep::progress::Progress;

impl Engine<'_> {
    /// Starts a cell, unless another process has it or has finished it.
    pub(super) fn begin(&mut self, at: usize, seat: Seat) -> io::Result<bool> {
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
}

/// Whether a checkpoint was written after a second.
fn since(checkpoint: Option<SystemTime>, seconds: u64) -> bool {
    let start = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
    checkpoint.is_some_and(|time| time >= start)
}
