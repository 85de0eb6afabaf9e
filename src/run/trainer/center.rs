//! The mean feature that SimpleShot subtracts, in training.
//!
//! The mean moves with the weights, so training steps subtract none: they compare plainly L2-normalised features. At
//! the end of an epoch it is computed for validation, the checkpoint and the test, and the next epoch takes it away
//! again. A checkpoint within an epoch therefore has none, and no checkpoint has one of other weights.

use super::{RunError, Trainer, WHOLE};
use crate::network::size;
use crate::run::events::Reporter;
use crate::run::feature_mean::center;

impl Trainer<'_> {
    /// Computes the mean for the weights as they are.
    pub(super) fn center(&mut self, reporter: &mut dyn Reporter) -> Result<(), RunError> {
        if !self.plan.network.head.is_centered() {
            return Ok(());
        }
        let mut net = self.net();
        let pipeline = &self.plan.pipeline;
        match center(&mut net, pipeline, self.data, &self.device, self.interrupt) {
            Ok(()) => {}
            Err(RunError::Stopped { .. }) => return Err(self.interrupted(reporter)),
            Err(error) => return Err(error),
        }
        if let Some(mean) = net.head.mean() {
            self.net.as_mut().expect(WHOLE).head.set_mean(&mean);
        }
        Ok(())
    }

    /// Takes the mean away for the steps of an epoch.
    pub(super) fn uncenter(&mut self) {
        if self.plan.network.head.is_centered() {
            let dim = size(self.plan.network.backbone.features());
            self.net.as_mut().expect(WHOLE).head.set_mean(&vec![0.0; dim]);
        }
    }
}
