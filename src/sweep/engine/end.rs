//! What follows when a cell's process ends, or when its lease is lost.

use std::process::ExitStatus;
use std::time::Instant;

use super::{Change, Engine, Running, State};
use crate::Error;
use crate::sweep::cell_folder::{Attempts, Outcome};

/// Renewals of a lease before it would expire.
const RENEWALS: u32 = 6;

impl Engine<'_> {
    /// Looks after the processes: their end, and their leases.
    pub(super) fn reap(&mut self) -> Result<(), Error> {
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
        self.rows[row].shares &= outcome != Outcome::Failed;
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
