//! The mean feature of the training images, which `method.transform: centered_l2` subtracts.

use std::path::Path;

use burn::prelude::*;

use super::evaluate::Features;
use super::{Interrupt, RunError};
use crate::config::Pipeline;
use crate::data::{Dataset, Split};
use crate::model::FewShotNet;

/// Gives a network off the tape the mean feature of the training images, where its head subtracts one.
///
/// Each image is embedded once, in the order of the split. On batch statistics its feature depends on the images that
/// are embedded with it, which are always the same.
///
/// # Errors
/// When there are no training images, one cannot be read, or `interrupt` asks to stop.
pub fn center(
    net: &mut FewShotNet,
    pipeline: &Pipeline,
    data: &Dataset,
    device: &Device,
    interrupt: &Interrupt,
) -> Result<(), RunError> {
    let set = data.split(Split::Base);
    if set.is_empty() {
        return Err(RunError::Missing {
            reason: "`method.transform: centered_l2` subtracts the mean feature of the training \
                     images, and the data set has no training split"
                .into(),
            help: "write `method.transform: l2`, or name training images in `train.data`".into(),
        });
    }
    // For no images of episodes: the features of the split are not kept.
    let mean = Features::new(net, pipeline, set, device, 0, interrupt)?.mean()?;
    net.head.set_mean(&mean);
    Ok(())
}

/// The error of a checkpoint that lacks the mean, where the training images are not at hand.
pub fn missing(checkpoint: &Path) -> RunError {
    RunError::Missing {
        reason: format!(
            "{} has no mean feature of the training images, which `method.transform: centered_l2` \
             subtracts: it is computed at the end of each epoch, and the checkpoint is of before the \
             first or of within one",
            checkpoint.display()
        ),
        help: "finish the epoch with `fsct run --resume RUN`, or name the best checkpoint".into(),
    }
}
