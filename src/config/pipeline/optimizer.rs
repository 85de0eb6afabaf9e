use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    finding::{Checks, Finding},
    optimizer_state::OptimizerState,
    rule::Rule,
    schedule::{self, Schedule},
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
    /// Nesterov's momentum (Sutskever et al., ICML 2013); `sgd` only.
    ///
    /// The step is along the gradient plus `momentum` times the new velocity, as in PyTorch.
    pub nesterov: bool,
    /// Shares of the old averages that `adam` and `adamw` keep at each step: of the gradient's
    /// average and of its square's.
    #[schemars(inner(range(min = 0, max = 0.99999)))]
    pub betas: [f64; 2],
    /// Added to the root of the square's average, by which `adam` and `adamw` divide; it keeps the
    /// step finite where that is 0.
    #[schemars(range(min = 1e-30, max = 1))]
    pub eps: f64,
    /// Precision of the averages that the optimizer keeps of each weight: the two moments of `adamw` and
    /// `adam`, the velocity of `sgd`. On the CPU.
    ///
    /// `int8` takes a quarter of their memory and `bf16` half; parameters of fewer than 4096 values stay
    /// f32. Costs a little time. Results change by rounding, up or down by chance; a resumed run rounds as
    /// the uninterrupted one would have.
    pub state: OptimizerState,
    /// Largest norm of all gradients together; longer ones are shortened to it. Not written, they
    /// are left alone.
    #[schemars(extend("exclusiveMinimum" = 0, "maximum" = 1e9))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clip_norm: Option<f64>,
    /// How the learning rate moves during training.
    ///
    /// Epochs are counted in optimizer steps here, and steps that are skipped do not count.
    pub schedule: Schedule,
}

impl Default for Optimizer {
    fn default() -> Self {
        Self {
            kind: OptimizerKind::Adamw,
            learning_rate: 1e-3,
            weight_decay: 1e-5,
            momentum: 0.9,
            nesterov: false,
            betas: [0.9, 0.999],
            eps: 1e-8,
            state: OptimizerState::F32,
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

/// Momentum that is missing, and the schedule over training of `epochs` epochs and `steps` steps. `at` is the
/// key of the optimizer.
pub(super) fn check(
    optimizer: &Optimizer,
    at: &str,
    epochs: usize,
    steps: usize,
    checks: &mut Checks,
) {
    let is_sgd = optimizer.kind == OptimizerKind::Sgd;
    if is_sgd && optimizer.nesterov && optimizer.momentum == 0.0 {
        checks.push(
            Finding::new(
                Rule::NesterovWithoutMomentum,
                format!("{at}.nesterov"),
                format!("`{at}.nesterov: true` needs momentum, and `{at}.momentum` is 0"),
                format!("give `{at}.momentum` a value, say 0.9, or remove `nesterov`"),
            )
            .label("there is no velocity to look ahead along"),
        );
    }
    if epochs == 0 {
        return;
    }
    schedule::check(&optimizer.schedule, at, optimizer.learning_rate, (epochs, steps), checks);
}
