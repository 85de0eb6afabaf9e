//! `fsct sweep`: many runs of one pipeline, and the table that they end in.

mod board;
mod check;
mod collect;
mod plan;
mod run;
mod schedule;

use clap::{Args, Subcommand};

use super::Output;
use crate::Error;

pub(super) use check::resolve;

/// Run a grid of pipelines or a search and turn the results into a table
#[derive(Debug, Args)]
#[command(arg_required_else_help = true)]
pub struct Sweep {
    #[command(subcommand)]
    command: Command,
}

/// What to do with a sweep, in the order in which a user does it.
#[derive(Debug, Subcommand)]
enum Command {
    /// Check every cell, predict its memory, and write the sweep's folder
    Plan(plan::Plan),
    /// Run the cells that are not done
    Run(run::Run),
    /// Turn the results into a table
    Collect(collect::Collect),
    /// Write a script that submits the cells to Slurm
    Slurm(schedule::Slurm),
    /// Write the manifest of a Kubernetes Job that runs the cells
    Kubernetes(schedule::Kubernetes),
}

impl Sweep {
    /// Runs the chosen command of sweeps.
    pub fn run(self, output: Output) -> Result<(), Error> {
        match self.command {
            Command::Plan(command) => command.run(output),
            Command::Run(command) => command.run(output),
            Command::Collect(command) => command.run(),
            Command::Slurm(command) => command.run(),
            Command::Kubernetes(command) => command.run(),
        }
    }
}
