use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    finding::{Checks, Finding},
    memory::{AccumulationUnit, Memory},
    rule::Rule,
    train::Train,
};

/// Optimizer and its learning rate schedule.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Optimizer {
    /// Which algorithm updates the weights.
    pub kind: OptimizerKind,
    /// Learning rate, above 0.
    #[schemars(extend("exclusiveMinimum" = 0, "maximum" = 1000))]
    pub learning_rate: f64,
    /// Weight decay: the pull of the weights towards 0.
    #[schemars(range(min = 0, max = 1000))]
    pub weight_decay: f64,
    /// Momentum, from 0 to below 1; `sgd` only.
    #[schemars(range(min = 0), extend("exclusiveMaximum" = 1))]
    pub momentum: f64,
    /// Largest norm of all gradients together; longer ones are shortened to it. Not written, they
    /// are left alone.
    #[schemars(extend("exclusiveMinimum" = 0, "maximum" = 1e9))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clip_norm: Option<f64>,
    /// How the learning rate moves during training.
    pub schedule: Schedule,
}

impl Default for Optimizer {
    fn default() -> Self {
        Self {
            kind: OptimizerKind::Adamw,
            learning_rate: 1e-3,
            weight_decay: 1e-5,
            momentum: 0.9,
            clip_norm: None,
            schedule: Schedule::default(),
        }
    }
}

/// Algorithm that updates the weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OptimizerKind {
    /// Adam with decoupled weight decay.
    #[default]
    Adamw,
    /// Adam; weight decay is added to the gradient.
    Adam,
    /// Stochastic gradient descent with momentum.
    Sgd,
}

/// How the learning rate moves during training.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Schedule {
    /// Shape of the curve after the warm-up.
    pub kind: ScheduleKind,
    /// Optimizer steps in which the learning rate rises in a straight line from 0; 0 = none.
    #[schemars(range(max = 1_000_000_000))]
    pub warmup_steps: usize,
    /// Share of the learning rate that `cosine` ends at, from 0 to 1.
    #[schemars(range(min = 0, max = 1))]
    pub final_share: f64,
    /// Epochs between two drops of `step`.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub step_epochs: usize,
    /// Factor of each drop of `step`, above 0 up to 1.
    #[schemars(extend("exclusiveMinimum" = 0, "maximum" = 1))]
    pub step_factor: f64,
}

impl Default for Schedule {
    fn default() -> Self {
        Self {
            kind: ScheduleKind::Constant,
            warmup_steps: 0,
            final_share: 0.0,
            step_epochs: 20,
            step_factor: 0.1,
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
    /// Half a cosine, down to `final_share` (Loshchilov and Hutter, ICLR 2017).
    Cosine,
    /// Multiplied by `step_factor` every `step_epochs`.
    Step,
}

/// A warm-up that is longer than training.
pub(super) fn check(optimizer: &Optimizer, train: &Train, memory: &Memory, checks: &mut Checks) {
    let key = "optimizer.schedule.warmup_steps";
    let warmup = optimizer.schedule.warmup_steps;
    let window = match memory.accumulation_unit {
        AccumulationUnit::Episodes => memory.accumulation_steps,
        AccumulationUnit::Queries => 1,
    };
    let steps = train.epochs * train.episodes_per_epoch.div_ceil(window);
    if warmup > 0 && warmup >= steps {
        let message = format!("`{key}: {warmup}` is not over after the {steps} steps of training");
        let help = "use a small part of the steps, or train longer";
        checks.push(
            Finding::new(Rule::WarmupNeverEnds, key, message, help)
                .label("the learning rate is never reached"),
        );
    }
}
