//! How training starts: from initial weights, from a checkpoint of the same run, or as a fork of
//! another one.

use std::time::Instant;

use burn::module::Module;

use super::{Interrupt, MemoryCap, Progress, RunError, RunFolder, Trainer};
use crate::config::{Pipeline, TrainingPhase};
use crate::data::Dataset;
use crate::device::{MemoryMeter, Selected};
use crate::graph::{self, Built};
use crate::model::{Backbone, FewShotNet};
use crate::plan::Plan;
use crate::run::changes::{Change, is_under};
use crate::run::checkpoint::Checkpoint;
use crate::run::events::{Event, Reporter};

/// What training starts from.
#[derive(Debug)]
pub enum Start {
    /// Initial weights, or those of `backbone.weights`.
    New,
    /// A checkpoint of the same run.
    Resume(Checkpoint),
    /// A checkpoint of another run, and the keys that this run's pipeline changes.
    Fork(Checkpoint, Vec<Change>),
    /// The pretraining of the same run.
    Pretrained(Box<PretrainedNet>),
}

impl Start {
    /// The part of the training that comes first, of a plan with or without pretraining.
    pub fn phase(&self, has_pretraining: bool) -> TrainingPhase {
        match self {
            Self::New if has_pretraining => TrainingPhase::Pretraining,
            Self::New | Self::Pretrained(_) => TrainingPhase::Episodes,
            Self::Resume(checkpoint) | Self::Fork(checkpoint, _) => checkpoint.progress.phase,
        }
    }
}

/// What the episodes start from.
#[derive(Debug)]
pub struct PretrainedNet {
    /// The backbone, off the tape.
    pub(super) backbone: Backbone,
    /// The position before the first episode, with what pretraining took.
    pub(super) progress: Progress,
}

/// Where a run happens.
#[derive(Clone, Copy)]
pub struct Place<'a> {
    /// The images of all splits.
    pub data: &'a Dataset,
    /// The device that it runs on.
    pub device: &'a Selected,
    /// Folder of the run.
    pub folder: &'a RunFolder,
    /// Set when the user or the system asks to stop.
    pub interrupt: &'a Interrupt,
}

impl<'a> Trainer<'a> {
    /// A trainer before its first step. Of a checkpoint only the network and its optimizer stay in
    /// memory.
    pub fn new(
        plan: &'a Plan,
        place: Place<'a>,
        start: &Start,
        reporter: &mut dyn Reporter,
    ) -> Result<Self, RunError> {
        let Place { data, device, folder, interrupt } = place;
        let pipeline = &plan.pipeline;
        RunError::unless_available(plan, device)?;
        let device = device.device.clone();
        let cap = MemoryCap::of(&device, pipeline.memory.budget)?;
        let Built { step, episodes_a_step, warnings } = graph::build(plan, &device);
        for message in warnings {
            reporter.report(&Event::Warning { message })?;
        }
        let training = device.clone().autodiff();
        let mut net = FewShotNet::new(&plan.network, pipeline.seed, &training);
        if let Start::Pretrained(pretrained) = start {
            let record = pretrained.backbone.clone().into_record();
            let loaded = net.backbone.try_load_record(record);
            net.backbone = loaded.expect("pretraining has the same backbone");
        }
        if !pipeline.backbone.train {
            net.backbone = net.backbone.no_grad();
        }
        let mut optimizer = graph::optimizer(&pipeline.optimizer);
        let mut progress = Progress { phase: plan.phase(), ..Progress::default() };
        match start {
            Start::New => {
                if let Some(weights) = graph::match_weights(pipeline)? {
                    net = weights.load(net)?;
                    reporter.report(&Event::Weights(weights.into()))?;
                }
            }
            Start::Resume(checkpoint) => {
                net = checkpoint.load_model(net)?;
                optimizer = checkpoint.load_optimizer(optimizer)?;
                progress = checkpoint.progress.clone();
                if let Some(message) = data_changed(&progress, data) {
                    reporter.report(&Event::Warning { message })?;
                }
            }
            Start::Fork(checkpoint, changes) => {
                net = checkpoint.load_model(net)?;
                // Another optimizer, or another precision of its state, starts without averages.
                let starts_anew = match plan.phase() {
                    TrainingPhase::Episodes => &["optimizer.kind", "optimizer.state"][..],
                    TrainingPhase::Pretraining => {
                        &["optimizer.kind", "optimizer.state", "train.pretrain.optimizer"]
                    }
                };
                if !starts_anew.iter().any(|key| has_changed(changes, key)) {
                    optimizer = checkpoint.load_optimizer(optimizer)?;
                }
                progress = forked(&checkpoint.progress, changes);
            }
            Start::Pretrained(pretrained) => progress = pretrained.progress.clone(),
        }

        progress.data_fingerprint = data.fingerprint().to_owned();
        Ok(Self {
            plan,
            data,
            folder,
            interrupt,
            meter: MemoryMeter::new(&device, progress.peak_bytes),
            cap,
            device,
            net: Some(net),
            optimizer,
            step,
            episodes_a_step,
            norm: pipeline.backbone.resolved_batch_norm(),
            seconds_before: progress.seconds,
            progress,
            started: Instant::now(),
        })
    }
}

/// Whether a fork of a checkpoint, with this pipeline, has an epoch left to train.
pub fn has_epochs_left(checkpoint: &Checkpoint, pipeline: &Pipeline) -> bool {
    let progress = &checkpoint.progress;
    progress.phase == TrainingPhase::Pretraining || progress.epoch < pipeline.train.trained_epochs()
}

/// A warning, where the data set is not the one that the checkpoint was written with.
fn data_changed(progress: &Progress, data: &Dataset) -> Option<String> {
    let before = &progress.data_fingerprint;
    (!before.is_empty() && before != data.fingerprint()).then(|| {
        "the data set has changed since the checkpoint was written: classes, images or their sizes differ, \
         so the rest of the run is not what the uninterrupted run would have computed; restore the data \
         to reproduce it, and see `fsct data inspect`"
            .to_owned()
    })
}

fn has_changed(changes: &[Change], parent: &str) -> bool {
    changes.iter().any(|change| is_under(&change.key, parent))
}

/// The progress that a fork starts with: the position of the other run, and a cost and a best of
/// its own.
fn forked(from: &Progress, changes: &[Change]) -> Progress {
    let mut stages = from.stages.clone();
    if has_changed(changes, "method.vic") {
        stages.vic = None;
    }
    if has_changed(changes, "memory.amp") || has_changed(changes, "memory.loss_scale") {
        stages.loss_scale = None;
    }
    Progress {
        phase: from.phase,
        pretrained: from.pretrained.clone(),
        step: from.step,
        epoch: from.epoch,
        episodes: from.episodes,
        skipped_steps: from.skipped_steps,
        epoch_sums: from.epoch_sums,
        last_epoch: from.last_epoch,
        stages,
        ..Progress::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stage::StageState;
    use crate::stage::loss_scale::ScalerState;

    #[test]
    fn a_fork_keeps_the_position_and_what_its_changes_leave_valid() {
        let stages =
            StageState { loss_scale: Some(ScalerState::dynamic()), ..StageState::default() };
        let from = Progress { step: 9, epoch: 2, seconds: 5.0, stages, ..Progress::default() };
        let change = |key: &str| Change {
            key: key.into(),
            was: serde_json::Value::Null,
            now: serde_json::Value::Null,
        };
        let kept = forked(&from, &[change("optimizer.learning_rate")]);
        assert_eq!((kept.step, kept.epoch, kept.seconds), (9, 2, 0.0));
        assert!(kept.stages.loss_scale.is_some());
        assert!(forked(&from, &[change("memory.amp")]).stages.loss_scale.is_none());
    }
}
