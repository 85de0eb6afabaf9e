//! `fsct tensorboard`: runs for TensorBoard.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::Args;

use super::Output;
use crate::Error;
use crate::cli::print::outln;
use crate::report::{Verbosity, tensorboard};
use crate::run::folder::RunFolder;

/// Write the curves and settings of runs for TensorBoard
///
/// Each run gets a folder of its own, by the name of the run folder, which replaces what an earlier call wrote. A run that
/// still trains is written up to its last event.
#[derive(Debug, Args)]
pub struct TensorBoard {
    /// Run folders to write the curves of
    #[arg(required = true, value_name = "RUN")]
    pub runs: Vec<PathBuf>,
    /// Folder for the event files, TensorBoard's `--logdir`
    #[arg(short, long, value_name = "DIR")]
    pub output: PathBuf,
}

impl TensorBoard {
    /// Writes an event file for each run.
    pub fn run(self, output: Output) -> Result<(), Error> {
        let mut named = BTreeMap::new();
        for run in &self.runs {
            let name = name(run)?;
            if let Some(other) = named.insert(name.clone(), run) {
                return Err(Error::failed_with_help(
                    format!("{} and {} have the same name, {name}", other.display(), run.display()),
                    "convert them into two folders, one call each",
                ));
            }
        }
        for (name, run) in &named {
            tensorboard::convert(&RunFolder::open(run.as_path()), &self.output.join(name))?;
        }
        if output.verbosity() > Verbosity::Quiet {
            let folder = self.output.display();
            let runs = if named.len() == 1 { "run" } else { "runs" };
            outln!("{} {runs}: look at them with `tensorboard --logdir {folder}`", named.len())?;
        }
        Ok(())
    }
}

/// The last part of a run folder's path, of `.` too.
fn name(run: &Path) -> Result<String, Error> {
    let path = run.canonicalize().ok();
    let name = path.as_deref().unwrap_or(run).file_name();
    name.map(|name| name.to_string_lossy().into_owned()).ok_or_else(|| {
        Error::failed_with_help(
            format!("{} has no name", run.display()),
            "name a run's folder (`runs/NAME-TIME`)",
        )
    })
}
