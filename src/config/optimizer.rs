use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Optimizer.
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
}

impl Default for Optimizer {
    fn default() -> Self {
        Self { kind: OptimizerKind::Adamw, learning_rate: 1e-3, weight_decay: 1e-5, momentum: 0.9 }
    }
}

/// Optimizer algorithm.
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
