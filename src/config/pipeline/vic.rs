use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    finding::{Checks, Finding},
    rule::Rule,
};
pub use crate::network::{CovarianceForm, DynamicDriver};

/// Variance, invariance and covariance regularisation of the support features.
///
/// A preset fills whatever is not written.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Vic {
    /// Where values that are not written come from.
    pub preset: VicPreset,
    /// Hinge on the standard deviation of each feature.
    pub variance: Variance,
    /// Distance of support features to their prototype.
    pub invariance: Invariance,
    /// Squared covariance between pairs of features.
    pub covariance: Covariance,
    /// Weights that follow training.
    pub dynamic: Dynamic,
    /// The same terms on the transformer's output.
    pub on_attention: OnAttention,
}

/// Where VIC values that are not written come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum VicPreset {
    /// Every term does something (after ProFONet and VICReg).
    #[default]
    Profonet,
    /// The numbers of the reference code.
    Reference,
}

/// Variance hinge: mean over features of `relu(target − std)`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Variance {
    /// Weight α of the term.
    #[schemars(range(min = 0, max = 1e9))]
    pub weight: Option<f64>,
    /// Standard deviation below which a feature is penalised.
    #[schemars(extend("exclusiveMinimum" = 0, "maximum" = 1e9))]
    pub target: Option<f64>,
    /// Added to the variance before the root, so that its gradient is finite.
    #[schemars(extend("exclusiveMinimum" = 0, "maximum" = 1))]
    pub eps: Option<f64>,
}

/// Mean squared distance of the support features to their prototype.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Invariance {
    /// Weight β of the term.
    #[schemars(range(min = 0, max = 1e9))]
    pub weight: Option<f64>,
}

/// Sum of squared covariances between features.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Covariance {
    /// Weight γ of the term.
    #[schemars(range(min = 0, max = 1e9))]
    pub weight: Option<f64>,
    /// How it is computed; both give the same number.
    pub form: CovarianceForm,
}

/// Weights that follow training.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Dynamic {
    /// Whether the weights move.
    pub enabled: Option<bool>,
    /// Share of the old weight kept at each step, from 0 to below 1.
    #[schemars(range(min = 0), extend("exclusiveMaximum" = 1))]
    pub ema_decay: Option<f64>,
    /// The quantity that the weights follow.
    pub driven_by: Option<DynamicDriver>,
}

/// VIC on the transformer's output.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct OnAttention {
    /// Whether it is added to the loss.
    pub enabled: bool,
    /// Factor on its terms.
    #[schemars(range(min = 0, max = 1e9))]
    pub scale: Option<f64>,
    /// Cut its gradient, as the reference does.
    pub detach: Option<bool>,
}

/// Terms that cost much or do nothing.
pub(super) fn check(vic: &Vic, k_shot: usize, checks: &mut Checks) {
    if vic.covariance.form == CovarianceForm::Dense {
        let key = "method.vic.covariance.form";
        let message = format!("`{key}: dense` builds matrices of features × features");
        let help = "write `gram`: it gives the same number from a small matrix";
        checks.push(
            Finding::new(Rule::DenseCovariance, key, message, help)
                .label("2.35 GiB each at 25088 features"),
        );
    }
    let key = "method.vic.invariance.weight";
    if k_shot == 1 && checks.is_written(key) {
        let message = format!("`{key}` does nothing with `episode.k_shot: 1`");
        let help = "remove it, or use more shots";
        checks.push(
            Finding::new(Rule::OneShotInvariance, key, message, help)
                .label("one shot is its own prototype"),
        );
    }
}
