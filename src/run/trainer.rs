//! The training loop.

use std::path::Path;
use std::time::Instant;

use burn::module::Module;
use burn::optim::ModuleOptimizer;
use burn::prelude::*;

use super::cap::MemoryCap;
use super::checkpoint::{self, Checkpoint, EpochSums, Progress};
use super::evaluate::{Evaluation, evaluate_split};
use super::events::{Epoch, Event, Reporter, Step, Validated};
use super::folder::RunFolder;
use super::schedule::{Length, learning_rate};
use super::{Interrupt, RunError};
use crate::config::OnOom;
use crate::data::{Dataset, EpisodeBatch, ImageSet, Loader, Sampler, Split, Stream};
use crate::device::{MemoryMeter, Selected, is_cpu, panics};
use crate::graph::{self, Built};
use crate::loss::Terms;
use crate::model::{EpisodeShape, FewShotNet};
use crate::network::BatchNormMode;
use crate::plan::Plan;
use crate::stage::{BoxStep, Episode, Grads, StepContext, StepError, Window, clear_cache};

/// Skipped steps in a row after which training is given up: a dynamic loss scale has halved from
/// 2^16 to 1 long before.
const MAX_SKIPPED_IN_A_ROW: usize = 50;

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
    /// Always there, but for the moment in which the optimizer has it.
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

impl<'a> Trainer<'a> {
    /// A trainer at the start, or where `resume` stood.
    pub fn new(
        plan: &'a Plan,
        data: &'a Dataset,
        device: &Selected,
        folder: &'a RunFolder,
        interrupt: &'a Interrupt,
        resume: Option<(&Path, &Checkpoint)>,
        reporter: &mut dyn Reporter,
    ) -> Result<Self, RunError> {
        let pipeline = &plan.pipeline;
        let device = device.device.clone();
        let training = device.clone().autodiff();
        let Built { step, episodes_a_step, warnings } = graph::build(plan, &device);
        for message in warnings {
            reporter.report(&Event::Warning { message });
        }
        let mut net = FewShotNet::new(&plan.network, pipeline.seed, &training);
        if !pipeline.backbone.train {
            net.backbone = net.backbone.no_grad();
        }
        let mut optimizer = graph::optimizer(&pipeline.optimizer);
        let mut progress = Progress::default();
        if resume.is_none()
            && let Some(weights) = graph::match_weights(pipeline)?
        {
            net = weights.load(net)?;
            reporter.report(&Event::Weights(weights.into()));
        }
        if let Some((path, checkpoint)) = resume {
            net = checkpoint.load_model(path, net)?;
            optimizer = checkpoint.load_optimizer(path, optimizer)?;
            progress = checkpoint.progress.clone();
        }
        Ok(Self {
            plan,
            data,
            folder,
            interrupt,
            meter: MemoryMeter::new(&device, progress.peak_bytes),
            cap: MemoryCap::of(&device, pipeline.memory.budget),
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

    /// Where training stands.
    pub fn progress(&self) -> &Progress {
        &self.progress
    }

    fn trained(&self) -> &FewShotNet {
        self.net.as_ref().expect(WHOLE)
    }

    /// The network off the tape.
    pub fn net(&self) -> FewShotNet {
        self.trained().valid()
    }

    /// Trained parameters.
    pub fn parameters(&self) -> usize {
        self.trained().trained_parameters()
    }

    /// Optimizer steps an epoch.
    pub fn steps_per_epoch(&self) -> usize {
        self.plan.pipeline.train.episodes_per_epoch.div_ceil(self.episodes_a_step)
    }

    /// Trains to the last epoch.
    pub fn train(&mut self, reporter: &mut dyn Reporter) -> Result<(), RunError> {
        let train = self.plan.pipeline.train.clone();
        let total = train.epochs * train.episodes_per_epoch;
        let base = self.data.split(Split::Base).clone();
        let sampler = Sampler::new(
            &base,
            self.plan.pipeline.episode,
            self.plan.pipeline.seed,
            Stream::Train,
        )?;
        let escalates = self.plan.pipeline.memory.on_oom == OnOom::Escalate;
        if self.progress.step == 0 && (escalates || !is_cpu(&self.device)) {
            // A state to resume from, should the first step run out of memory or the GPU fail.
            self.save(&self.folder.last(), reporter)?;
        }
        let mut loader = Loader::new(base, sampler, self.progress.episodes as u64..total as u64);

        while self.progress.epoch < train.epochs {
            let epoch_end = (self.progress.epoch + 1) * train.episodes_per_epoch;
            while self.progress.episodes < epoch_end {
                let clock = StepClock::start(&loader);
                self.cap.start_at(self.progress.step + 1);
                let before = self.progress.episodes;
                let window = self.next_window(&mut loader, epoch_end)?;
                let images = window.iter().map(|episode| episode.shape.images()).sum();
                // The stages' memory of this step counts only if the step does.
                let mut state = self.progress.stages.clone();
                let mut cx = StepContext::new(&mut state);
                let net = self.net.as_ref().expect(WHOLE);
                let grads = match self.step.grads(net, window, &mut cx) {
                    Ok(grads) => grads,
                    Err(StepError::OutOfMemory(reason)) => {
                        self.progress.episodes = before;
                        return Err(self.out_of_memory(reason, reporter));
                    }
                    Err(error) => return Err(RunError::of_device(error, self.folder)),
                };
                self.progress.stages = state;
                let taken = self.apply(grads)?;
                self.account(taken, images, clock.stop(&loader), reporter);

                let every = train.checkpoint_every;
                if every > 0 && self.progress.step.is_multiple_of(every) {
                    self.save(&self.folder.last(), reporter)?;
                }
                if self.interrupt.is_asked() {
                    self.save(&self.folder.last(), reporter)?;
                    return Err(self.interrupted());
                }
            }
            self.end_epoch(reporter)?;
        }
        Ok(())
    }

    /// The episodes of the next optimizer step; the last window of an epoch may be short.
    fn next_window(&mut self, loader: &mut Loader, epoch_end: usize) -> Result<Window, RunError> {
        let size = self.episodes_a_step.min(epoch_end - self.progress.episodes);
        let shape = EpisodeShape::from(self.plan.pipeline.episode);
        let mut window = Vec::with_capacity(size);
        for batch in loader.by_ref().take(size) {
            window.push(to_device(batch?, shape, self.data.split(Split::Base), &self.device));
        }
        self.progress.episodes += window.len();
        Ok(window)
    }

    /// Moves the weights along the gradients, unless those overflowed.
    fn apply(&mut self, mut grads: Grads) -> Result<Taken, RunError> {
        let gradient_norm = grads.gradients.global_norm(self.trained());
        let finite = grads.finite.unwrap_or(true) && gradient_norm.is_finite();
        let steps_per_epoch = self.steps_per_epoch();
        let optimizer = &self.plan.pipeline.optimizer;
        let length = Length { steps_per_epoch, epochs: self.plan.pipeline.train.epochs };
        let learning_rate = learning_rate(optimizer, self.progress.step, length);
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
            self.progress.skipped_in_a_row = 0;
        } else {
            self.progress.skipped_steps += 1;
            self.progress.skipped_in_a_row += 1;
            if self.progress.skipped_in_a_row >= MAX_SKIPPED_IN_A_ROW {
                let (steps, step) = (self.progress.skipped_in_a_row, self.progress.step);
                return Err(RunError::Diverged { steps, step });
            }
        }
        Ok(Taken { terms: grads.terms, learning_rate, gradient_norm, skipped: !finite })
    }

    /// Adds a step to the epoch's sums and tells of it.
    fn account(
        &mut self,
        taken: Taken,
        images: usize,
        time: StepTime,
        reporter: &mut dyn Reporter,
    ) {
        let progress = &mut self.progress;
        for terms in &taken.terms {
            progress.epoch_sums.episodes += 1;
            progress.epoch_sums.loss += terms.loss;
            progress.epoch_sums.accuracy += terms.accuracy;
        }
        progress.train_images += images;
        progress.train_seconds += time.seconds;
        let memory = self.meter.read();
        progress.peak_bytes = memory.peak_bytes;
        reporter.report(&Event::Step(Step {
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
        }));
    }

    /// Validates, keeps the best, and writes the checkpoint that the next epoch starts from.
    fn end_epoch(&mut self, reporter: &mut dyn Reporter) -> Result<(), RunError> {
        let EpochSums { episodes, loss, accuracy } = std::mem::take(&mut self.progress.epoch_sums);
        let mean = |sum: f64| sum / episodes.max(1) as f64;
        let (loss, accuracy) = (mean(loss), mean(accuracy));
        self.progress.epoch += 1;
        let epoch = self.progress.epoch;
        self.progress.last_epoch = Some((loss, accuracy));
        reporter.report(&Event::Epoch(Epoch { epoch, loss, accuracy }));

        let mut is_best = false;
        if self.plan.pipeline.validate.episodes > 0 {
            let evaluation = Evaluation {
                split: Split::Val,
                stream: Stream::Validate,
                episodes: self.plan.pipeline.validate.episodes,
            };
            let evaluated = evaluate_split(
                &self.net(),
                &self.plan.pipeline,
                self.data,
                &self.device,
                evaluation,
                &mut |_, _| {},
            )?;
            let accuracy = evaluated.accuracy;
            is_best =
                self.progress.best.as_ref().is_none_or(|best| accuracy.mean > best.accuracy.mean);
            let validated = Validated { epoch, accuracy, best: is_best };
            if is_best {
                self.progress.best = Some(validated.clone());
            }
            reporter.report(&Event::Validated(validated));
        }
        if self.plan.pipeline.memory.clear_cache_after_epoch {
            clear_cache::clear(&self.device);
        }
        if is_best {
            self.save(&self.folder.best(), reporter)?;
        }
        // After the best one: a run killed in between validates once more and finds it best again.
        self.save(&self.folder.last(), reporter)
    }

    fn save(&mut self, path: &Path, reporter: &mut dyn Reporter) -> Result<(), RunError> {
        self.progress.seconds = self.seconds_before + self.started.elapsed().as_secs_f64();
        let pipeline = self.plan.pipeline.to_yaml();
        checkpoint::write(path, &pipeline, &self.progress, self.trained(), &self.optimizer)?;
        reporter.report(&Event::Checkpoint { step: self.progress.step, path: path.to_owned() });
        Ok(())
    }

    /// Keeps the state before the step that ran out.
    fn out_of_memory(&mut self, reason: String, reporter: &mut dyn Reporter) -> RunError {
        self.cap.lift();
        let path = self.folder.last();
        // A GPU that ran out usually still answers. Where it does not, the last checkpoint is what is left.
        let saved = panics::outcome(|| self.save(&path, reporter), |_| Some(()));
        let kept = matches!(saved, Ok(Ok(())));
        let (step, folder) = (self.progress.step + 1, self.folder.path().to_owned());
        RunError::OutOfMemory { reason, step, kept, folder }
    }

    fn interrupted(&self) -> RunError {
        RunError::Interrupted { step: self.progress.step, folder: self.folder.path().to_owned() }
    }

    /// Peak memory and seconds, up to now.
    pub fn cost(&mut self) -> (f64, u64) {
        let seconds = self.seconds_before + self.started.elapsed().as_secs_f64();
        (seconds, self.meter.read().peak_bytes)
    }
}

/// What came of a step.
struct Taken {
    terms: Vec<Terms>,
    learning_rate: f64,
    gradient_norm: f64,
    skipped: bool,
}

struct StepClock {
    start: Instant,
    waited: f64,
}

struct StepTime {
    seconds: f64,
    waited: f64,
}

impl StepClock {
    fn start(loader: &Loader) -> Self {
        Self { start: Instant::now(), waited: loader.waited().as_secs_f64() }
    }

    fn stop(self, loader: &Loader) -> StepTime {
        StepTime {
            seconds: self.start.elapsed().as_secs_f64(),
            waited: loader.waited().as_secs_f64() - self.waited,
        }
    }
}

/// Puts a prepared episode on the device.
pub(super) fn to_device(
    batch: EpisodeBatch,
    shape: EpisodeShape,
    set: &ImageSet,
    device: &Device,
) -> Episode {
    let image = set.shape();
    let dims = [shape.images(), image.channels, image.height, image.width];
    Episode { images: Tensor::from_data(TensorData::new(batch.images, dims), device), shape }
}
