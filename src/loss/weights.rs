//! Weights of the VIC terms, and how they change in training.

use serde::{Deserialize, Serialize};

use crate::network::DynamicDriver;

/// Weights of the VIC terms: `loss = CE + α·V + β·I + γ·C`.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct VicWeights {
    /// Weight of the variance term.
    #[serde(deserialize_with = "crate::numbers::finite_or_nan")]
    pub alpha: f64,
    /// Weight of the invariance term.
    #[serde(deserialize_with = "crate::numbers::finite_or_nan")]
    pub beta: f64,
    /// Weight of the covariance term.
    #[serde(deserialize_with = "crate::numbers::finite_or_nan")]
    pub gamma: f64,
}

/// How the weights change: an exponential moving average of targets that depend on the step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Dynamic {
    /// Share of the old weight kept at each step.
    pub ema_decay: f64,
    /// What sets the targets: the values of the loss terms, or their gradient norms at the support
    /// features. With gradient norms, a weight of `w` gives its term `w` times the gradient of the
    /// cross-entropy.
    pub driver: DynamicDriver,
    /// Weights that the targets are computed from.
    pub base: VicWeights,
}

/// Gradient norms at the support features.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct GradientNorms {
    /// Norm of the cross-entropy's gradient.
    pub cross_entropy: f64,
    /// Of the variance term before its weight.
    pub variance: f64,
    /// Of the invariance term before its weight.
    pub invariance: f64,
    /// Of the covariance term before its weight.
    pub covariance: f64,
}

/// Ranges to which the reference clamps its weights.
const ALPHA_GAMMA_RANGE: (f64, f64) = (0.1, 5.0);
const BETA_RANGE: (f64, f64) = (1.0, 20.0);

/// Upper limit of a gradient-driven weight, for terms whose gradient vanishes.
const MAX_BALANCED: f64 = 100.0;

impl Dynamic {
    /// Moves the weights by the values of the terms, before the loss is formed.
    pub fn follow_loss(&self, weights: &mut VicWeights, ce: f64, variance: f64, covariance: f64) {
        if self.driver != DynamicDriver::Loss || !(ce + variance + covariance).is_finite() {
            return;
        }
        let sum = variance + covariance + ce + 1e-8;
        let VicWeights { alpha, beta, gamma } = self.base;
        let target = VicWeights {
            alpha: alpha + 2.0 * variance / sum,
            beta: beta * (1.0 - 0.5 * ce / sum),
            gamma: gamma + 2.0 * covariance / sum,
        };
        self.approach(weights, target);
        let (low, high) = ALPHA_GAMMA_RANGE;
        weights.alpha = weights.alpha.clamp(low, high);
        weights.gamma = weights.gamma.clamp(low, high);
        weights.beta = weights.beta.clamp(BETA_RANGE.0, BETA_RANGE.1);
    }

    /// Moves the weights by gradient norms, after the backward pass; the next step uses them.
    pub fn follow_gradients(&self, weights: &mut VicWeights, norms: GradientNorms) {
        let balanced = |share: f64, norm: f64, old: f64| {
            // A term without gradient keeps its weight, which has no effect.
            if norm > 0.0 { (share * norms.cross_entropy / norm).min(MAX_BALANCED) } else { old }
        };
        let target = VicWeights {
            alpha: balanced(self.base.alpha, norms.variance, weights.alpha),
            beta: balanced(self.base.beta, norms.invariance, weights.beta),
            gamma: balanced(self.base.gamma, norms.covariance, weights.gamma),
        };
        if [target.alpha, target.beta, target.gamma].iter().all(|weight| weight.is_finite()) {
            self.approach_in_ratio(weights, target);
        }
    }

    /// The same average of the logarithms. The cross-entropy's gradient of a solved episode is orders of
    /// magnitude below that of an unsolved one; an average of the values would follow the few large ones,
    /// and the terms would dominate all other episodes.
    fn approach_in_ratio(&self, weights: &mut VicWeights, target: VicWeights) {
        let step = |old: &mut f64, new: f64| {
            if *old == new {
                return;
            }
            *old = match *old > 0.0 && new > 0.0 {
                true => (self.ema_decay * old.ln() + (1.0 - self.ema_decay) * new.ln()).exp(),
                false => new,
            };
        };
        step(&mut weights.alpha, target.alpha);
        step(&mut weights.beta, target.beta);
        step(&mut weights.gamma, target.gamma);
    }

    fn approach(&self, weights: &mut VicWeights, target: VicWeights) {
        let step = |old: &mut f64, new: f64| {
            *old = self.ema_decay * *old + (1.0 - self.ema_decay) * new;
        };
        step(&mut weights.alpha, target.alpha);
        step(&mut weights.beta, target.beta);
        step(&mut weights.gamma, target.gamma);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REFERENCE: VicWeights = VicWeights { alpha: 0.5, beta: 9.0, gamma: 0.5 };

    fn dynamic(driver: DynamicDriver) -> Dynamic {
        Dynamic { ema_decay: 0.9, driver, base: REFERENCE }
    }

    /// The first two steps of the reference, from its own loss values.
    #[test]
    fn loss_driven_weights_follow_the_reference() {
        let mut weights = REFERENCE;
        dynamic(DynamicDriver::Loss).follow_loss(&mut weights, 1.078_796_7, 0.0, 43.804_123);
        assert!((weights.gamma - 0.695_193_05).abs() < 1e-6);
        assert!((weights.beta - 8.989_184_38).abs() < 1e-6);
        dynamic(DynamicDriver::Loss).follow_loss(&mut weights, 1.139_421_8, 0.0, 39.162_354);
        assert!((weights.gamma - 0.870_019_26).abs() < 1e-6);
    }

    #[test]
    fn gradient_driven_weights_converge_to_the_asked_share() {
        let mut weights = REFERENCE;
        let norms = GradientNorms {
            cross_entropy: 2.0,
            variance: 4.0,
            invariance: 0.0,
            covariance: 1000.0,
        };
        for _ in 0..400 {
            dynamic(DynamicDriver::Gradient).follow_gradients(&mut weights, norms);
        }
        assert!((weights.alpha * norms.variance - 0.5 * norms.cross_entropy).abs() < 1e-6);
        assert!((weights.gamma * norms.covariance - 0.5 * norms.cross_entropy).abs() < 1e-6);
        assert_eq!(weights.beta, REFERENCE.beta, "a term without gradient keeps its weight");
    }

    #[test]
    fn gradient_driven_weights_follow_the_typical_episode_not_the_largest() {
        let base = VicWeights { alpha: 0.1, beta: 0.0, gamma: 0.0 };
        let dynamic = Dynamic { ema_decay: 0.9, driver: DynamicDriver::Gradient, base };
        let mut weights = base;
        let norms = |cross_entropy| GradientNorms {
            cross_entropy,
            variance: 1.0,
            invariance: 1.0,
            covariance: 1.0,
        };
        for episode in 0..400 {
            // One in ten is not solved yet.
            let cross_entropy = if episode % 10 == 0 { 1.0 } else { 1e-3 };
            dynamic.follow_gradients(&mut weights, norms(cross_entropy));
        }
        assert!(weights.alpha < 0.1 * 1e-2, "{weights:?}");
        assert_eq!((weights.beta, weights.gamma), (0.0, 0.0));
    }

    #[test]
    fn overflow_does_not_poison_the_weights() {
        let mut weights = REFERENCE;
        dynamic(DynamicDriver::Loss).follow_loss(&mut weights, f64::NAN, 0.0, f64::INFINITY);
        assert_eq!(weights, REFERENCE);
    }
}
