use std::path::PathBuf;

use crate::data::DataError;
use crate::device::{DeviceError, Selected};
use crate::plan::Plan;
use crate::stage::StepError;
use crate::weights::WeightsError;

use super::changes::Change;
use super::divergence::Divergence;

/// Why a run ended without its result.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub enum RunError {
    /// Ctrl-C, SIGTERM or SIGHUP; a checkpoint was written.
    #[error("interrupted by {signal} {at}")]
    #[diagnostic(
        code(fsct::run::interrupted),
        help("resume it with `fsct run --resume {}`", folder.display())
    )]
    Interrupted {
        /// Name of the signal.
        signal: &'static str,
        /// Where the run stood.
        at: String,
        /// The run's folder.
        folder: PathBuf,
    },
    /// A signal asked to stop while episodes were answered; whoever owns the run knows what to keep.
    #[error("interrupted by {signal} after {episodes} episodes")]
    #[diagnostic(code(fsct::run::interrupted))]
    Stopped {
        /// Name of the signal.
        signal: &'static str,
        /// Episodes answered.
        episodes: usize,
    },
    /// Another process works in the run's folder.
    #[error("{} is in use by {holder}", folder.display())]
    #[diagnostic(
        code(fsct::run::in_use),
        help("wait for it or stop it; a new run (without --resume) has a folder of its own")
    )]
    InUse {
        /// The run's folder.
        folder: PathBuf,
        /// The process that holds it.
        holder: String,
    },
    /// The pipeline changes a key that a resumed run must keep.
    #[error("{problem}\n{}", list(changes))]
    #[diagnostic(code(fsct::run::pipeline_differs), help("{help}"))]
    PipelineDiffers {
        /// What cannot be done with the changes.
        problem: String,
        /// The keys, with both values.
        changes: Vec<Change>,
        /// What to do.
        help: String,
    },
    /// The device cannot carry out a memory stage.
    #[error("`memory.{stage}: {setting}` is not available on `{device}`")]
    #[diagnostic(
        code(fsct::run::not_on_this_device),
        help(
            "remove it, and write `amp: f16` or `recompute: block`, which save activations on a GPU; or \
             write `device: cpu`"
        )
    )]
    NotOnDevice {
        /// Key of the stage, below `memory`.
        stage: &'static str,
        /// What the pipeline says.
        setting: String,
        /// Name of the device.
        device: String,
    },
    /// The data cannot be used.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Data(#[from] DataError),
    /// The weights to start from cannot be used.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Weights(#[from] WeightsError),
    /// The device is not available.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Device(#[from] DeviceError),
    /// A step ran out of memory.
    #[error("step {step} ran out of memory: {reason}")]
    #[diagnostic(
        code(fsct::run::out_of_memory),
        help(
            "{}; lower the memory with `fsct fit`, or write `memory.on_oom: escalate`",
            if *kept {
                format!("the state before it is kept: `fsct run --resume {}`", folder.display())
            } else {
                format!("the last checkpoint is in {}", folder.display())
            }
        )
    )]
    OutOfMemory {
        /// What was asked of the memory.
        reason: String,
        /// The optimizer step, from 1.
        step: usize,
        /// Whether the state before it was written.
        kept: bool,
        /// The run's folder.
        folder: PathBuf,
    },
    /// The GPU failed; this process can no longer use it.
    #[error("the GPU failed: {reason}")]
    #[diagnostic(
        code(fsct::run::device_lost),
        help(
            "check `nvidia-smi` and the system's log (`dmesg`) for errors of the GPU; {}",
            if *resumable {
                format!("`fsct run --resume {}` continues from the last checkpoint", folder.display())
            } else {
                "no step was taken yet, so start the run again".to_owned()
            }
        )
    )]
    DeviceLost {
        /// What the driver said.
        reason: String,
        /// Whether there is a checkpoint.
        resumable: bool,
        /// The run's folder.
        folder: PathBuf,
    },
    /// A training step or a forward pass failed.
    #[error(transparent)]
    #[diagnostic(code(fsct::run::step))]
    Step(#[from] StepError),
    /// A file of the run cannot be read or written.
    #[error("cannot {doing} {}: {error}", path.display())]
    #[diagnostic(code(fsct::run::file), help("{}", file_help(doing, error)))]
    File {
        /// What was tried.
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// Why not.
        error: std::io::Error,
    },
    /// A checkpoint is not one, or of another pipeline.
    #[error("{} is not a checkpoint that fits: {reason}", path.display())]
    #[diagnostic(code(fsct::run::checkpoint), help("{help}"))]
    Checkpoint {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
        /// What to do.
        help: String,
    },
    /// A file of embedded examples is damaged, or of another model.
    #[error("{} is not a support file that fits: {reason}", path.display())]
    #[diagnostic(code(fsct::run::support), help("{help}"))]
    Support {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
        /// What to do.
        help: String,
    },
    /// There is nothing to resume or to test.
    #[error("{reason}")]
    #[diagnostic(code(fsct::run::missing), help("{help}"))]
    Missing {
        /// What was looked for.
        reason: String,
        /// What to do.
        help: String,
    },
    /// Training cannot continue: loss or gradients are not finite, and a smaller loss scale does not help.
    #[error("{0}")]
    #[diagnostic(code(fsct::run::diverged), help("{}", .0.help()))]
    Diverged(Box<Divergence>),
    /// Standard output cannot be written.
    #[error("cannot write to standard output: {0}")]
    #[diagnostic(code(fsct::run::stdout))]
    Stdout(std::io::Error),
    /// An environment variable has no meaning.
    #[error("{variable}={value} is not understood: {expected}")]
    #[diagnostic(code(fsct::run::environment), help("correct it or unset {variable}"))]
    Environment {
        /// Name of the variable.
        variable: &'static str,
        /// Its value.
        value: String,
        /// What it must look like.
        expected: &'static str,
    },
}

/// What to do about a file that cannot be read or written.
fn file_help(doing: &str, error: &std::io::Error) -> &'static str {
    use std::io::ErrorKind::{NotFound, PermissionDenied, ReadOnlyFilesystem, StorageFull};
    match (doing, error.kind()) {
        ("create the run folder", PermissionDenied | ReadOnlyFilesystem) => {
            "name a folder that you may write to: `--runs FOLDER`"
        }
        (_, StorageFull) => "free some space; what was written before is complete",
        (_, PermissionDenied) => "check who owns it and its permissions",
        (_, ReadOnlyFilesystem) => "name a path on a file system that can be written",
        (_, NotFound) => "check the path",
        _ => "check the path and the device that it is on",
    }
}

/// A line a change.
fn list(changes: &[Change]) -> String {
    changes.iter().map(|change| format!("  {change}")).collect::<Vec<_>>().join("\n")
}

impl RunError {
    /// Refuses a plan with a stage that the device cannot carry out.
    pub(crate) fn unless_available(plan: &Plan, device: &Selected) -> Result<(), Self> {
        plan.stage_not_on(device.kind()).map_or(Ok(()), |it| {
            let device = device.name.clone();
            Err(Self::NotOnDevice { stage: it.stage, setting: it.setting, device })
        })
    }

    /// Names what was being done to a file when it failed.
    pub(crate) fn file(
        doing: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |error| Self::File { doing, path, error }
    }
}

impl From<RunError> for crate::Error {
    fn from(error: RunError) -> Self {
        let mut failure = crate::Failure::new(error.to_string());
        if let Some(help) = miette::Diagnostic::help(&error) {
            failure = failure.help(help.to_string());
        }
        match error {
            RunError::Interrupted { .. } | RunError::Stopped { .. } => Self::Interrupted(failure),
            RunError::Stdout(error) => Self::Stdout(error),
            RunError::OutOfMemory { .. } | RunError::Device(DeviceError::Full { .. }) => {
                Self::DoesNotFit(failure)
            }
            _ => Self::Failed(failure),
        }
    }
}
