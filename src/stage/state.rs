//! What the stages remember from step to step.

use serde::{Deserialize, Serialize};

use crate::loss::weights::VicWeights;

/// What the stages remember from step to step; it is part of every checkpoint.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct StageState {
    /// Current VIC weights, from the first step that used them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vic: Option<VicWeights>,
    /// Loss scaler, where the precision needs one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub loss_scale: Option<ScalerState>,
}

/// Scale of the loss, and how a dynamic one moves.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ScalerState {
    /// Factor on the loss.
    pub scale: f64,
    /// Good steps since the scale last changed.
    pub good_steps: usize,
    /// Whether it follows overflows.
    pub dynamic: bool,
}
