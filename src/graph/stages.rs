use std::rc::Rc;

use burn::prelude::*;
use burn::tensor::{DType, FloatDType};

use super::objective::objective;
use crate::plan::{Plan, Precision, Scale, StageSpec};
use crate::stage::accumulate::Accumulate;
use crate::stage::autocast::Autocast;
use crate::stage::backward::Backward;
use crate::stage::clear_cache::ClearCache;
use crate::stage::embed::{Plain, Untrained};
use crate::stage::guard::Guard;
use crate::stage::loss_scale::{LossScale, ScalerState};
use crate::stage::micro_batch::MicroBatch;
use crate::stage::recompute::Recompute;
use crate::stage::{BoxStep, Embed, Episode, Window};

/// A step with all its stages.
pub struct Built {
    /// Gradients of a window of episodes.
    pub step: BoxStep<Window>,
    /// Episodes a full window holds.
    pub episodes_a_step: usize,
    /// What had to be done otherwise than asked.
    pub warnings: Vec<String>,
}

/// Stacks a plan's stages, innermost first.
pub fn build(plan: &Plan, device: &Device) -> Built {
    let mut warnings = Vec::new();
    let stages: Vec<StageSpec> = plan
        .stages
        .iter()
        .copied()
        .filter(|stage| supported(stage, device, &mut warnings))
        .collect();
    let lowered = stages.iter().any(|stage| matches!(stage, StageSpec::Autocast(_)));

    let norm = plan.pipeline.backbone.resolved_batch_norm();
    let embedding: Rc<dyn Embed> = if plan.pipeline.backbone.train {
        stages.iter().rev().fold(Rc::new(Plain { norm }), |inner, stage| match *stage {
            StageSpec::Recompute(segment) => {
                let segments = plan.network.backbone.segments(segment);
                Rc::new(Recompute { segments, norm })
            }
            StageSpec::MicroBatch { steps } => Rc::new(MicroBatch { steps, inner, norm }),
            _ => inner,
        })
    } else {
        Rc::new(Untrained { norm })
    };
    let episode: BoxStep<Episode> = stages.iter().rev().fold(
        Box::new(Backward { objective: objective(&plan.pipeline), embedding }),
        |inner, stage| match *stage {
            StageSpec::Autocast(precision) => {
                Box::new(Autocast { dtype: float_dtype(precision), inner })
            }
            _ => inner,
        },
    );
    let mut episodes_a_step = 1;
    let step: BoxStep<Window> =
        stages.iter().rev().fold(Box::new(Accumulate { inner: episode }), |inner, stage| {
            match *stage {
                StageSpec::Accumulate { steps } => {
                    episodes_a_step = steps;
                    inner
                }
                StageSpec::LossScale(scale) if lowered => {
                    let initial = match scale {
                        Scale::Dynamic => ScalerState::dynamic(),
                        Scale::Fixed(scale) => ScalerState::fixed(scale),
                    };
                    Box::new(LossScale { initial, inner })
                }
                StageSpec::ClearCache { every } => {
                    Box::new(ClearCache { every, device: device.clone(), steps: 0, inner })
                }
                _ => inner,
            }
        });
    let step: BoxStep<Window> = Box::new(Guard { inner: step });
    Built { step, episodes_a_step, warnings }
}

/// Whether the device can carry a stage out; where it cannot, training goes on in f32.
fn supported(stage: &StageSpec, device: &Device, warnings: &mut Vec<String>) -> bool {
    let StageSpec::Autocast(precision) = stage else {
        return true;
    };
    let dtype = match precision {
        Precision::F16 => DType::F16,
        Precision::Bf16 => DType::BF16,
    };
    let can = device.supports_dtype(dtype);
    if !can {
        warnings.push(format!(
            "`memory.amp: {}` is not supported by this device: training goes on in f32",
            format!("{precision:?}").to_lowercase(),
        ));
    }
    can
}

fn float_dtype(precision: Precision) -> FloatDType {
    match precision {
        Precision::F16 => FloatDType::F16,
        Precision::Bf16 => FloatDType::BF16,
    }
}
