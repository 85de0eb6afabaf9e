//! What a user sees of a running sweep: one table that is redrawn on a terminal, else a line a change.

use std::time::{Duration, Instant};

use crate::Error;
use crate::cli::print::{err, outln};
use crate::report::terminal::is_capable;
use crate::report::{Verbosity, duration};
use crate::run::events::Metrics;
use crate::sweep::engine::{Change, Row, State, Watcher};
use crate::sweep::manifest::label;
use crate::sweep::progress::Progress;

/// Rows and columns of a terminal that does not say how large it is.
const SIZE: (usize, usize) = (24, 80);

/// Shows the cells of a sweep while it runs.
pub struct Board {
    verbosity: Verbosity,
    /// Whether the table is redrawn in place.
    live: bool,
    /// Lines on the terminal that the next table replaces.
    drawn: usize,
    began: Instant,
    jobs: usize,
}

impl Board {
    /// A board for this process's standard error.
    pub fn new(verbosity: Verbosity, jobs: usize) -> Self {
        let live = verbosity != Verbosity::Quiet && is_capable(&std::io::stderr());
        Self { verbosity, live, drawn: 0, began: Instant::now(), jobs }
    }

    /// Leaves the last table on the terminal.
    pub fn finish(&mut self) {
        self.drawn = 0;
    }

    fn table(&self, rows: &[Row], size: (usize, usize)) -> String {
        let (height, width) = size;
        let mut text = cut(&self.summary(rows), width);
        // What runs comes first, then what failed, what waits, and what is done.
        let rank = |row: &Row| match row.state {
            State::Running(..) => 0,
            State::Elsewhere(_) => 1,
            State::Failed(_) => 2,
            State::Waiting => 3,
            State::Done(_) => 4,
        };
        let room = height.saturating_sub(3).max(1);
        let mut shown: Vec<&Row> = rows.iter().collect();
        shown.sort_by_key(|row| rank(row));
        let hidden = shown.len().saturating_sub(room);
        shown.truncate(room);
        shown.sort_by_key(|row| row.entry.index);
        let names: Vec<String> = shown.iter().map(|row| label(&row.entry.values)).collect();
        let longest =
            names.iter().map(|name| name.chars().count()).max().unwrap_or(0).min(width / 2);
        for (row, name) in shown.iter().zip(&names) {
            let name = cut(name, longest);
            let line = format!("{:>5}  {name:<longest$}  {}", row.entry.index, said(&row.state));
            text += "\n";
            text += &cut(&line, width);
        }
        if hidden > 0 {
            text += &format!("\n       and {hidden} more");
        }
        text + "\n"
    }

    /// `7 of 12 done, 2 running, 1 failed, about 3 min left`
    fn summary(&self, rows: &[Row]) -> String {
        let count = |of: fn(&State) -> bool| rows.iter().filter(|row| of(&row.state)).count();
        let done = count(|it| matches!(it, State::Done(_)));
        let mut parts = vec![format!("{done} of {} done", rows.len())];
        let running = count(|it| matches!(it, State::Running(..)));
        let elsewhere = count(|it| matches!(it, State::Elsewhere(_)));
        let failed = count(|it| matches!(it, State::Failed(_)));
        for (number, word) in [(running, "running"), (elsewhere, "elsewhere"), (failed, "failed")] {
            if number > 0 {
                parts.push(format!("{number} {word}"));
            }
        }
        parts.extend(self.left(rows).map(|left| format!("about {} left", duration(left))));
        parts.join(", ")
    }

    /// Seconds until every cell is done: operations that are left, at the speed of those that are done.
    fn left(&self, rows: &[Row]) -> Option<f64> {
        let (mut seconds, mut done, mut open) = (0.0, 0.0, 0.0);
        for row in rows {
            match &row.state {
                State::Done(metrics) => {
                    seconds += metrics.cost.seconds;
                    done += row.entry.operations;
                }
                State::Failed(_) => {}
                _ => open += row.entry.operations,
            }
        }
        (done > 0.0 && open > 0.0).then(|| seconds / done * open / self.jobs as f64)
    }

    /// Replaces the table on the terminal.
    fn draw(&mut self, text: &str) {
        let up = if self.drawn > 0 { format!("\x1b[{}A", self.drawn) } else { String::new() };
        self.drawn = text.lines().count();
        err!("{up}\r\x1b[J{text}");
    }
}

impl Watcher for Board {
    fn changed(&mut self, row: &Row, change: &Change) -> Result<(), Error> {
        let is_failure = matches!(change, Change::Failed(_) | Change::Lost);
        if self.live || (self.verbosity == Verbosity::Quiet && !is_failure) {
            return Ok(());
        }
        let after = duration(self.began.elapsed().as_secs_f64());
        let name = label(&row.entry.values);
        outln!("{after:>8}  cell {} ({name}): {}", row.entry.index, told(row, change))
    }

    fn look(&mut self, rows: &[Row]) {
        if self.live {
            let text = self.table(rows, size());
            self.draw(&text);
        }
    }
}

fn told(row: &Row, change: &Change) -> String {
    match change {
        Change::Started(false) => "started".into(),
        Change::Started(true) => "resumed".into(),
        Change::Again(reason) => format!("{reason}; it will be tried again"),
        Change::Stopped => "stopped with a checkpoint".into(),
        Change::Done => said(&row.state),
        Change::Failed(reason) => format!("failed: {reason}"),
        Change::Lost => "another host has taken it over; its process here was ended".into(),
    }
}

/// The state of a cell in a few words.
fn said(state: &State) -> String {
    let percent = |value: f64| format!("{:.2} %", 100.0 * value);
    match state {
        State::Waiting => "waiting".into(),
        State::Elsewhere(host) => format!("running on {host}"),
        State::Failed(reason) => format!("failed: {reason}"),
        State::Running(since, Progress { epoch, step, validation }) => {
            let time = duration(Duration::as_secs_f64(&since.elapsed()));
            let accuracy = validation.map(|it| format!(", validation {}", percent(it)));
            let progress =
                if *epoch > 0 { format!(", epoch {epoch}, step {step}") } else { String::new() };
            format!("running for {time}{progress}{}", accuracy.unwrap_or_default())
        }
        State::Done(metrics) => {
            let Metrics { result, cost } = &**metrics;
            let accuracy = result.novel.map_or("not tested".into(), |novel| percent(novel.mean));
            format!("done: {accuracy} in {}", duration(cost.seconds))
        }
    }
}

/// The first characters of a line.
fn cut(line: &str, width: usize) -> String {
    match line.chars().count() > width {
        true => line.chars().take(width.saturating_sub(1)).chain(['…']).collect(),
        false => line.to_owned(),
    }
}

/// Rows and columns of the terminal on standard error.
#[cfg(unix)]
fn size() -> (usize, usize) {
    // SAFETY: the call writes plain numbers into a value that is valid as zeros.
    #[expect(unsafe_code, reason = "the size of a terminal has only a C interface")]
    let size = unsafe {
        let mut size: libc::winsize = std::mem::zeroed();
        (libc::ioctl(libc::STDERR_FILENO, libc::TIOCGWINSZ, &mut size) == 0).then_some(size)
    };
    size.map(|size| (usize::from(size.ws_row), usize::from(size.ws_col)))
        .filter(|(rows, columns)| *rows > 0 && *columns > 0)
        .unwrap_or(SIZE)
}

#[cfg(not(unix))]
fn size() -> (usize, usize) {
    SIZE
}
