//! `fsct run`: train and test a pipeline.

use std::path::{Path, PathBuf};

use clap::Args;

use super::{Output, print_diagnostics};
use crate::Error;
use crate::config::{Loaded, OnOom, Overrides, Pipeline, load, load_str};
use crate::data::{self, DataError};
use crate::device::{self, Selected, is_cpu};
use crate::plan::fit::stronger;
use crate::plan::footprint::Environment;
use crate::plan::{self, Footprint};
use crate::report::{Broadcast, Console, Jsonl};
use crate::run::checkpoint::Checkpoint;
use crate::run::events::{Event, Reporter};
use crate::run::folder::{RunFolder, write_atomically};
use crate::run::{Interrupt, RunError, guarded, whole};

/// Train and test a pipeline.
#[derive(Debug, Args)]
pub struct Run {
    /// Pipeline file; optional with --resume RUN.
    #[arg(required_unless_present = "resume")]
    pub pipeline: Option<PathBuf>,
    /// Continue a run from its last checkpoint: the newest run of the pipeline, or the folder
    /// given.
    #[arg(long, value_name = "RUN", num_args = 0..=1)]
    pub resume: Option<Option<PathBuf>>,
    /// Set a value, say `train.epochs=3`; may be repeated.
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// Folder that run folders are created in.
    #[arg(long, value_name = "FOLDER", default_value = "runs")]
    pub runs: PathBuf,
}

impl Run {
    /// Trains and tests the pipeline.
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
        print_diagnostics(&loaded.warnings);
        execute(&loaded, resumed, &self.runs, output)
    }
}

/// The pipeline that a checkpoint was written with.
pub(super) fn stored_pipeline(
    checkpoint: &Checkpoint,
    overrides: &Overrides,
) -> Result<Loaded, Error> {
    Ok(load_str("pipeline.yaml", &checkpoint.pipeline, overrides)?)
}

/// A diagnostic of the pipeline that only the data could tell, with its place in the file.
pub(super) fn located(error: RunError, loaded: &Loaded) -> Error {
    match error {
        RunError::Data(DataError::Pipeline { key, message, help }) => {
            loaded.diagnostic(key, message, help).into()
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
) -> Result<(), Error> {
    // Absolute paths, so that the run folder's copy means the same from anywhere.
    let pipeline = &loaded.absolute();
    let device =
        device::select(pipeline.device, pipeline.memory.allocator).map_err(RunError::from)?;
    let data = open_data(pipeline).map_err(|error| located(error, loaded))?;
    let interrupt =
        Interrupt::on_signals().map_err(RunError::file("listen for signals in", "this process"))?;

    let environment = Environment::with_data(device.kind(), pipeline, &data);
    let plan = plan::compile(pipeline);
    if let Some(budget) = pipeline.memory.budget {
        let footprint = Footprint::of(&plan, environment);
        if footprint.taken() > budget.0 {
            return Err(super::plan::over(pipeline, &footprint, budget, environment));
        }
    }
    let (folder, checkpoint) = match resumed {
        Some((folder, checkpoint)) => (folder, Some(checkpoint)),
        None => (whole::prepare(&data, pipeline, runs).map_err(|it| located(it, loaded))?, None),
    };
    let log = match &checkpoint {
        None => Jsonl::create(&folder.events()),
        Some(it) => Jsonl::resume(&folder.events(), it.progress.step, it.progress.epoch),
    };
    let log = log.map_err(RunError::file("open", folder.events()))?;
    let mut reporter = Broadcast(vec![Box::new(log), Box::new(Console::new(output.verbosity()))]);
    if let Some(message) = &device.note {
        reporter.report(&Event::Note { message: message.clone() });
    }
    let job = Job { data: &data, device: &device, folder: &folder, interrupt: &interrupt };
    job.train(plan, checkpoint, environment, &mut reporter).map_err(|it| located(it, loaded))
}

/// What stays the same when memory settings are escalated.
struct Job<'a> {
    data: &'a data::Dataset,
    device: &'a Selected,
    folder: &'a RunFolder,
    interrupt: &'a Interrupt,
}

impl Job<'_> {
    /// Trains and tests; with `memory.on_oom: escalate`, again with the next stronger setting each
    /// time memory runs out.
    fn train(
        &self,
        mut plan: plan::Plan,
        mut checkpoint: Option<Checkpoint>,
        environment: Environment,
        reporter: &mut dyn Reporter,
    ) -> Result<(), RunError> {
        loop {
            let Self { data, device, folder, interrupt } = *self;
            let outcome = guarded(folder, || {
                whole::run(&plan, data, device, folder, interrupt, checkpoint, reporter)
            });
            let (error, step) = match outcome {
                Ok(_) => return Ok(()),
                Err(RunError::OutOfMemory { reason, step, kept, folder })
                    if plan.pipeline.memory.on_oom == OnOom::Escalate =>
                {
                    (RunError::OutOfMemory { reason, step, kept, folder }, step)
                }
                Err(error) => return Err(error),
            };
            let Some(next) = stronger(&plan.pipeline, environment) else { return Err(error) };
            if !folder.last().exists() {
                // The network alone does not fit, and no setting makes it smaller.
                return Err(error);
            }
            reporter.report(&Event::Escalated {
                step,
                memory: next.memory.clone(),
                predicted_peak_bytes: next.peak_bytes,
            });
            let pipeline = Pipeline { memory: next.memory, ..plan.pipeline };
            write_atomically(&folder.pipeline(), pipeline.to_yaml().as_bytes())?;
            if !is_cpu(&device.device) {
                // The CUDA context may be unusable after an out-of-memory error; a new process has a new one.
                return Err(restarted(folder, &pipeline, error));
            }
            checkpoint = Some(Checkpoint::read(&folder.last())?);
            plan = plan::compile(&pipeline);
        }
    }
}

/// Goes on with a run in a new process, in the place of this one. Comes back only with an error.
fn restarted(folder: &RunFolder, pipeline: &Pipeline, error: RunError) -> RunError {
    let Ok(program) = std::env::current_exe() else { return error };
    let mut command = std::process::Command::new(program);
    command.arg("run").arg("--resume").arg(folder.path());
    for setting in memory_settings(pipeline) {
        command.arg("--set").arg(setting);
    }
    #[cfg(unix)]
    {
        use std::os::unix::process::CommandExt;
        // Only comes back when it fails.
        let _ = command.exec();
        error
    }
    #[cfg(not(unix))]
    match command.status() {
        Ok(status) => std::process::exit(status.code().unwrap_or(2)),
        Err(_) => error,
    }
}

/// The `--set`s that give another pipeline this one's memory settings.
fn memory_settings(pipeline: &Pipeline) -> Vec<String> {
    let memory = serde_json::to_value(&pipeline.memory).unwrap_or_default();
    let keys = memory.as_object().into_iter().flatten();
    keys.map(|(key, value)| match value.as_str() {
        Some(text) => format!("memory.{key}={text}"),
        None => format!("memory.{key}={value}"),
    })
    .collect()
}

/// The data of a pipeline whose paths are absolute.
pub(super) fn open_data(pipeline: &Pipeline) -> Result<data::Dataset, RunError> {
    Ok(data::open(pipeline, Path::new("."))?)
}
