//! `fsct run`: train and test a pipeline.

mod job;
mod origin;

use std::path::{Path, PathBuf};

use clap::Args;

use super::{Output, print_diagnostics};
use crate::Error;
use crate::config::{Diagnostics, Loaded, OptimizerState, Overrides, Pipeline, Rule, load_str};
use crate::data::{self, DataError};
use crate::device::{self, DeviceKind, Selected};
use crate::plan::footprint::Environment;
use crate::plan::{self, Footprint};
use crate::report::{Broadcast, Console, Jsonl, Page, Stream, tensorboard};
use crate::run::changes::Change;
use crate::run::checkpoint::Checkpoint;
use crate::run::events::{Event, Reporter};
use crate::run::folder::{RunFolder, write_atomically};
use crate::run::trainer::{Place, Start};
use crate::run::{Interrupt, RunError, RunLock, experiment};

use origin::Origin;

/// What a run prints on standard output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Format {
    /// Lines for a person
    #[default]
    Text,
    /// Events, one line of JSON each, as in events.jsonl
    Json,
}

/// Train and test a pipeline.
#[derive(Debug, Args)]
pub struct Run {
    /// Pipeline file. May be left out with --resume RUN and --from RUN.
    #[arg(required_unless_present_any = ["resume", "from"])]
    pub pipeline: Option<PathBuf>,
    /// Resume a run from its last checkpoint: the newest run of the pipeline, or the folder or
    /// `last.ckpt` given.
    #[arg(long, value_name = "RUN", num_args = 0..=1)]
    pub resume: Option<Option<PathBuf>>,
    /// Start a new run from the weights and the state of another: a run's folder (its last
    /// checkpoint) or a checkpoint file. Keys may differ, and the changes are recorded.
    #[arg(long, value_name = "RUN_OR_CHECKPOINT", conflicts_with = "resume")]
    pub from: Option<PathBuf>,
    /// Set a value, say `train.epochs=3`; may be repeated.
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// Folder that run folders are made in.
    #[arg(long, value_name = "FOLDER", default_value = "runs")]
    pub runs: PathBuf,
    /// What to print on standard output.
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
    /// The run continues after an escalation, with other memory settings than its checkpoint has.
    #[arg(long, hide = true, requires = "resume")]
    pub escalated: bool,
}

impl Run {
    /// Resolves the pipeline or the run to resume, and executes it.
    pub fn run(self, output: Output) -> Result<(), Error> {
        let (loaded, origin) = origin::resolve(&self)?;
        print_diagnostics(&loaded.warnings);
        execute(&loaded, origin, &self, output)
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
            loaded.diagnostic(&key, message, help).into()
        }
        error => error.into(),
    }
}

fn execute(loaded: &Loaded, origin: Origin, run: &Run, output: Output) -> Result<(), Error> {
    // Absolute paths, so that the run folder's copy means the same from anywhere.
    let pipeline = &loaded.absolute();
    let device = select_device(loaded)?;
    let data = open_data(pipeline).map_err(|error| located(error, loaded))?;
    let interrupt =
        Interrupt::on_signals().map_err(RunError::file("listen for signals in", "this process"))?;

    let environment = Environment::with_data(device.kind(), pipeline, &data);
    let plan = plan::compile(pipeline);
    RunError::unless_available(&plan, &device)?;
    if let Some(budget) = pipeline.memory.budget {
        let footprint = Footprint::of(&plan, environment);
        if footprint.taken() > budget.0 {
            return Err(super::plan::over(pipeline, &footprint, budget, environment));
        }
    }
    let prepared =
        Prepared::of(origin, &data, pipeline, &run.runs).map_err(|it| located(it, loaded))?;
    let Prepared { folder, _lock, start, changes } = prepared;
    let log = match &start {
        Start::Resume(it) => Jsonl::resume(&folder.events(), &it.progress),
        _ => Jsonl::create(&folder.events()),
    };
    let log = log.map_err(RunError::file("open", folder.events()))?;
    let mut reporter = Broadcast(vec![Box::new(log)]);
    if pipeline.report.tensorboard {
        reporter.0.push(Box::new(tensorboard::Live::start(&folder)?));
    }
    if pipeline.report.html {
        // Before the console, which names the page.
        reporter.0.push(Box::new(Page));
    }
    reporter.0.push(match run.format {
        Format::Text => Box::new(Console::new(output.verbosity())),
        Format::Json => Box::new(Stream::default()),
    });
    if let Some(message) = &device.note {
        reporter.report(&Event::Note { message: message.clone() })?;
    }
    if let (Start::Resume(checkpoint), false) = (&start, changes.is_empty()) {
        let step = checkpoint.progress.step;
        reporter.report(&Event::Changed { step, changes })?;
    }
    let place = Place { data: &data, device: &device, folder: &folder, interrupt: &interrupt };
    job::train(place, plan, start, environment, run.format, &mut reporter)
        .map_err(|it| located(it, loaded))
}

/// The device of a pipeline that trains.
///
/// # Errors
/// It is not there, or `device: auto` took a GPU and `optimizer.state` is a CPU's.
pub(super) fn select_device(loaded: &Loaded) -> Result<Selected, Error> {
    let pipeline = &loaded.pipeline;
    let device =
        device::select(pipeline.device, pipeline.memory.allocator).map_err(RunError::from)?;
    let own = pipeline.train.pretrain.as_ref().and_then(|it| it.optimizer.as_ref());
    let states =
        [("optimizer.state", Some(&pipeline.optimizer)), ("train.pretrain.optimizer.state", own)];
    let packed = states
        .into_iter()
        .find(|(_, it)| it.is_some_and(|optimizer| optimizer.state != OptimizerState::F32));
    let Some((key, _)) = packed.filter(|_| device.kind() != DeviceKind::Cpu) else {
        return Ok(device);
    };
    let message = format!("`{key}` is not f32, and the run would take {}", device.name);
    let refused = loaded.diagnostic_of(Rule::StateOnGpu, key, message);
    let refused = refused.help(format!("write `{key}: f32`, or `device: cpu`"));
    Err(Diagnostics::from(refused).into())
}

/// A run folder, locked, and what its run starts from.
struct Prepared {
    folder: RunFolder,
    _lock: RunLock,
    start: Start,
    /// Keys that a resumed run has changed.
    changes: Vec<Change>,
}

impl Prepared {
    fn of(
        origin: Origin,
        data: &data::Dataset,
        pipeline: &Pipeline,
        runs: &Path,
    ) -> Result<Self, RunError> {
        match origin {
            Origin::New => {
                let folder = experiment::prepare(data, pipeline, runs, None)?;
                let lock = folder.lock()?;
                Ok(Self { folder, _lock: lock, start: Start::New, changes: Vec::new() })
            }
            Origin::Resumed { folder, lock, checkpoint, changes } => {
                if !changes.is_empty() {
                    write_atomically(&folder.pipeline(), pipeline.to_yaml().as_bytes())?;
                }
                let start = Start::Resume(checkpoint);
                Ok(Self { folder, _lock: lock, start, changes })
            }
            Origin::Forked { checkpoint, changes } => {
                let fork = Some((&checkpoint, changes.as_slice()));
                let folder = experiment::prepare(data, pipeline, runs, fork)?;
                let lock = folder.lock()?;
                let start = Start::Fork(checkpoint, changes);
                Ok(Self { folder, _lock: lock, start, changes: Vec::new() })
            }
        }
    }
}

/// The data of a pipeline whose paths are absolute.
pub(super) fn open_data(pipeline: &Pipeline) -> Result<data::Dataset, RunError> {
    Ok(data::open(pipeline, Path::new("."))?)
}
