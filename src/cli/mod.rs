//! The `fsct` command line: one file a subcommand.

mod bench;
mod compare;
mod completions;
mod data;
mod doctor;
mod eval;
mod explain;
mod export;
mod findings;
mod fit;
mod import;
mod init;
mod listing;
mod man;
mod migrate;
mod model;
mod plan;
mod predict;
pub(crate) mod print;
mod reference;
mod render;
mod render_diagnostics;
mod report;
mod run;
mod schema;
mod survey;
mod sweep;
mod tensorboard;
mod threads;
mod thumbnail;
mod validate;
mod watch;

use clap::{Args, Parser, Subcommand};
use std::path::PathBuf;

pub use render_diagnostics::{plain, print_diagnostics, print_error};

use crate::{
    Error,
    config::{Loaded, Overrides, load},
    report::Verbosity,
};

/// Declarative few-shot training that fits the GPU you have.
#[derive(Debug, Parser)]
#[command(version, about, propagate_version = true, arg_required_else_help = true)]
pub struct Cli {
    /// The command to run.
    #[command(subcommand)]
    pub command: Command,
    /// How much output to print.
    #[command(flatten)]
    pub output: Output,
}

/// How much a command says; the same for all of them.
#[derive(Debug, Clone, Copy, Args)]
pub struct Output {
    /// Print only warnings and the result
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub quiet: bool,
    /// Print one line per step
    #[arg(short, long, global = true)]
    pub verbose: bool,
}

impl Output {
    fn verbosity(self) -> Verbosity {
        match self {
            Self { quiet: true, .. } => Verbosity::Quiet,
            Self { verbose: true, .. } => Verbosity::Verbose,
            _ => Verbosity::Normal,
        }
    }
}

/// Subcommands, in the order in which a user meets them.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Train and test a pipeline
    Run(run::Run),
    /// Follow a run while it trains: curves, memory, time left
    Watch(watch::Watch),
    /// Test a trained model again
    Eval(eval::Eval),
    /// Classify your own images with a trained model
    Predict(predict::Predict),
    /// Compare trained models on the same episodes
    Compare(compare::Compare),
    /// Run a grid of pipelines and turn the results into a table
    Sweep(sweep::Sweep),
    /// Write a page about a run, or one that compares several
    Report(report::Report),
    /// Inspect a data set, pack it, split it
    Data(data::Data),
    /// Write a trained model's weights for other programs
    Export(export::Export),
    /// Write the curves and settings of runs for TensorBoard
    Tensorboard(tensorboard::TensorBoard),
    /// Convert a model of the reference code to a checkpoint
    Import(import::Import),
    /// Check pipeline files and sweep files without running them
    Validate(validate::Validate),
    /// Print what a pipeline will do and the memory it will take
    Plan(plan::Plan),
    /// Find the cheapest memory settings that fit a budget
    Fit(fit::Fit),
    /// Measure a pipeline's step with each memory stage off and on
    Bench(bench::Bench),
    /// Check this machine's devices, memory and precisions
    Doctor(doctor::Doctor),
    /// Print the resolved pipeline with where each value came from
    Render(render::Render),
    /// Explain a key of a pipeline, or the code of a diagnostic
    Explain(explain::Explain),
    /// Write a commented starter pipeline for a data folder
    Init(init::Init),
    /// Convert a `train_test.py` command line to a pipeline
    Migrate(migrate::Migrate),
    /// Print the JSON schema of pipeline files, or of sweep files
    Schema(schema::Schema),
    /// Print the completion script of a shell
    Completions(completions::Completions),
    /// Write the manual pages
    Man(man::Man),
}

/// A pipeline file and what is laid over it; the same for every command that takes a pipeline.
#[derive(Debug, Clone, Args)]
pub struct PipelineArgs {
    /// Path of the pipeline file
    pub pipeline: PathBuf,
    /// Set a value of the pipeline: `--set memory.amp=f16`; may be repeated
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
}

impl PipelineArgs {
    /// Loads it with this process's environment; warnings go to standard error.
    pub fn load(&self) -> Result<Loaded, Error> {
        let loaded = load(&self.pipeline, &Overrides::from_process(self.set.clone()))?;
        print_diagnostics(&loaded.warnings);
        Ok(loaded)
    }
}

impl Cli {
    /// Runs the command that was given.
    pub fn run(self) -> Result<(), Error> {
        threads::start();
        match self.command {
            Command::Run(command) => command.run(self.output),
            Command::Watch(command) => command.run(),
            Command::Eval(command) => command.run(self.output),
            Command::Predict(command) => command.run(self.output),
            Command::Compare(command) => command.run(self.output),
            Command::Sweep(command) => command.run(self.output),
            Command::Report(command) => command.run(self.output),
            Command::Data(command) => command.run(self.output),
            Command::Export(command) => command.run(self.output),
            Command::Tensorboard(command) => command.run(self.output),
            Command::Import(command) => command.run(self.output),
            Command::Validate(command) => command.run(self.output),
            Command::Plan(command) => command.run(),
            Command::Fit(command) => command.run(),
            Command::Bench(command) => command.run(),
            Command::Doctor(command) => command.run(self.output),
            Command::Render(command) => command.run(),
            Command::Explain(command) => command.run(),
            Command::Init(command) => command.run(self.output),
            Command::Migrate(command) => command.run(),
            Command::Schema(command) => command.run(),
            Command::Completions(command) => command.run(),
            Command::Man(command) => command.run(),
        }
    }
}
