//! Detects that training cannot continue, and explains why.

use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::config::{Amp, LossScale, Pipeline};
use crate::stage::loss_scale::{FLOOR, ScalerState};

/// Training stops after so many skipped steps in a row that a smaller loss scale cannot prevent.
const MOST_IN_A_ROW: usize = 5;

/// The record of finite and other losses; part of every checkpoint.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct LossWatch {
    /// Skipped steps in a row that a smaller loss scale cannot mend.
    #[serde(default)]
    pub in_a_row: usize,
    /// The last step with a finite loss and gradient, and its loss.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_finite: Option<(usize, f64)>,
}

/// One step, as the watch sees it.
#[derive(Debug, Clone, Copy)]
pub struct Outcome {
    /// Optimizer step, from 1.
    pub step: usize,
    /// Mean loss over its episodes.
    pub loss: f64,
    /// Whether its gradients were not finite.
    pub skipped: bool,
}

impl LossWatch {
    /// Takes note of a step. Returns whether training must stop.
    ///
    /// `scaler` is the loss scaler after the step, where there is one.
    pub fn observe(&mut self, outcome: Outcome, scaler: Option<ScalerState>) -> bool {
        let Outcome { step, loss, skipped } = outcome;
        if !skipped && loss.is_finite() {
            *self = Self { in_a_row: 0, last_finite: Some((step, loss)) };
            return false;
        }
        // The loss is not scaled: what is not finite there stays so at any scale.
        let can_shrink = scaler.is_some_and(|scaler| scaler.dynamic && scaler.scale > FLOOR);
        if loss.is_finite() && can_shrink {
            return false;
        }
        self.in_a_row += 1;
        self.in_a_row >= MOST_IN_A_ROW
    }
}

/// Why training was given up.
#[derive(Debug, Clone, PartialEq)]
pub struct Divergence {
    /// The step at which it was, from 1.
    pub step: usize,
    /// What was not finite.
    pub what: &'static str,
    /// Unusable steps in a row.
    pub in_a_row: usize,
    /// The last usable step and its loss.
    pub last_finite: Option<(usize, f64)>,
    /// What it probably comes from.
    pub cause: Cause,
    /// The key of the optimizer in use.
    pub optimizer: &'static str,
    /// The run's folder, if it has a checkpoint to resume from.
    pub checkpoint: Option<PathBuf>,
}

/// What a loss that is not finite probably comes from.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Cause {
    /// `memory.loss_scale` is a number that is too large.
    FixedScale(f64),
    /// Values leave the range of f16.
    HalfPrecision,
    /// No step was ever finite: images or initial weights.
    Data,
    /// Weights grew until nothing was finite.
    LearningRate(f64),
}

impl Cause {
    /// The most probable cause, from the precision and the losses seen so far.
    pub fn of(pipeline: &Pipeline, watch: &LossWatch, loss: f64) -> Self {
        match (pipeline.memory.amp, pipeline.memory.loss_scale) {
            (Amp::F16, LossScale::Fixed(scale)) if loss.is_finite() && scale > 1.0 => {
                Self::FixedScale(scale)
            }
            (Amp::F16, _) => Self::HalfPrecision,
            _ if watch.last_finite.is_none() => Self::Data,
            _ => Self::LearningRate(pipeline.optimizer.learning_rate),
        }
    }
}

impl fmt::Display for Divergence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { step, what, in_a_row, last_finite, .. } = self;
        write!(f, "training diverged at step {step}: the {what} not finite")?;
        if *in_a_row > 1 {
            write!(f, ", {in_a_row} steps in a row")?;
        }
        match last_finite {
            Some((step, loss)) => write!(f, "; the last finite loss was {loss:.4} at step {step}"),
            None => f.write_str("; no step had a finite loss and gradient"),
        }
    }
}

impl std::error::Error for Divergence {}

impl Divergence {
    /// The likely cause, what to try, and what is left.
    pub fn help(&self) -> String {
        let optimizer = self.optimizer;
        let (cause, first) = match self.cause {
            Cause::FixedScale(scale) => (
                format!("`memory.loss_scale: {scale:?}` is too large for these gradients"),
                "memory.loss_scale=dynamic".to_owned(),
            ),
            Cause::HalfPrecision => (
                "values leave the range of f16 (65504), through a high learning rate or a method \
                 that needs f32"
                    .into(),
                format!("memory.amp=bf16` or `off`, or a lower `{optimizer}.learning_rate"),
            ),
            Cause::Data => (
                "images (`fsct data inspect`, `data.normalize`) or the weights that training \
                 starts from"
                    .into(),
                "backbone.weights` left out, to see which of the two it is".into(),
            ),
            Cause::LearningRate(rate) => (
                format!("`{optimizer}.learning_rate: {rate}` is too high"),
                format!(
                    "{optimizer}.learning_rate={}`, `{optimizer}.clip_norm=1` or some \
                     `{optimizer}.schedule.warmup_steps",
                    rate / 10.0
                ),
            ),
        };
        let kept = match &self.checkpoint {
            Some(folder) => format!(
                "; the last good checkpoint is kept: `fsct run --from {} --set KEY=VALUE` starts a \
                 new run from it",
                folder.display()
            ),
            None => "; there was no checkpoint yet".into(),
        };
        format!("likely cause: {cause}; try `{first}`{kept}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Overrides, load_str};

    fn pipeline(memory: &str) -> Pipeline {
        let text = format!(
            "data: {{format: synthetic}}\nbackbone: {{kind: conv4s}}\nmethod: {{kind: protonet}}\n\
             memory: {{{memory}}}\n"
        );
        load_str("test", &text, &Overrides::default()).unwrap().pipeline
    }

    fn scaled(scale: f64) -> Option<ScalerState> {
        Some(ScalerState { scale, ..ScalerState::dynamic() })
    }

    #[test]
    fn overflow_that_a_smaller_scale_mends_does_not_stop_training() {
        let mut watch = LossWatch::default();
        let overflow = |step| Outcome { step, loss: 1.0, skipped: true };
        for step in 1..20 {
            assert!(!watch.observe(overflow(step), scaled(1024.0)));
        }
        // At the smallest scale nothing is left to try.
        let stops: Vec<bool> =
            (20..25).map(|step| watch.observe(overflow(step), scaled(FLOOR))).collect();
        assert_eq!(stops, [false, false, false, false, true]);
    }

    #[test]
    fn a_loss_that_is_not_finite_stops_training_at_any_scale() {
        let mut watch = LossWatch::default();
        let nan = |step| Outcome { step, loss: f64::NAN, skipped: true };
        assert!((1..5).all(|step| !watch.observe(nan(step), scaled(1024.0))));
        // A good step in between starts the count anew.
        let good = Outcome { step: 5, loss: 0.5, skipped: false };
        assert!(!watch.observe(good, scaled(1024.0)));
        assert!((6..10).all(|step| !watch.observe(nan(step), scaled(1024.0))));
        assert!(watch.observe(nan(10), scaled(1024.0)));
        assert_eq!(watch.last_finite, Some((5, 0.5)));
    }

    #[test]
    fn the_cause_is_named_with_what_to_try() {
        let seen = LossWatch { in_a_row: 5, last_finite: Some((3, 1.5)) };
        for (memory, watch, loss, word) in [
            ("amp: f16, loss_scale: 1e30", seen, 1.0, "memory.loss_scale=dynamic"),
            ("amp: f16", seen, f64::NAN, "memory.amp=bf16"),
            ("amp: off", LossWatch::default(), f64::NAN, "fsct data inspect"),
            ("amp: off", seen, f64::NAN, "optimizer.learning_rate=0.0001"),
        ] {
            let cause = Cause::of(&pipeline(memory), &watch, loss);
            let divergence = Divergence {
                step: 9,
                what: "loss was",
                in_a_row: 5,
                last_finite: watch.last_finite,
                cause,
                optimizer: "optimizer",
                checkpoint: Some("runs/a".into()),
            };
            assert!(divergence.help().contains(word), "{word}: {}", divergence.help());
            assert!(divergence.help().contains("--from runs/a"));
        }
    }
}
