//! `fsct fit`

mod frontier;

use std::path::PathBuf;

use super::PipelineArgs;
use super::plan::{changes, environment};
use crate::cli::print::{errln, out, outln};
use crate::config::{self, ByteSize};
use crate::plan::fit::{Setting, fit, fit_sampling};
use crate::{Error, Failure};

/// Find the cheapest memory settings that fit a budget
#[derive(Debug, clap::Args)]
pub struct Fit {
    #[command(flatten)]
    pipeline: PipelineArgs,
    /// Memory limit, such as 8GiB; by default the pipeline's `memory.budget`
    #[arg(long)]
    budget: Option<ByteSize>,
    /// Backpropagate a sample of the images (`memory.backprop`) before a step gets slower than the
    /// plain one: the largest sample that fits; this changes the gradient
    #[arg(long)]
    sample: bool,
    /// List the cheapest setting for every budget, from the largest to the smallest
    #[arg(long, conflicts_with_all = ["budget", "sample", "output"])]
    frontier: bool,
    #[command(flatten)]
    listing: frontier::Listing,
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
        if self.frontier {
            return self.listing.run(&loaded, &pipeline, self.offline);
        }
        let budget = self.budget.or(pipeline.memory.budget).ok_or_else(|| {
            Error::failed_with_help(
                "no budget is given",
                "pass `--budget 8GiB` or set `memory.budget` in the pipeline",
            )
        })?;
        let size = crate::report::bytes;
        let fitting = if self.sample { fit_sampling } else { fit };
        let setting = fitting(
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
        let told = changes(&pipeline, &setting);
        let Setting { peak_bytes, slowdown, .. } = setting;
        let cost =
            format!("{} of {budget}, {slowdown:.2}× the time of a plain step", size(peak_bytes));
        pipeline = setting.applied(&pipeline);
        pipeline.memory.budget = Some(budget);
        match self.output {
            Some(path) => {
                let edited = config::edit(&loaded, &pipeline, &path);
                if edited.is_none() {
                    errln!("note: the file is written anew, without the pipeline's comments");
                }
                let text = edited.unwrap_or_else(|| pipeline.to_yaml());
                let text = headed(&text, &format!("{FITS}{budget}: {cost}"));
                crate::run::folder::write_atomically(&path, text.as_bytes())?;
                outln!("wrote {}: {cost}", path.display())?;
            }
            None if told.is_empty() => outln!("# it fits without changes: {cost}")?,
            None => out!("# {cost}\n{told}")?,
        }
        Ok(())
    }
}

/// What the comment about the fit starts with.
const FITS: &str = "# fits ";

/// The text with a comment at its top, below the line that names the schema; it replaces that of
/// an earlier fit.
fn headed(text: &str, comment: &str) -> String {
    let lines = || text.lines().filter(|line| !line.starts_with(FITS));
    let is_schema = |line: &&str| line.starts_with("# yaml-language-server:");
    let head = lines().take_while(is_schema);
    let rest = lines().skip_while(is_schema);
    head.chain([comment]).chain(rest).map(|line| format!("{line}\n")).collect()
}

#[cfg(test)]
mod tests {
    use super::headed;

    #[test]
    fn the_comment_stands_below_the_schema_and_is_replaced() {
        let text = "# yaml-language-server: $schema=x\n# fits 1GiB: old\n# why\na: 1\n";
        let expected = "# yaml-language-server: $schema=x\n# fits 2GiB: new\n# why\na: 1\n";
        assert_eq!(headed(text, "# fits 2GiB: new"), expected);
        assert_eq!(headed("a: 1", "# fits 2GiB"), "# fits 2GiB\na: 1\n");
    }
}
