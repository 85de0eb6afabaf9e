use std::rc::Rc;

use burn::prelude::*;

use super::objective::objective;
use crate::plan::Plan;
use crate::stage::accumulate::Accumulate;
use crate::stage::backward::Backward;
use crate::stage::embed::{Plain, Untrained};
use crate::stage::guard::Guard;
use crate::stage::seat::{BuildContext, Seat, Support};
use crate::stage::{BoxStep, Embed, Episode, Window};

/// A training step with all its stages.
pub struct Built {
    /// Gradients of a window of episodes.
    pub step: BoxStep<Window>,
    /// Episodes in a full window.
    pub episodes_a_step: usize,
    /// Stages that were left out, and why.
    pub warnings: Vec<String>,
}

/// Builds the training step of a plan: each stage around the next inner one.
pub fn build(plan: &Plan, device: &Device) -> Built {
    let backbone = &plan.network.backbone;
    let norm = plan.pipeline.backbone.resolved_batch_norm();
    let cx = BuildContext { device, backbone, norm };

    let mut embedding: Rc<dyn Embed> = match plan.pipeline.backbone.train {
        true => Rc::new(Plain { norm }),
        false => Rc::new(Untrained { norm }),
    };
    let (mut around_episode, mut around_window) = (Vec::new(), Vec::new());
    let mut warnings = Vec::new();
    // Innermost first.
    for spec in plan.stages.iter().rev().map(|stage| stage.get()) {
        match spec.support(device) {
            Support::Supported => {}
            Support::NotNeeded => continue,
            Support::Missing(warning) => {
                warnings.push(warning);
                continue;
            }
        }
        match spec.seat(&cx) {
            Seat::Embedding(wrap) => embedding = wrap(embedding),
            Seat::Episode(wrap) => around_episode.push(wrap),
            // Built below, in every step: it joins the steps of a window's episodes.
            Seat::Accumulation => {}
            Seat::Window(wrap) => around_window.push(wrap),
        }
    }
    let backward: BoxStep<Episode> = Box::new(Backward {
        objective: objective(&plan.pipeline),
        embedding,
        head_last: plan.head_comes_last(),
    });
    let episode = around_episode.into_iter().fold(backward, |inner, wrap| wrap(inner));
    let accumulate: BoxStep<Window> = Box::new(Accumulate { inner: episode });
    let window = around_window.into_iter().fold(accumulate, |inner, wrap| wrap(inner));
    let step: BoxStep<Window> = Box::new(Guard { inner: window });
    Built { step, episodes_a_step: plan.step_shape().episodes, warnings }
}
