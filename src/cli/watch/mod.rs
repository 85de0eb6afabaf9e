//! `fsct watch`: a run as it stands, on the terminal.

mod screen;

use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use clap::Args;
use ratatui_crossterm::crossterm::terminal::size;

use crate::Error;
use crate::cli::print::out;
use crate::report::live::{View, Watched, as_text};
use crate::report::terminal;
use crate::run::folder::RunFolder;

/// Columns and rows where there is no terminal to ask.
const SIZE: (u16, u16) = (100, 30);

/// Follow a run while it trains: curves, memory, time left
///
/// Reads the run's `events.jsonl` as it grows, in this or any other process, and draws the loss, accuracy in training
/// and validation, memory against prediction and budget, speed, learning rate, the time left, notes and warnings. `q`,
/// Esc or Ctrl-C ends it; the run goes on. Where standard output is no terminal, it prints one view as plain text.
#[derive(Debug, Args)]
pub struct Watch {
    /// Folder of the run, or a checkpoint in it [default: the run under --runs that wrote last]
    pub run: Option<PathBuf>,
    /// Folder that the newest run is looked for in
    #[arg(long, value_name = "FOLDER", default_value = "runs", conflicts_with = "run")]
    pub runs: PathBuf,
    /// Print one view as plain text and end
    #[arg(long)]
    pub once: bool,
    /// Columns of the text [default: those of the terminal, else 100]
    #[arg(long, value_name = "COLUMNS", value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub width: Option<u16>,
    /// Rows of the text [default: those of the terminal, else 30]
    #[arg(long, value_name = "ROWS", value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub height: Option<u16>,
}

impl Watch {
    /// Draws the run until a key ends it, or once.
    pub fn run(self) -> Result<(), Error> {
        let folder = match &self.run {
            Some(path) => named(path)?,
            None => newest(&self.runs)?,
        };
        let mut run = Watched::open(folder)?;
        // A size is that of a text: the view has the terminal's.
        let is_sized = self.width.is_some() || self.height.is_some();
        if !self.once && !is_sized && terminal::is_capable(&io::stdout()) {
            return screen::show(&mut run);
        }
        let (columns, rows) = room();
        let view = View { run: &run, now: SystemTime::now(), colours: false, hint: None };
        out!("{}", as_text(view, self.width.unwrap_or(columns), self.height.unwrap_or(rows)))
    }
}

/// The run that a path means.
fn named(path: &Path) -> Result<RunFolder, Error> {
    if !path.exists() {
        return Err(Error::failed_with_help(
            format!("{} does not exist", path.display()),
            "name a run's folder (`runs/NAME-TIME`); `fsct watch` alone takes the newest under `runs`",
        ));
    }
    let folder = RunFolder::around(path);
    match (folder.expect_run(), RunFolder::latest(path)) {
        (Err(_), Some(run)) => Err(Error::failed_with_help(
            format!("{} is not the folder of a run, but has runs in it", path.display()),
            format!(
                "`fsct watch --runs {}` takes the newest one; it is {}",
                path.display(),
                run.path().display()
            ),
        )),
        _ => Ok(folder),
    }
}

/// The run under `runs` that wrote last.
fn newest(runs: &Path) -> Result<RunFolder, Error> {
    RunFolder::latest(runs).ok_or_else(|| {
        let there = if runs.is_dir() { "has no run" } else { "does not exist" };
        let here = std::env::current_dir().unwrap_or_default();
        Error::failed_with_help(
            format!("there is no run to watch: {} {there}", here.join(runs).display()),
            "start one with `fsct run PIPELINE.yaml`, name its folder (`fsct watch RUN`), or the folder that \
             it is in (`--runs FOLDER`)",
        )
    })
}

/// Columns and rows of the terminal that the command was called in.
fn room() -> (u16, u16) {
    let has_terminal =
        io::stdout().is_terminal() || io::stderr().is_terminal() || io::stdin().is_terminal();
    let size = if has_terminal { size().ok() } else { None };
    size.filter(|(columns, rows)| *columns > 0 && *rows > 0).unwrap_or(SIZE)
}
