//! What each stage saves, costs and changes, in words.

use super::{Precision, Scale, StageSpec};
use crate::network::Segment;

/// A stage in words.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Description {
    /// Name of the stage, as its file.
    pub stage: &'static str,
    /// Its settings.
    pub setting: String,
    /// What it saves.
    pub saves: &'static str,
    /// What it costs.
    pub costs: &'static str,
    /// When results change.
    pub changes: &'static str,
}

impl StageSpec {
    /// The stage in words.
    pub fn describe(&self) -> Description {
        match self {
            Self::ClearCache { every } => Description {
                stage: "clear_cache",
                setting: format!("every {every} steps"),
                saves: "memory that the allocator holds and does not use",
                costs: "a little time each time",
                changes: "never",
            },
            Self::LossScale(scale) => Description {
                stage: "loss_scale",
                setting: match scale {
                    Scale::Dynamic => "dynamic".into(),
                    Scale::Fixed(scale) => format!("{scale}"),
                },
                saves: "gradients that f16 would round to zero",
                costs: "a skipped step on overflow",
                changes: "never, but for skipped steps",
            },
            Self::Accumulate { steps } => Description {
                stage: "accumulate",
                setting: match steps {
                    1 => "1 episode a step".into(),
                    steps => format!("{steps} episodes a step"),
                },
                saves: match steps {
                    1 => "nothing",
                    _ => "nothing at the peak; the effective batch grows",
                },
                costs: "nothing",
                changes: match steps {
                    1 => "never",
                    _ => "the gradient is the mean over the window",
                },
            },
            Self::Autocast(precision) => Description {
                stage: "autocast",
                setting: match precision {
                    Precision::F16 => "f16".into(),
                    Precision::Bf16 => "bf16".into(),
                },
                saves: "half of the backbone's activations",
                costs: "a 16-bit copy of the weights; time where there are no 16-bit units",
                changes: "by rounding",
            },
            Self::MicroBatch { steps } => Description {
                stage: "micro_batch",
                setting: format!("{steps} parts an episode"),
                saves: "the activations of all parts but one",
                costs: "one more forward pass",
                changes: "batch norm sees a part at a time; the loss is exact",
            },
            Self::Recompute(segment) => Description {
                stage: "recompute",
                setting: match segment {
                    Segment::Block => "block".into(),
                    Segment::LayerGroup => "stage".into(),
                },
                saves: match segment {
                    Segment::Block => {
                        "activations inside all blocks except the one being recomputed"
                    }
                    Segment::LayerGroup => {
                        "activations inside all layer groups except the one being recomputed"
                    }
                },
                costs: "one more forward pass",
                changes: "never",
            },
        }
    }
}
