//! The innermost step: one episode, forward and backward, cut in two at the features.
//!
//! The head and the loss couple all images of an episode, but they see features only. So the loss is
//! differentiated at the features first, and an [`Embed`] propagates that gradient through the
//! backbone, in the pieces that its memory optimisation needs (GradCache, arXiv 2101.06983). The
//! head's activations are freed before the backbone's backward pass starts.
//!
//! A large head's gradients can come last: the first pass through the head gives the gradient at the features alone, and
//! a second one, after the backbone's backward pass, the same gradients of the head's weights as otherwise. They are
//! then not held while activations are. FSCT's head on the features of a ResNet18 at 224 px has 55 M weights.

use std::rc::Rc;

use burn::module::Module;
use burn::prelude::*;

use super::autocast::cast_weights;
use super::embed::Embed;
use super::grads::Gradients;
use super::step::{Episode, Grads, Step, StepContext, StepError};
use crate::loss::vic::{OnAttention, VicTerms};
use crate::loss::weights::{GradientNorms, VicWeights};
use crate::loss::{Loss, Objective};
use crate::model::kernel::images::lowered;
use crate::model::kernel::kept::Scope;
use crate::model::layers::{scalars, sum_of_squares};
use crate::model::{FewShotNet, Head, Moments};
use crate::network::{DynamicDriver, EpisodeShape};

/// Gradients of one episode.
pub struct Backward {
    /// The loss that is minimised.
    pub objective: Objective,
    /// The backbone's forward and backward pass.
    pub embedding: Rc<dyn Embed>,
    /// Whether the gradients of the head's weights are computed after those of the backbone.
    pub head_last: bool,
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
            Some(dtype) => lowered(episode.images, dtype),
            None => episode.images,
        };
        let passes = Scope::new(cx.keep);
        let embedded = passes.within(|| self.embedding.embed(&backbone, images));

        let features = Tensor::from_inner(embedded.features).require_grad();
        let whole = cast_weights(&net.head, cx.precision);
        let head = if self.head_last { whole.no_grad() } else { whole };
        let labels = episode.labels;
        let mut moments = embedded.moments;
        // The VIC weights of this step; the loss moves them for the next one.
        let mut vic = cx.state.vic;
        let Loss { total, terms } = self.loss(
            &head,
            features.clone(),
            labels.clone(),
            shape,
            &mut cx.state.vic,
            &mut moments,
        );
        let mut tape = (total * cx.scale).backward();
        let d_features = features.grad_remove(&mut tape).expect("the loss depends on the features");
        let mut gradients = Gradients::default();
        if !self.head_last {
            gradients.take(&mut tape, &head);
        }
        drop((tape, head));

        let features = features.inner();
        self.follow_gradients(net, features.clone(), d_features.clone(), shape, cx);
        let features = self.head_last.then_some(features);
        let tape = embedded.tape;
        passes.within(|| tape.backward(&backbone, d_features, cx.state, &mut gradients));
        drop(backbone);
        if let Some(features) = features {
            let head = cast_weights(&net.head, cx.precision);
            let Loss { total, .. } = self.loss(
                &head,
                Tensor::from_inner(features),
                labels,
                shape,
                &mut vic,
                &mut Vec::new(),
            );
            gradients.take(&mut (total * cx.scale).backward(), &head);
        }
        Ok(Grads { gradients, terms: vec![terms], moments: vec![moments], norm: None })
    }
}

impl Backward {
    /// The loss of an episode, or of a batch with labels. Batch statistics of the head's own norms go to `moments`.
    fn loss(
        &self,
        head: &Head,
        features: Tensor<4>,
        labels: Option<Tensor<1, Int>>,
        shape: EpisodeShape,
        vic: &mut Option<VicWeights>,
        moments: &mut Vec<Moments>,
    ) -> Loss {
        if let Some(labels) = labels {
            // No support: every image is classified.
            let output = head.forward(features.clone(), features, shape);
            return self.objective.of_batch(output.logits, labels);
        }
        let (support, query) = shape.split(features);
        let mut output = head.forward(support.clone(), query.clone(), shape);
        moments.append(&mut output.moments);
        if self.objective.balance.is_some() {
            output.members = head.members(support.clone(), query, shape);
        }
        self.objective.loss(head, output, support.flatten(1, 3), shape, vic)
    }
}

impl Backward {
    /// Moves gradient-driven VIC weights by the gradients at the support features.
    ///
    /// The backward pass gives the gradient of the whole loss. The VIC terms are differentiated again,
    /// each alone; the whole gradient without theirs is the cross-entropy's. On the support features
    /// that is cheap. Terms on the attention, unless they are detached, reach the support features
    /// through the head, which is passed once more for each of them.
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
        let (support, query) = shape.split(features);
        let prototype_weight = net.head.prototype_weight().map(Tensor::detach);
        let of_support =
            |leaf: Tensor<4>| vic.terms(leaf.flatten(1, 3), prototype_weight.clone(), shape);
        let attention = vic.on_attention.as_ref().filter(|it| !it.detach);
        let through = attention.map(|it| (it, cast_weights(&net.head, cx.precision).no_grad()));
        let scale = cx.scale;
        let gradient = |pick: fn(VicTerms) -> Tensor<1>, through: Option<&(&OnAttention, Head)>| {
            let leaf = Tensor::from_inner(support.clone()).require_grad();
            let (mut terms, mut factor) = (of_support(leaf.clone()), 1.0);
            if let Some((attention, head)) = through {
                let query = Tensor::from_inner(query.clone());
                if let Some(attended) = head.forward(leaf.clone(), query, shape).attended {
                    terms = terms.plus(vic.terms_on_attention(attended, attention));
                    // Through the head gradients may be in 16 bits, where they need the scale.
                    factor = scale;
                }
            }
            let term = pick(terms);
            let gradient = match term.is_tracked() {
                true => leaf.grad(&(term * factor).backward()),
                false => None,
            };
            let gradient = gradient.unwrap_or_else(|| support.zeros_like()).flatten::<2>(1, 3);
            if factor == 1.0 { gradient } else { gradient / factor }
        };
        let variance = gradient(|terms| terms.variance, through.as_ref());
        let invariance = gradient(|terms| terms.invariance, None);
        let covariance = gradient(|terms| terms.covariance, through.as_ref());
        let cross_entropy = d_support
            - variance.clone() * weights.alpha
            - invariance.clone() * weights.beta
            - covariance.clone() * weights.gamma;
        let gradients = [cross_entropy, variance, invariance, covariance];
        let norms = scalars(gradients.map(|it| sum_of_squares(it).sqrt()));
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
