//! `fsct fit`

use std::path::PathBuf;

use super::PipelineArgs;
use super::plan::{changes, environment};
use crate::cli::print::{out, outln};
use crate::config::ByteSize;
use crate::plan::fit::{Setting, fit};
use crate::{Error, Failure};

/// Find the cheapest memory settings that fit a budget
#[derive(Debug, clap::Args)]
pub struct Fit {
    #[command(flatten)]
    pipeline: PipelineArgs,
    /// Memory limit, such as 8GiB; by default the pipeline's `memory.budget`
    #[arg(long)]
    budget: Option<ByteSize>,
    /// Write the whole pipeline with these settings into a file
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Check the text alone, without reading the data
    #[arg(long)]
    offline: bool,
}

impl Fit {
    /// Prints the settings, or writes the pipeline.
    pub fn run(self) -> Result<(), Error> {
        let loaded = self.pipeline.load()?;
        let mut pipeline = loaded.absolute();
        let budget = self.budget.or(pipeline.memory.budget).ok_or_else(|| {
            Error::failed_with_help(
                "no budget is given",
                "pass `--budget 8GiB` or set `memory.budget` in the pipeline",
            )
        })?;
        let size = crate::report::bytes;
        let Setting { memory, peak_bytes, slowdown } = fit(
            &pipeline,
            budget,
            environment(&pipeline, self.offline),
        )
        .map_err(|smallest| {
            let message = format!(
                "nothing fits {budget}: the smallest setting takes {}",
                size(smallest.peak_bytes)
            );
            let help = format!(
                "it is\n\n{}\nbelow that, use fewer queries, smaller images or another backbone",
                changes(&pipeline, &smallest)
            );
            Error::DoesNotFit(Failure::new(message).help(help))
        })?;
        let told = changes(&pipeline, &Setting { memory: memory.clone(), peak_bytes, slowdown });
        let cost =
            format!("{} of {budget}, {slowdown:.2}× the time of a plain step", size(peak_bytes));
        pipeline.memory = memory;
        pipeline.memory.budget = Some(budget);
        match self.output {
            Some(path) => {
                let text = format!("# fits {budget}: {cost}\n{}", pipeline.to_yaml());
                crate::run::folder::write_atomically(&path, text.as_bytes())?;
                outln!("wrote {}: {cost}", path.display())?;
            }
            None if told == "memory:\n" => outln!("# it fits as it is: {cost}")?,
            None => out!("# {cost}\n{told}")?,
        }
        Ok(())
    }
}
