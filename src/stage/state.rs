//! What the stages remember from step to step.

use serde::{Deserialize, Serialize};

use crate::loss::weights::VicWeights;

/// What the stages remember from step to step; it is part of every checkpoint.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct StageState {
    /// Current VIC weights, from the first step that used them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vic: Option<VicWeights>,
    /// Episodes of which a sample was propagated back. It numbers the next sample, so that a resumed
    /// run draws what the uninterrupted one would have drawn.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub sampled_episodes: u64,
    /// Episodes whose activations were rounded at random. It numbers the rounding of the next one.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub rounded_episodes: u64,
    /// Loss scaler, where the precision needs one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub loss_scale: Option<ScalerState>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(number: &u64) -> bool {
    *number == 0
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
