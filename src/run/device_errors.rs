//! Errors of the device outside a training step: while a network is made, uploaded, moved along its gradients,
//! tested or saved.

use super::RunError;
use super::checkpoint::Checkpoint;
use super::folder::RunFolder;
use crate::panics;
use crate::stage::StepError;

/// Runs `work`; the device's panics in it are errors of the run in `folder`.
pub fn guarded<T>(
    folder: &RunFolder,
    work: impl FnOnce() -> Result<T, RunError>,
) -> Result<T, RunError> {
    panics::outcome(work, StepError::of_device)
        .unwrap_or_else(|error| Err(RunError::of_device(error, folder)))
}

impl RunError {
    /// An error of the device, after which the last checkpoint is what is left.
    pub(super) fn of_device(error: StepError, folder: &RunFolder) -> Self {
        let checkpoint = Checkpoint::read(&folder.last()).ok();
        let step = checkpoint.as_ref().map_or(0, |it| it.progress.step) + 1;
        let (kept, folder) = (false, folder.path().to_owned());
        match error {
            StepError::OutOfMemory(reason) => Self::OutOfMemory { reason, step, kept, folder },
            StepError::DeviceLost(reason) => {
                Self::DeviceLost { reason, resumable: checkpoint.is_some(), folder }
            }
            error => error.into(),
        }
    }
}
