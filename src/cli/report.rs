//! `fsct report`: a run, or several, on one page.

use std::path::PathBuf;

use clap::Args;
use rayon::prelude::*;

use super::Output;
use super::model::{Model, Ready, episodes};
use crate::Error;
use crate::cli::print::{errln, outln};
use crate::data::Split;
use crate::plan;
use crate::plan::footprint::Environment;
use crate::report::{Overview, Record, write_page, write_page_of_several};
use crate::run::evaluate::{Features, images_of};
use crate::run::evidence::{self, Evidence, memory_course};
use crate::run::folder::RunFolder;
use crate::run::{Interrupt, RunError};

/// Write a page about a run, or one that compares several
///
/// One file of HTML that needs nothing else: curves, confusions, images of mistakes, features, memory
/// and the pipeline; of several runs their results side by side with a paired test. What a run
/// did not keep is computed from its checkpoint where its data are at hand.
#[derive(Debug, Args)]
pub struct Report {
    /// Folders of one or more runs
    #[arg(required = true, num_args = 1.., value_name = "RUN")]
    pub runs: Vec<PathBuf>,
    /// The file to write [default: report.html in the folder of the run; of several runs, in this
    /// folder]
    #[arg(short, long, value_name = "OUT.html")]
    pub output: Option<PathBuf>,
    /// Set a value of every pipeline, say `data.root=…` if the data have moved; may be repeated
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
}

impl Report {
    /// Reads the runs and writes the page.
    pub fn run(self, output: Output) -> Result<(), Error> {
        let folders: Vec<RunFolder> = self.runs.iter().map(|run| RunFolder::around(run)).collect();
        let path = match (&self.output, folders.as_slice()) {
            (Some(path), _) => path.clone(),
            (None, [folder]) => folder.report(),
            (None, _) => PathBuf::from("report.html"),
        };
        if path.is_dir() {
            return Err(Error::failed_with_help(
                format!("{} is a folder", path.display()),
                "name a file after -o, such as `-o report.html`",
            ));
        }
        let interrupt = Interrupt::on_signals()
            .map_err(RunError::file("listen for signals in", "this process"))?;
        let quiet = output.quiet;
        if let [folder] = folders.as_slice() {
            let record = self.complete(Record::read(folder)?, folder, quiet, &interrupt)?;
            write_page(&record, &path)?;
        } else {
            // A run that has no answers is tested; no two at once.
            let read = folders.par_iter().map(|folder| Record::read(folder).map(Keep::of));
            let mut runs = Vec::new();
            for (folder, kept) in folders.iter().zip(read.collect::<Vec<_>>()) {
                runs.push(match kept? {
                    Keep::Whole(record) => {
                        Overview::of(self.complete(*record, folder, quiet, &interrupt)?)
                    }
                    Keep::Part(overview) => *overview,
                });
            }
            write_page_of_several(&runs, &path)?;
        }
        outln!("{}", path.display())
    }

    /// Computes what a run did not keep.
    fn complete(
        &self,
        mut record: Record,
        folder: &RunFolder,
        quiet: bool,
        interrupt: &Interrupt,
    ) -> Result<Record, Error> {
        let has_test = record.evidence.as_ref().is_some_and(|it| it.test.is_some());
        let wants_test = record.pipeline.as_ref().is_none_or(|it| it.test.episodes > 0);
        if has_test || !wants_test {
            return Ok(record);
        }
        if !folder.best().is_file() && !folder.last().is_file() {
            record
                .gaps
                .push("there is no checkpoint: the test and the features are missing".into());
        } else {
            if !quiet {
                errln!("note: testing {}, which has no report.json", folder.path().display());
            }
            match self.evidence(folder, interrupt) {
                Ok(evidence) => record.evidence = Some(evidence),
                Err(Error::Interrupted(failure)) => return Err(Error::Interrupted(failure)),
                Err(error) => {
                    let reason = error.to_string();
                    record.gaps.push(format!("the test and the features are missing: {reason}"));
                }
            }
        }
        Ok(record)
    }

    /// Tests the checkpoint of a run.
    fn evidence(&self, folder: &RunFolder, interrupt: &Interrupt) -> Result<Evidence, Error> {
        let model = Model::open(folder.path(), &self.set)?;
        let Ready { net, data, device, pipeline } = &model.ready(interrupt)?;
        let environment = Environment::with_data(device.kind(), pipeline, data);
        let set = data.split(Split::Novel);
        let asked = episodes(None, Split::Novel, set, pipeline)?;
        let images = images_of(&asked);
        let features = Features::new(net, pipeline, set, &device.device, images, interrupt)?;
        let temperature = model.checkpoint.progress.temperature;
        let tested = evidence::test(&features, &asked, temperature, &mut |_, _| Ok(()))?;
        let name = model.path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let tested = tested.evidence(set, &features, name, pipeline.test_episode())?;
        Ok(Evidence::new(memory_course(&plan::compile(pipeline), environment), Some(tested)))
    }
}

/// A run whose files are read.
enum Keep {
    /// One that may have to be tested.
    Whole(Box<Record>),
    /// One that is complete: its steps are not kept.
    Part(Box<Overview>),
}

impl Keep {
    fn of(record: Record) -> Self {
        match record.evidence.as_ref().is_some_and(|it| it.test.is_some()) {
            true => Self::Part(Box::new(Overview::of(record))),
            false => Self::Whole(Box::new(record)),
        }
    }
}
