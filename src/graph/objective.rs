use crate::config::{self, MethodKind, Pipeline, VicPreset};
use crate::loss::Objective;
use crate::loss::vic::{CovarianceScale, OnAttention, Vic};
use crate::loss::weights::{Dynamic, VicWeights};
use crate::network::{DynamicDriver, RelationLoss};

/// The loss of a pipeline.
pub fn objective(pipeline: &Pipeline) -> Objective {
    let vic = (pipeline.method.kind == MethodKind::Profoct)
        .then(|| vic(&pipeline.method.vic.clone().unwrap_or_default()));
    let method = &pipeline.method;
    let of_pairs = method.kind == MethodKind::Relation && method.loss == RelationLoss::Mse;
    let balance =
        (method.kind == MethodKind::Feat && method.balance > 0.0).then_some(method.balance);
    Objective { label_smoothing: method.label_smoothing, balance, of_pairs, vic }
}

/// The values of a preset, for keys that the pipeline does not set.
struct Defaults {
    weights: VicWeights,
    dynamic: bool,
    driver: DynamicDriver,
    ema_decay: f64,
    variance_target: f64,
    variance_eps: f64,
    invariance: bool,
    covariance_scale: CovarianceScale,
    attention_scale: f64,
    attention_detach: bool,
}

impl Defaults {
    fn of(preset: VicPreset) -> Self {
        match preset {
            VicPreset::Profonet => Self {
                weights: VicWeights { alpha: 0.05, beta: 0.05, gamma: 0.05 },
                dynamic: true,
                driver: DynamicDriver::Gradient,
                ema_decay: 0.9,
                variance_target: 1.0,
                variance_eps: 1e-4,
                invariance: true,
                covariance_scale: CovarianceScale::Chance,
                attention_scale: 0.5,
                attention_detach: false,
            },
            VicPreset::Reference => Self {
                weights: VicWeights { alpha: 0.5, beta: 9.0, gamma: 0.5 },
                dynamic: true,
                driver: DynamicDriver::Loss,
                ema_decay: 0.9,
                variance_target: 1e-4,
                variance_eps: 1e-8,
                invariance: false,
                covariance_scale: CovarianceScale::Features,
                attention_scale: 0.5,
                attention_detach: true,
            },
        }
    }
}

fn vic(vic: &config::Vic) -> Vic {
    let defaults = Defaults::of(vic.preset);
    let initial = VicWeights {
        alpha: vic.variance.weight.unwrap_or(defaults.weights.alpha),
        beta: vic.invariance.weight.unwrap_or(defaults.weights.beta),
        gamma: vic.covariance.weight.unwrap_or(defaults.weights.gamma),
    };
    let dynamic = vic.dynamic.enabled.unwrap_or(defaults.dynamic).then(|| Dynamic {
        ema_decay: vic.dynamic.ema_decay.unwrap_or(defaults.ema_decay),
        driver: vic.dynamic.driven_by.unwrap_or(defaults.driver),
        base: initial,
    });
    Vic {
        initial,
        dynamic,
        variance_target: vic.variance.target.unwrap_or(defaults.variance_target),
        variance_eps: vic.variance.eps.unwrap_or(defaults.variance_eps),
        invariance: defaults.invariance,
        covariance: vic.covariance.form,
        covariance_scale: defaults.covariance_scale,
        on_attention: vic.on_attention.enabled.then(|| OnAttention {
            scale: vic.on_attention.scale.unwrap_or(defaults.attention_scale),
            detach: vic.on_attention.detach.unwrap_or(defaults.attention_detach),
        }),
    }
}
