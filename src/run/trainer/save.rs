//! What is kept of a run, and how it ends early.

use std::path::Path;

use burn::module::{Module, ModuleVisitor, Param};
use burn::prelude::*;

use super::{Progress, RunError, Trainer};
use crate::config::TrainingPhase;
use crate::model::FewShotNet;
use crate::model::layers::{scalars, total};
use crate::panics;
use crate::run::checkpoint;
use crate::run::divergence::{Cause, Divergence};
use crate::run::events::{Event, Reporter};

impl Trainer<'_> {
    /// Writes the checkpoint to resume from, unless the steps before it were unusable: then the
    /// one before them is kept, from which they happen again.
    pub(super) fn save_last(&mut self, reporter: &mut dyn Reporter) -> Result<(), RunError> {
        if self.progress.watch.in_a_row > 0 && !self.is_over() {
            return Ok(());
        }
        self.save(&self.folder.last(), reporter)
    }

    /// Writes a checkpoint, if every weight in it is finite.
    pub(super) fn save(
        &mut self,
        path: &Path,
        reporter: &mut dyn Reporter,
    ) -> Result<(), RunError> {
        if !is_finite(&self.net()) {
            return Err(self.diverged("weights were", f64::NAN));
        }
        self.progress.seconds = self.seconds_before + self.started.elapsed().as_secs_f64();
        let pipeline = self.plan.whole().to_yaml();
        checkpoint::write(path, &pipeline, &self.progress, self.trained(), &self.optimizer)?;
        let Progress { phase, step, seconds, .. } = self.progress;
        let path = path.to_owned();
        reporter.report(&Event::Checkpoint { phase, step, path, seconds: Some(seconds) })
    }

    /// Keeps the state before the step that ran out.
    pub(super) fn out_of_memory(
        &mut self,
        reason: String,
        reporter: &mut dyn Reporter,
    ) -> RunError {
        self.cap.lift();
        let path = self.folder.last();
        // A GPU that ran out usually still answers. Where it does not, the last checkpoint is what is left.
        let saved = panics::outcome(|| self.save(&path, reporter), |_| Some(()));
        let kept = matches!(saved, Ok(Ok(())));
        let (step, folder) = (self.progress.step + 1, self.folder.path().to_owned());
        RunError::OutOfMemory { reason, step, kept, folder }
    }

    /// Writes a checkpoint and says where the run stands.
    pub(super) fn interrupted(&mut self, reporter: &mut dyn Reporter) -> RunError {
        if let Err(error) = self.save_last(reporter) {
            return error;
        }
        RunError::Interrupted {
            signal: self.interrupt.signal(),
            at: match self.phase() {
                TrainingPhase::Episodes => format!("after step {}", self.progress.step),
                TrainingPhase::Pretraining => {
                    format!("after step {} of pretraining", self.progress.step)
                }
            },
            folder: self.folder.path().to_owned(),
        }
    }

    pub(super) fn diverged(&self, what: &'static str, loss: f64) -> RunError {
        let watch = &self.progress.watch;
        let folder = self.folder.path();
        RunError::Diverged(Box::new(Divergence {
            step: self.progress.step,
            what,
            in_a_row: watch.in_a_row,
            last_finite: watch.last_finite,
            cause: Cause::of(&self.plan.pipeline, watch, loss),
            optimizer: self.optimizer_key(),
            checkpoint: self.folder.last().exists().then(|| folder.to_owned()),
        }))
    }
}

impl Trainer<'_> {
    /// The key of the optimizer that is used.
    fn optimizer_key(&self) -> &'static str {
        let pretrain = self.plan.whole().train.pretrain.as_ref();
        let has_own = pretrain.is_some_and(|it| it.optimizer.is_some());
        match self.phase() {
            TrainingPhase::Pretraining if has_own => "train.pretrain.optimizer",
            _ => "optimizer",
        }
    }
}

/// Whether every weight and every running statistic is finite.
fn is_finite(net: &FewShotNet) -> bool {
    struct Products(Vec<Tensor<1>>);
    impl ModuleVisitor for Products {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            // Zero times a finite number is zero; times any other it is NaN.
            self.0.push(total(param.val().detach() * 0.0));
        }
    }
    let mut products = Products(Vec::new());
    net.visit(&mut products);
    scalars(products.0).iter().all(|it| *it == 0.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Overrides, load_str};
    use crate::model::layers::to_host;

    #[test]
    fn one_weight_that_is_not_finite_is_found() {
        let text = "data: {format: synthetic, image_size: 28}\nbackbone: {kind: conv4s}\n\
                    method: {kind: protonet}\n";
        let pipeline = load_str("test", text, &Overrides::default()).unwrap().pipeline;
        let spec = crate::plan::network(&pipeline);
        let mut net = FewShotNet::new(&spec, 0, &Device::flex());
        assert!(is_finite(&net));
        for norm in net.backbone.norms_mut().into_iter().take(1) {
            let mean = norm.running_mean.val();
            let mut values = to_host(mean.clone());
            values[3] = f32::INFINITY;
            let dims = [values.len()];
            let damaged = Tensor::from_data(TensorData::new(values, dims), &mean.device());
            norm.running_mean = Param::from_tensor(damaged);
        }
        assert!(!is_finite(&net));
    }
}
