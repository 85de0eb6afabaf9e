//! One optimizer step: its episodes, its effect on the weights, its account.

use std::time::Instant;

use burn::prelude::*;

use super::{RunError, Trainer, WHOLE};
use crate::config::TrainingPhase;
use crate::data::{EpisodeBatch, ImageSet, Loader, Split};
use crate::device::is_cpu;
use crate::loss::Terms;
use crate::model::EpisodeShape;
use crate::model::kernel::images::{Affine, normalized};
use crate::run::divergence::Outcome;
use crate::run::events::{Event, Reporter, Step};
use crate::run::schedule::{Length, learning_rate};
use crate::stage::{Episode, Grads, StageState, Window};

/// What came of a step.
pub(super) struct Taken {
    terms: Vec<Terms>,
    learning_rate: f64,
    gradient_norm: f64,
    pub(super) skipped: bool,
}

impl Taken {
    /// Mean loss over the step's episodes.
    pub(super) fn loss(&self) -> f64 {
        Terms::mean(&self.terms).loss
    }
}

impl Trainer<'_> {
    /// The episodes of the next optimizer step; the last window of an epoch may be short.
    pub(super) fn next_window(&mut self, loader: &mut Loader) -> Result<Window, RunError> {
        let size = self.episodes_a_step.min(self.left_in_epoch());
        let mut window = Vec::with_capacity(size);
        for batch in loader.by_ref().take(size) {
            window.push(to_device(batch?, self.data.split(Split::Base), &self.device));
        }
        self.progress.episodes += window.len();
        Ok(window)
    }

    /// Moves the weights along the gradients, whose norm is `gradient_norm`, unless those or the loss are not finite.
    /// `state` is the stages' after the step.
    pub(super) fn apply(
        &mut self,
        mut grads: Grads,
        gradient_norm: f64,
        mut state: StageState,
    ) -> Taken {
        let finite =
            gradient_norm.is_finite() && grads.terms.iter().all(|terms| terms.loss.is_finite());
        let optimizer = &self.plan.pipeline.optimizer;
        let length = Length {
            steps_per_epoch: self.steps_per_epoch(),
            epochs: self.plan.pipeline.train.epochs,
        };
        // A skipped step uses up neither warm-up nor schedule.
        let learning_rate = learning_rate(optimizer, self.progress.steps_taken(), length);
        self.progress.step += 1;
        if finite {
            if let Some(longest) = optimizer.clip_norm
                && gradient_norm > longest
            {
                grads.gradients.scale(self.trained(), longest / gradient_norm);
            }
            // Moved, not borrowed: each parameter is freed as soon as its successor exists.
            let net = self.net.take().expect(WHOLE);
            let mut net = self.optimizer.step(learning_rate, net, grads.gradients.0);
            if self.norm.moves_running() {
                for moments in &grads.moments {
                    net.update_running(moments);
                }
            }
            self.net = Some(net);
        } else {
            self.progress.skipped_steps += 1;
            // Only the loss scale learns from a step that was skipped.
            state.vic = self.progress.stages.vic;
        }
        self.progress.stages = state;
        Taken { terms: grads.terms, learning_rate, gradient_norm, skipped: !finite }
    }

    /// Adds a step to the epoch's sums and reports it.
    pub(super) fn account(
        &mut self,
        taken: Taken,
        images: usize,
        time: StepTime,
        reporter: &mut dyn Reporter,
    ) -> Result<(), RunError> {
        let progress = &mut self.progress;
        for terms in &taken.terms {
            progress.epoch_sums.add(terms.loss, terms.accuracy);
        }
        progress.train_images += images;
        progress.train_seconds += time.seconds;
        let memory = self.meter.read();
        progress.peak_bytes = memory.peak_bytes;
        let step = Step {
            step: progress.step,
            epoch: progress.epoch + 1,
            episodes: progress.episodes,
            terms: Terms::mean(&taken.terms),
            learning_rate: taken.learning_rate,
            gradient_norm: taken.gradient_norm,
            skipped: taken.skipped,
            skipped_steps: progress.skipped_steps,
            state: progress.stages.clone(),
            memory,
            seconds: time.seconds,
            loader_share: time.waited / time.seconds.max(f64::MIN_POSITIVE),
            images_per_second: images as f64 / time.seconds.max(f64::MIN_POSITIVE),
        };
        reporter.report(&match self.phase() {
            TrainingPhase::Pretraining => Event::PretrainStep(step),
            TrainingPhase::Episodes => Event::Step(step),
        })
    }

    /// Ends training that cannot recover.
    pub(super) fn watch_loss(&mut self, loss: f64, skipped: bool) -> Result<(), RunError> {
        let outcome = Outcome { step: self.progress.step, loss, skipped };
        let scaler = self.progress.stages.loss_scale;
        if self.progress.watch.observe(outcome, scaler) {
            let what = if loss.is_finite() { "gradients were" } else { "loss was" };
            return Err(self.diverged(what, loss));
        }
        Ok(())
    }
}

pub(super) struct StepClock {
    start: Instant,
    waited: f64,
}

pub(super) struct StepTime {
    seconds: f64,
    waited: f64,
}

impl StepClock {
    pub(super) fn start(loader: &Loader) -> Self {
        Self { start: Instant::now(), waited: loader.waited().as_secs_f64() }
    }

    pub(super) fn stop(self, loader: &Loader) -> StepTime {
        StepTime {
            seconds: self.start.elapsed().as_secs_f64(),
            waited: loader.waited().as_secs_f64() - self.waited,
        }
    }
}

/// Puts a prepared episode or batch on the device.
fn to_device(batch: EpisodeBatch, set: &ImageSet, device: &Device) -> Episode {
    let shape = EpisodeShape::from(batch.indices.shape());
    let image = set.shape();
    let dims = [shape.images(), image.channels, image.height, image.width];
    let labels = batch.labels.as_ref().map(|labels| {
        let classes: Vec<i64> = labels.iter().map(|class| *class as i64).collect();
        Tensor::from_data(TensorData::new(classes, [labels.len()]), device)
    });
    let images = if is_cpu(device) {
        let values = set.values(&batch.images);
        drop(batch);
        Tensor::from_data(TensorData::new(values, dims), device)
    } else {
        let (scale, shift) = set.normalization().factors();
        normalized(batch.images, dims, Affine { scale, shift }, device)
    };
    Episode { images, shape, labels }
}
