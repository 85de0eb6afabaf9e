//! The innermost step: one episode, forward and backward, cut in two at the features.
//!
//! The head and the loss couple all images of an episode, but they only see features. So the loss
//! is differentiated at the features first, and an [`Embed`] takes that gradient through the
//! backbone, in whatever pieces its memory optimisation likes (GradCache, arXiv 2101.06983). The
//! head's activations are gone before the backbone's backward pass starts.

use std::rc::Rc;

use burn::prelude::*;

use super::autocast::cast_weights;
use super::embed::Embed;
use super::grads::Gradients;
use super::{Episode, Grads, Step, StepContext, StepError};
use crate::loss::weights::GradientNorms;
use crate::loss::{Loss, Objective};
use crate::model::FewShotNet;
use crate::model::layers::to_host;
use crate::network::{DynamicDriver, EpisodeShape};

/// Gradients of one episode.
pub struct Backward {
    /// What is minimised.
    pub objective: Objective,
    /// How the backbone is passed, and passed back.
    pub embedding: Rc<dyn Embed>,
}

impl Step<Episode> for Backward {
    fn grads(
        &mut self,
        net: &FewShotNet,
        episode: Episode,
        cx: &mut StepContext,
    ) -> Result<Grads, StepError> {
        let shape = episode.shape;
        let backbone = cast_weights(&net.backbone, cx.precision);
        let images = match cx.precision {
            Some(dtype) => episode.images.cast(dtype),
            None => episode.images,
        };
        let embedded = self.embedding.embed(&backbone, images);

        let features = Tensor::from_inner(embedded.features).require_grad();
        let (support, query) = shape.split(features.clone());
        let head = cast_weights(&net.head, cx.precision);
        let output = head.forward(support.clone(), query, shape);
        let Loss { total, terms } =
            self.objective.loss(&head, output, support.flatten(1, 3), shape, &mut cx.state.vic);
        let mut tape = (total * cx.scale).backward();
        let d_features = features.grad_remove(&mut tape).expect("the loss depends on the features");
        let mut gradients = Gradients::take(&mut tape, &head);
        drop((tape, head));

        self.follow_gradients(net, features.inner(), d_features.clone(), shape, cx);
        gradients.add(net, embedded.tape.backward(&backbone, d_features));
        Ok(Grads { gradients, terms: vec![terms], moments: vec![embedded.moments], finite: None })
    }
}

impl Backward {
    /// Lets gradient-driven VIC weights see the gradients at the support features.
    ///
    /// One backward pass is enough: the VIC terms are differentiated again on the features alone,
    /// which is cheap, and what they do not explain of the whole gradient is the cross-entropy's.
    fn follow_gradients(
        &self,
        net: &FewShotNet,
        features: Tensor<4>,
        d_features: Tensor<4>,
        shape: EpisodeShape,
        cx: &mut StepContext,
    ) {
        let (Some(vic), Some(weights)) = (&self.objective.vic, &mut cx.state.vic) else {
            return;
        };
        let Some(dynamic) = vic.dynamic.as_ref().filter(|it| it.driver == DynamicDriver::Gradient)
        else {
            return;
        };
        let d_support = shape.split(d_features).0.flatten::<2>(1, 3) / cx.scale;
        let support = shape.split(features).0.flatten::<2>(1, 3);
        let gradient = |pick: fn(crate::loss::vic::VicTerms) -> Tensor<1>| {
            let leaf = Tensor::from_inner(support.clone()).require_grad();
            let weight = net.head.prototype_weight().map(Tensor::detach);
            let term = pick(vic.terms(leaf.clone(), weight, shape));
            match term.is_tracked() {
                true => leaf.grad(&term.backward()),
                false => None,
            }
            .unwrap_or_else(|| support.zeros_like())
        };
        let variance = gradient(|terms| terms.variance);
        let invariance = gradient(|terms| terms.invariance);
        let covariance = gradient(|terms| terms.covariance);
        let rest = d_support
            - variance.clone() * weights.alpha
            - invariance.clone() * weights.beta
            - covariance.clone() * weights.gamma;
        let norms = [rest, variance, invariance, covariance].map(|it| it.square().sum().sqrt());
        let norms = to_host(Tensor::cat(norms.to_vec(), 0));
        dynamic.follow_gradients(
            weights,
            GradientNorms {
                cross_entropy: norms[0].into(),
                variance: norms[1].into(),
                invariance: norms[2].into(),
                covariance: norms[3].into(),
            },
        );
    }
}
