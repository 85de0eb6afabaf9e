//! `fsct run`: train and test a pipeline.

use std::path::{Path, PathBuf};

use clap::Args;

use super::{Output, print_faults};
use crate::Error;
use crate::config::{Loaded, Overrides, Pipeline, load, load_str};
use crate::data::{self, DataError};
use crate::device;
use crate::plan;
use crate::report::{Console, Fan, Jsonl};
use crate::run::checkpoint::Checkpoint;
use crate::run::folder::RunFolder;
use crate::run::{Interrupt, RunError, whole};

/// Train and test a pipeline.
#[derive(Debug, Args)]
pub struct Run {
    /// Pipeline file. May be left out with --resume RUN.
    #[arg(required_unless_present = "resume")]
    pub pipeline: Option<PathBuf>,
    /// Go on with a run from its last checkpoint: the newest run of the pipeline, or the folder
    /// given.
    #[arg(long, value_name = "RUN", num_args = 0..=1)]
    pub resume: Option<Option<PathBuf>>,
    /// Set a value, say `train.epochs=3`; may be repeated.
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// Folder that run folders are made in.
    #[arg(long, value_name = "FOLDER", default_value = "runs")]
    pub runs: PathBuf,
}

impl Run {
    /// Runs it.
    pub fn run(self, output: Output) -> Result<(), Error> {
        let overrides = Overrides::from_process(self.set.clone());
        let (loaded, resumed) = match (&self.pipeline, &self.resume) {
            (None, Some(Some(folder))) => {
                let folder = RunFolder::open(folder);
                let checkpoint = Checkpoint::read(&folder.last())?;
                (stored_pipeline(&checkpoint, &overrides)?, Some((folder, checkpoint)))
            }
            (Some(path), Some(resume)) => {
                let loaded = load(path, &overrides)?;
                let folder = match resume {
                    Some(folder) => RunFolder::open(folder),
                    None => RunFolder::newest(&self.runs, &loaded.pipeline.name)?,
                };
                let checkpoint = Checkpoint::read(&folder.last())?;
                same_training(&loaded.absolute(), &checkpoint, &folder.last())?;
                (loaded, Some((folder, checkpoint)))
            }
            (Some(path), None) => (load(path, &overrides)?, None),
            (None, _) => {
                return Err(RunError::Missing {
                    reason: "neither a pipeline nor a run to resume is given".into(),
                    help: "write `fsct run PIPELINE.yaml` or `fsct run --resume RUN`".into(),
                }
                .into());
            }
        };
        print_faults(&loaded.warnings);
        execute(&loaded, resumed, &self.runs, output).map_err(|error| located(error, &loaded))
    }
}

/// The pipeline that a checkpoint was written with.
pub(super) fn stored_pipeline(
    checkpoint: &Checkpoint,
    overrides: &Overrides,
) -> Result<Loaded, Error> {
    Ok(load_str("pipeline.yaml", &checkpoint.pipeline, overrides)?)
}

/// A fault of the pipeline that only the data could tell, with its place in the file.
pub(super) fn located(error: RunError, loaded: &Loaded) -> Error {
    match error {
        RunError::Data(DataError::Pipeline { key, message, help }) => {
            loaded.fault(key, message, help).into()
        }
        error => error.into(),
    }
}

/// A run can only go on with the pipeline it started with; longer training is the exception.
fn same_training(pipeline: &Pipeline, checkpoint: &Checkpoint, path: &Path) -> Result<(), Error> {
    let comparable = |yaml: &str| {
        let mut value: serde_yaml::Value = serde_yaml::from_str(yaml).ok()?;
        for (section, key) in [
            ("train", Some("epochs")),
            ("train", Some("checkpoint_every")),
            ("test", None),
            ("device", None),
        ] {
            let section_value = value.get_mut(section)?;
            match key {
                Some(key) => drop(section_value.as_mapping_mut()?.remove(key)),
                None => *section_value = serde_yaml::Value::Null,
            }
        }
        Some(value)
    };
    if comparable(&pipeline.to_yaml()) == comparable(&checkpoint.pipeline) {
        return Ok(());
    }
    Err(RunError::Checkpoint {
        path: path.to_owned(),
        reason: "the pipeline is not the one that it was trained with".into(),
        help: "start a new run without --resume, or go on with the old pipeline by leaving the \
               pipeline file out: `fsct run --resume RUN`"
            .into(),
    }
    .into())
}

fn execute(
    loaded: &Loaded,
    resumed: Option<(RunFolder, Checkpoint)>,
    runs: &Path,
    output: Output,
) -> Result<(), RunError> {
    // Absolute paths, so that the run folder's copy means the same from anywhere.
    let pipeline = &loaded.absolute();
    let plan = plan::compile(pipeline);
    let device = device::select(pipeline.device)?;
    let data = open_data(pipeline)?;
    let interrupt =
        Interrupt::on_signals().map_err(RunError::file("listen for signals in", "this process"))?;

    let (folder, checkpoint) = match resumed {
        Some((folder, checkpoint)) => (folder, Some(checkpoint)),
        None => (whole::prepare(&data, pipeline, runs)?, None),
    };
    let log = match &checkpoint {
        None => Jsonl::create(&folder.events()),
        Some(it) => Jsonl::resume(&folder.events(), it.progress.step, it.progress.epoch),
    };
    let log = log.map_err(RunError::file("open", folder.events()))?;
    let mut reporter = Fan(vec![Box::new(log), Box::new(Console::new(output.verbosity()))]);
    whole::run(&plan, &data, &device, &folder, &interrupt, checkpoint, &mut reporter)?;
    Ok(())
}

/// The data of a pipeline whose paths are absolute.
pub(super) fn open_data(pipeline: &Pipeline) -> Result<data::Dataset, RunError> {
    Ok(data::open(pipeline, Path::new("."))?)
}
