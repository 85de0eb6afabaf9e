//! The training loop.

mod center;
mod epoch;
mod gradients;
mod pretrained;
mod save;
mod start;
mod step;

use std::time::Instant;

use burn::module::Module;
use burn::optim::ModuleOptimizer;
use burn::prelude::*;

use super::cap::MemoryCap;
use super::checkpoint::Progress;
use super::early_stopping::{Wait, stopped};
use super::events::Reporter;
use super::folder::RunFolder;
use super::{Interrupt, RunError};
use crate::config::{OnOom, TrainingPhase};
use crate::data::{Batches, Dataset, Loader, Sampler, Sequence, Split, Stream};
use crate::device::{MemoryMeter, is_cpu};
use crate::graph;
use crate::model::FewShotNet;
use crate::network::BatchNormMode;
use crate::panics;
use crate::plan::Plan;
use crate::stage::{BoxStep, StepContext, StepError, Window};

pub use start::{Place, PretrainedNet, Start, has_epochs_left};

use step::StepClock;

/// Only the optimizer's step takes the network away, and it gives it back.
const WHOLE: &str = "the network is only away while the optimizer has it";

/// A network in training.
pub struct Trainer<'a> {
    plan: &'a Plan,
    data: &'a Dataset,
    folder: &'a RunFolder,
    interrupt: &'a Interrupt,
    /// The device without autodiff.
    device: Device,
    /// `None` only while the optimizer has it.
    net: Option<FewShotNet>,
    optimizer: ModuleOptimizer,
    step: BoxStep<Window>,
    episodes_a_step: usize,
    norm: BatchNormMode,
    progress: Progress,
    meter: MemoryMeter,
    cap: MemoryCap,
    started: Instant,
    seconds_before: f64,
}

impl Trainer<'_> {
    /// Steps, episodes, time and memory so far.
    pub fn progress(&self) -> &Progress {
        &self.progress
    }

    fn trained(&self) -> &FewShotNet {
        self.net.as_ref().expect(WHOLE)
    }

    /// The part of the training that this is.
    fn phase(&self) -> TrainingPhase {
        self.plan.phase()
    }

    /// The network off the tape.
    pub fn net(&self) -> FewShotNet {
        self.trained().valid()
    }

    /// Frees the optimizer's moments. For a trained network that is only tested from now on.
    pub fn release_optimizer(&mut self) {
        self.optimizer = graph::optimizer(&self.plan.pipeline.optimizer);
    }

    /// Number of trained parameters.
    pub fn parameters(&self) -> usize {
        self.trained().trained_parameters()
    }

    /// Optimizer steps an epoch.
    pub fn steps_per_epoch(&self) -> usize {
        self.plan.steps_per_epoch()
    }

    /// Trains to the last epoch.
    pub fn train(&mut self, reporter: &mut dyn Reporter) -> Result<(), RunError> {
        let pipeline = &self.plan.pipeline;
        let train = &pipeline.train;
        let escalates = pipeline.memory.on_oom == OnOom::Escalate;
        if self.progress.step == 0 && (escalates || !is_cpu(&self.device)) {
            // A state to resume from, should the first step run out of memory or the GPU fail.
            self.save(&self.folder.last(), reporter)?;
        }
        if train.trained_epochs() == 0 {
            self.center(reporter)?;
            // What is tested, also by later calls.
            return self.save_last(reporter);
        }
        let mut loader = self.loader()?;
        while !self.is_over() {
            self.uncenter();
            while self.left_in_epoch() > 0 {
                self.one_step(&mut loader, reporter)?;
                let every = train.checkpoint_every;
                if every > 0 && self.progress.step.is_multiple_of(every) {
                    self.save_last(reporter)?;
                }
                if self.interrupt.is_asked() {
                    return Err(self.interrupted(reporter));
                }
            }
            self.end_epoch(reporter)?;
        }
        Ok(())
    }

    /// Whether the last epoch is trained, or validation no longer improves.
    fn is_over(&self) -> bool {
        let train = &self.plan.pipeline.train;
        self.progress.epoch >= train.trained_epochs() || self.stopped_early().is_some()
    }

    /// The wait for a better validation that ended training before its last epoch.
    pub fn stopped_early(&self) -> Option<Wait> {
        let train = &self.plan.pipeline.train;
        let wait = stopped(train.early_stopping, &self.progress.validations)?;
        (self.progress.epoch < train.trained_epochs()).then_some(wait)
    }

    /// Training episodes up to the end of the current epoch.
    fn left_in_epoch(&self) -> usize {
        let all = self.plan.pipeline.train.episodes_per_epoch;
        all.saturating_sub(self.progress.epoch_sums.episodes)
    }

    /// The episodes that are left, prepared in the background.
    fn loader(&self) -> Result<Loader, RunError> {
        let pipeline = &self.plan.pipeline;
        let train = &pipeline.train;
        let base = self.data.split(Split::Base).clone();
        let sequence: Sequence = match self.phase() {
            TrainingPhase::Episodes => Sampler::of(&base, pipeline, Stream::Train)?.into(),
            TrainingPhase::Pretraining => {
                let size = self.plan.network.episode.images();
                Batches::new(&base, pipeline.seed, size)?.into()
            }
        };
        let epochs_after = train.epochs.saturating_sub(self.progress.epoch + 1);
        let left = self.left_in_epoch() + epochs_after * train.episodes_per_epoch;
        let first = self.progress.episodes as u64;
        Ok(Loader::new(base, sequence, first..first + left as u64)?)
    }

    fn one_step(
        &mut self,
        loader: &mut Loader,
        reporter: &mut dyn Reporter,
    ) -> Result<(), RunError> {
        let clock = StepClock::start(loader);
        self.cap.start_at(self.progress.step + 1);
        let before = self.progress.episodes;
        let window = self.next_window(loader)?;
        let images = window.iter().map(|episode| episode.shape.images()).sum();
        // The stages' memory of this step counts only if the step does.
        let mut state = self.progress.stages.clone();
        let mut cx = StepContext::new(&mut state);
        let net = self.net.as_ref().expect(WHOLE);
        // The norm reads every gradient, and so finds those that were not computed as memory ran out.
        let taken = self.step.grads(net, window, &mut cx).and_then(|grads| {
            let norm = || grads.norm.unwrap_or_else(|| grads.gradients.global_norm(net));
            let norm = panics::outcome(norm, StepError::of_device)?;
            Ok((grads, norm))
        });
        let (grads, gradient_norm) = match taken {
            Ok(taken) => taken,
            Err(StepError::OutOfMemory(reason)) => {
                self.progress.episodes = before;
                return Err(self.out_of_memory(reason, reporter));
            }
            Err(error) => return Err(RunError::of_device(error, self.folder)),
        };
        let histograms = self.gradient_histograms(&grads.gradients);
        let taken = self.apply(grads, gradient_norm, state);
        let loss = taken.loss();
        let skipped = taken.skipped;
        self.account(taken, images, clock.stop(loader), reporter)?;
        if let Some(event) = histograms {
            reporter.report(&event)?;
        }
        self.watch_loss(loss, skipped)
    }

    /// Peak memory and seconds, up to now.
    pub fn cost(&mut self) -> (f64, u64) {
        let seconds = self.seconds_before + self.started.elapsed().as_secs_f64();
        (seconds, self.meter.read().peak_bytes)
    }
}
