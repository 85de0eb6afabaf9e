use std::io::{self, Write};
use std::time::Duration;

use indicatif::{HumanCount, ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::sentences::{self, loaded, peak, peak_differs, settings, stopped_early};
use super::smoothed::Smoothed;
use super::table::{bytes, finished};
use super::terminal;
use crate::config::TrainingPhase;
use crate::run::RunError;
use crate::run::changes::Change;
use crate::run::events::{
    Epoch, Event, Finished, Forked, Pretrained, PretrainingLength, Reporter, Started, Step,
    Validated,
};

/// How much output a run prints.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verbosity {
    /// Only warnings and the final table.
    Quiet,
    /// One line per epoch, and a progress bar on a terminal.
    Normal,
    /// One line per step.
    Verbose,
}

/// The bars of the two parts of a training.
const PRETRAINING: &str = "{bar:28} {pos}/{len} steps of pretraining  {msg}  eta {eta}";
const TRAINING: &str = "{bar:28} {pos}/{len} steps  {msg}  eta {eta}";

/// Prints a run's progress: a progress bar on a terminal, plain lines elsewhere.
pub struct Console {
    verbosity: Verbosity,
    terminal: bool,
    bar: Option<ProgressBar>,
    epochs: usize,
    /// Optimizer steps on episodes in all.
    steps: usize,
    /// The pretraining before the episodes.
    pretraining: Option<PretrainingLength>,
    forked: bool,
    loss: Smoothed,
    accuracy: Smoothed,
    /// Why standard output could not be written, if it could not.
    failed: Option<io::Error>,
}

impl Console {
    /// A console on stdout (lines and the table) and stderr (bar and warnings).
    pub fn new(verbosity: Verbosity) -> Self {
        Self {
            verbosity,
            terminal: terminal::is_capable(&io::stdout()) && terminal::is_capable(&io::stderr()),
            bar: None,
            epochs: 0,
            steps: 0,
            pretraining: None,
            forked: false,
            loss: Smoothed::default(),
            accuracy: Smoothed::default(),
            failed: None,
        }
    }

    fn line(&mut self, text: &str) {
        match &self.bar {
            Some(bar) => bar.println(text),
            None => self.print(&format!("{text}\n")),
        }
    }

    /// Writes to standard output. A reader that went away (`head`) or a full disk does not end the
    /// run; the first failure is kept for its end.
    fn print(&mut self, text: &str) {
        let mut stdout = io::stdout().lock();
        let written = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
        if let Err(error) = written {
            self.failed.get_or_insert(error);
        }
    }

    fn warn(&self, text: &str) {
        match &self.bar {
            Some(bar) => bar.println(format!("warning: {text}")),
            None => drop(writeln!(io::stderr(), "warning: {text}")),
        }
    }

    fn start_bar(&mut self, length: usize, position: usize, template: &str) {
        self.finish_bar();
        if !self.terminal || self.verbosity == Verbosity::Quiet {
            return;
        }
        let style = ProgressStyle::with_template(template)
            .unwrap_or_else(|_| ProgressStyle::default_bar())
            .progress_chars("━╸─");
        let bar = ProgressBar::with_draw_target(Some(length as u64), ProgressDrawTarget::stderr())
            .with_style(style)
            .with_position(position as u64);
        bar.reset_eta();
        bar.enable_steady_tick(Duration::from_millis(200));
        self.bar = Some(bar);
    }

    fn finish_bar(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }

    fn started(&mut self, started: &Started) {
        self.epochs = started.epochs;
        self.pretraining = started.pretraining;
        if self.verbosity == Verbosity::Quiet {
            return;
        }
        self.line(&format!(
            "{} on {}: {} trained parameters, seed {}",
            started.name,
            started.device,
            HumanCount(started.parameters as u64),
            started.seed,
        ));
        let splits = started
            .splits
            .iter()
            .map(|it| format!("{} {} classes, {} images", it.split, it.classes, it.images));
        self.line(&format!("data: {}", splits.collect::<Vec<_>>().join("; ")));
        self.line(&format!("run: {}", started.folder.display()));
        let before = started.pretraining.filter(|it| !it.is_over);
        let (resumed, of) = match before {
            Some(it) => (it.resumed_at_step, " of pretraining"),
            None => (started.resumed_at_step, ""),
        };
        if resumed > 0 && !self.forked {
            self.line(&format!("resumed after step {resumed}{of}"));
        }
        self.steps = started.epochs * started.steps_per_epoch;
        match before {
            Some(it) => self.start_bar(it.epochs * it.steps_per_epoch, resumed, PRETRAINING),
            None => self.start_bar(self.steps, resumed, TRAINING),
        }
    }

    /// What is printed before an epoch of a part of the training, and its number of epochs.
    fn part(&self, phase: TrainingPhase) -> (&'static str, usize) {
        match phase {
            TrainingPhase::Pretraining => {
                ("pretraining, ", self.pretraining.map_or(0, |it| it.epochs))
            }
            TrainingPhase::Episodes => ("", self.epochs),
        }
    }

    fn step(&mut self, step: &Step, phase: TrainingPhase) {
        let (part, epochs) = self.part(phase);
        let loss = self.loss.update(step.terms.loss);
        let accuracy = self.accuracy.update(step.terms.accuracy);
        if let Some(bar) = &self.bar {
            bar.set_position(step.step as u64);
            bar.set_message(format!(
                "epoch {}/{epochs}  loss {loss:.3}  acc {:.1} %  mem {} ({})",
                step.epoch,
                100.0 * accuracy,
                bytes(step.memory.current_bytes),
                peak(&step.memory),
            ));
        }
        if self.verbosity == Verbosity::Verbose {
            let vic = step.terms.vic.map_or_else(String::new, |vic| {
                format!(", V {:.4} I {:.4} C {:.4}", vic.variance, vic.invariance, vic.covariance)
            });
            self.line(&format!(
                "{part}step {}: loss {:.4}{vic}, accuracy {:.1} %, gradient norm {:.3}, {:.0} images/s, \
                 {}{}",
                step.step,
                step.terms.loss,
                100.0 * step.terms.accuracy,
                step.gradient_norm,
                step.images_per_second,
                peak(&step.memory),
                if step.skipped { ", skipped: gradients overflowed" } else { "" },
            ));
        }
    }

    fn epoch(&mut self, it: &Epoch, phase: TrainingPhase) {
        if self.verbosity > Verbosity::Quiet {
            let (part, epochs) = self.part(phase);
            self.line(&format!(
                "{part}epoch {}/{epochs}: loss {:.4}, accuracy {:.2} %",
                it.epoch,
                it.loss,
                100.0 * it.accuracy
            ));
        }
    }

    fn validated(&mut self, it: &Validated, phase: TrainingPhase) {
        if self.verbosity > Verbosity::Quiet {
            let (part, epochs) = self.part(phase);
            let by = if part.is_empty() { "" } else { " by class means" };
            let best = if it.best { ", best so far" } else { "" };
            self.line(&format!(
                "{part}epoch {}/{epochs}: validation{by} {}{best}",
                it.epoch, it.accuracy
            ));
        }
    }

    fn pretrained(&mut self, it: &Pretrained) {
        if self.verbosity > Verbosity::Quiet {
            self.line(&sentences::pretrained(it));
        }
        (self.loss, self.accuracy) = (Smoothed::default(), Smoothed::default());
        self.start_bar(self.steps, 0, TRAINING);
    }

    fn finished(&mut self, event: &Finished) -> Result<(), RunError> {
        self.finish_bar();
        self.print(&finished(event));
        match self.failed.take() {
            Some(error) if error.kind() != io::ErrorKind::BrokenPipe => {
                Err(RunError::Stdout(error))
            }
            _ => Ok(()),
        }
    }

    fn changed(&mut self, title: &str, changes: &[Change]) {
        if self.verbosity > Verbosity::Quiet {
            let separator = if changes.is_empty() { "" } else { ":" };
            self.line(&format!("{title}{separator}"));
            changes.iter().for_each(|change| self.line(&format!("  {change}")));
        }
    }
}

impl Reporter for Console {
    fn report(&mut self, event: &Event) -> Result<(), RunError> {
        match event {
            Event::Weights(weights) if self.verbosity > Verbosity::Quiet => {
                self.line(&loaded(weights));
            }
            Event::Weights(_) => {}
            Event::Started(started) => self.started(started),
            Event::Step(step) => self.step(step, TrainingPhase::Episodes),
            Event::Epoch(epoch) => self.epoch(epoch, TrainingPhase::Episodes),
            Event::Validated(validated) => self.validated(validated, TrainingPhase::Episodes),
            Event::PretrainStep(step) => self.step(step, TrainingPhase::Pretraining),
            Event::PretrainEpoch(epoch) => self.epoch(epoch, TrainingPhase::Pretraining),
            Event::PretrainValidated(it) => self.validated(it, TrainingPhase::Pretraining),
            Event::Pretrained(pretrained) => self.pretrained(pretrained),
            Event::StoppedEarly(stopped) if self.verbosity > Verbosity::Quiet => {
                self.line(&stopped_early(stopped));
            }
            Event::StoppedEarly(_) => {}
            Event::Checkpoint { step, path, .. } if self.verbosity == Verbosity::Verbose => {
                self.line(&format!("checkpoint after step {step}: {}", path.display()));
            }
            Event::Checkpoint { .. } | Event::Gradients { .. } => {}
            Event::Tested { episodes: 0, of } => {
                self.start_bar(*of, 0, "{bar:28} {pos}/{len} test episodes  eta {eta}");
            }
            Event::Tested { episodes, .. } => {
                if let Some(bar) = &self.bar {
                    bar.set_position(*episodes as u64);
                }
            }
            Event::Note { message } if self.verbosity > Verbosity::Quiet => {
                self.line(&format!("note: {message}"));
            }
            Event::Note { .. } => {}
            Event::Warning { message } => self.warn(message),
            Event::Changed { step, changes } => {
                self.changed(&format!("changed after step {step}"), changes);
            }
            Event::Forked(Forked { from, step, changes }) => {
                self.forked = true;
                self.changed(&format!("forked from {} after step {step}", from.display()), changes);
            }
            Event::PeakDiffers { peak_bytes, predicted_peak_bytes } => {
                self.warn(&peak_differs(*peak_bytes, *predicted_peak_bytes));
            }
            Event::Escalated { step, memory, predicted_peak_bytes } => self.warn(&format!(
                "step {step} ran out of memory; repeating it with {} (predicted peak {})",
                settings(memory),
                bytes(*predicted_peak_bytes),
            )),
            Event::Finished(finished) => self.finished(finished)?,
        }
        Ok(())
    }
}

impl Drop for Console {
    fn drop(&mut self) {
        self.finish_bar();
    }
}
