use std::path::PathBuf;

use crate::data::DataError;
use crate::device::DeviceError;
use crate::stage::StepError;
use crate::weights::WeightsError;

/// Why a run ended without its result.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub enum RunError {
    /// Ctrl-C or SIGTERM; a checkpoint was written.
    #[error("interrupted after step {step}")]
    #[diagnostic(
        code(fsct::run::interrupted),
        help("go on with `fsct run --resume {}`", folder.display())
    )]
    Interrupted {
        /// Optimizer steps taken.
        step: usize,
        /// The run's folder.
        folder: PathBuf,
    },
    /// The data cannot be used.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Data(#[from] DataError),
    /// The weights to start from cannot be used.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Weights(#[from] WeightsError),
    /// The device cannot be had.
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
    /// The GPU failed, and this process cannot use it any more.
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
    /// A step failed.
    #[error(transparent)]
    #[diagnostic(code(fsct::run::step))]
    Step(#[from] StepError),
    /// A file of the run cannot be read or written.
    #[error("cannot {doing} {}: {error}", path.display())]
    #[diagnostic(code(fsct::run::file))]
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
    /// There is nothing to resume or to test.
    #[error("{reason}")]
    #[diagnostic(code(fsct::run::missing), help("{help}"))]
    Missing {
        /// What was looked for.
        reason: String,
        /// What to do.
        help: String,
    },
    /// Training cannot go on: the loss is not finite, and loss scaling is not the cure.
    #[error("the gradients were not finite for {steps} steps in a row, last at step {step}")]
    #[diagnostic(
        code(fsct::run::diverged),
        help("lower `optimizer.learning_rate`, or set `memory.amp: off` if it is on")
    )]
    Diverged {
        /// Skipped steps in a row.
        steps: usize,
        /// The last of them.
        step: usize,
    },
}

impl RunError {
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
            RunError::Interrupted { .. } => Self::Interrupted(failure),
            RunError::OutOfMemory { .. } | RunError::Device(DeviceError::Full { .. }) => {
                Self::DoesNotFit(failure)
            }
            _ => Self::Failed(failure),
        }
    }
}
