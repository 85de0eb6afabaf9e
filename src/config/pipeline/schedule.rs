use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    finding::{Checks, Finding, word},
    rule::Rule,
};

/// How the learning rate moves during training.
///
/// Steps that are skipped use up neither warm-up nor schedule: an epoch is here as many optimizer
/// steps as an epoch of training has.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Schedule {
    /// Shape of the curve after the warm-up.
    pub kind: ScheduleKind,
    /// Optimizer steps in which the learning rate rises in a straight line from 0; 0 = none.
    #[schemars(range(max = 1_000_000_000))]
    pub warmup_steps: usize,
    /// Share of the learning rate that `cosine` and `cosine_restarts` end at, from 0 to 1.
    #[schemars(range(min = 0, max = 1))]
    pub final_share: f64,
    /// Learning rate that the curve does not fall below after the warm-up; PyTorch's `eta_min`.
    ///
    /// `cosine` and `cosine_restarts` end at it, in place of `final_share`; the drops of `step` and
    /// `milestones` stop at it.
    #[schemars(range(min = 0, max = 1000))]
    pub min_learning_rate: f64,
    /// Epochs between two drops of `step`.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub step_epochs: usize,
    /// Factor of each drop of `step` and `milestones`, above 0 up to 1; PyTorch's `gamma`.
    #[schemars(extend("exclusiveMinimum" = 0, "maximum" = 1))]
    pub step_factor: f64,
    /// Epochs after which `milestones` drops the learning rate, in rising order: `[30, 40]`.
    #[schemars(inner(range(min = 1, max = 1_000_000)), extend("examples" = [[30, 40]]))]
    pub milestones: Vec<usize>,
    /// Epochs of the first cycle of `cosine_restarts`; PyTorch's `T_0`.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub restart_epochs: usize,
    /// How many times as long as the cycle before it a cycle of `cosine_restarts` is; PyTorch's
    /// `T_mult`.
    #[schemars(range(min = 1, max = 1000))]
    pub restart_factor: usize,
}

impl Default for Schedule {
    fn default() -> Self {
        Self {
            kind: ScheduleKind::Constant,
            warmup_steps: 0,
            final_share: 0.0,
            min_learning_rate: 0.0,
            step_epochs: 20,
            step_factor: 0.1,
            milestones: Vec::new(),
            restart_epochs: 10,
            restart_factor: 1,
        }
    }
}

/// Shape of the learning rate's curve.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ScheduleKind {
    /// The learning rate stays the same.
    #[default]
    Constant,
    /// Half a cosine from the end of the warm-up to the end of training, down to `final_share` or
    /// `min_learning_rate` (Loshchilov and Hutter, ICLR 2017).
    Cosine,
    /// Half a cosine down, then up at once and down again, in cycles of `restart_epochs` that grow
    /// by `restart_factor` (SGDR, Loshchilov and Hutter, ICLR 2017). The first cycle starts after
    /// the warm-up.
    CosineRestarts,
    /// Multiplied by `step_factor` every `step_epochs`.
    Step,
    /// Multiplied by `step_factor` after each of the epochs in `milestones`.
    Milestones,
}

/// Rules over the schedule of the optimizer `at` a key, which training of some epochs and steps follows.
pub(super) fn check(
    schedule: &Schedule,
    at: &str,
    learning_rate: f64,
    (epochs, steps): (usize, usize),
    checks: &mut Checks,
) {
    let key = format!("{at}.schedule.warmup_steps");
    let warmup = schedule.warmup_steps;
    if warmup > 0 && warmup >= steps {
        let message = format!("`{key}: {warmup}` is not over after the {steps} steps of training");
        let help = "use a small part of the steps, or train longer";
        checks.push(
            Finding::new(Rule::WarmupNeverEnds, key, message, help)
                .label("the learning rate is never reached"),
        );
    }
    minimum(schedule, at, learning_rate, checks);
    let length = length(at);
    match schedule.kind {
        ScheduleKind::Milestones => milestones(&schedule.milestones, at, epochs, checks),
        ScheduleKind::CosineRestarts if schedule.restart_epochs >= epochs => {
            let key = format!("{at}.schedule.restart_epochs");
            let message = format!(
                "`{key}: {}` restarts nothing in a training of `{length}: {epochs}`",
                schedule.restart_epochs
            );
            let help = "use fewer epochs for the first cycle, or write `kind: cosine`";
            checks.push(
                Finding::new(Rule::NeverRestarts, key, message, help)
                    .label("the first cycle is as long as training"),
            );
        }
        _ => {}
    }
}

/// The key of the epochs that an optimizer trains for.
fn length(at: &str) -> String {
    let part = at.strip_suffix(".optimizer").unwrap_or("train");
    format!("{part}.epochs")
}

fn minimum(schedule: &Schedule, at: &str, learning_rate: f64, checks: &mut Checks) {
    let Schedule { kind, final_share, min_learning_rate: least, .. } = *schedule;
    let key = format!("{at}.schedule.min_learning_rate");
    if least > learning_rate {
        let message =
            format!("`{key}: {least:?}` is above `{at}.learning_rate: {learning_rate:?}`");
        let help = format!("write a part of `{at}.learning_rate`, say a hundredth");
        checks.push(
            Finding::new(Rule::MinAboveLearningRate, key.as_str(), message, help)
                .label("the rate would have to rise to it"),
        );
    }
    let is_cosine = matches!(kind, ScheduleKind::Cosine | ScheduleKind::CosineRestarts);
    if is_cosine && least > 0.0 && final_share > 0.0 {
        let message = format!(
            "`{key}: {least:?}` and `{at}.schedule.final_share: {final_share}` both say where `{}` \
             ends",
            word(&kind)
        );
        let help = "remove one of the two";
        checks.push(
            Finding::new(Rule::TwoFinalRates, key, message, help)
                .label("the end of the curve, a second time"),
        );
    }
}

fn milestones(milestones: &[usize], at: &str, epochs: usize, checks: &mut Checks) {
    let key = format!("{at}.schedule.milestones");
    if milestones.is_empty() {
        let kind = format!("{at}.schedule.kind");
        let message = format!("`{kind}: milestones` needs epochs in `{key}`");
        let help = "list the epochs after which the rate drops: `milestones: [30, 40]`";
        checks.push(
            Finding::new(Rule::Milestones, key, message, help).at(kind).label("no epoch is listed"),
        );
    } else if !milestones.is_sorted_by(|a, b| a < b) {
        let message = format!("`{key}: {milestones:?}` does not rise from each epoch to the next");
        let help = "write each epoch once, in rising order";
        checks
            .push(Finding::new(Rule::Milestones, key, message, help).label("not in rising order"));
    } else if let Some(late) = milestones.iter().find(|epoch| **epoch >= epochs) {
        let length = length(at);
        let message =
            format!("`{key}` has {late}, which a training of `{length}: {epochs}` never reaches");
        let help = "remove it, or train longer";
        checks.push(
            Finding::new(Rule::MilestoneNeverReached, key, message, help)
                .label("after the last epoch"),
        );
    }
}
