use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    finding::{Checks, Finding},
    rule::Rule,
};

/// Stops training when the validation accuracy no longer improves.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EarlyStopping {
    /// Epochs in a row without an improvement after which training stops.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub patience: usize,
    /// Improvement that counts, as a share: the validation accuracy must exceed the best one before
    /// it by more than this. 0.005 is half a percentage point.
    ///
    /// The best one moves with improvements that count only, so that several small ones count
    /// together.
    #[schemars(range(min = 0), extend("exclusiveMaximum" = 1))]
    #[serde(default)]
    pub min_delta: f64,
}

/// Early stopping without validation episodes, and one that comes after the last epoch.
pub(super) fn check(
    keys: Option<EarlyStopping>,
    epochs: usize,
    validation_episodes: usize,
    checks: &mut Checks,
) {
    let Some(EarlyStopping { patience, .. }) = keys else { return };
    if validation_episodes == 0 {
        checks.push(
            Finding::new(
                Rule::EarlyStoppingWithoutValidation,
                "train.early_stopping",
                "`train.early_stopping` needs validation, and `validate.episodes` is 0",
                "give `validate.episodes` a number, say 200, or remove `early_stopping`",
            )
            .label("no validation accuracy to watch"),
        );
    } else if patience + 1 >= epochs && epochs > 0 {
        let key = "train.early_stopping.patience";
        let message =
            format!("`{key}: {patience}` never stops a training of `train.epochs: {epochs}`");
        let help = "use fewer epochs of patience, or train longer";
        checks.push(
            Finding::new(Rule::PatienceNeverEnds, key, message, help).label("training ends before"),
        );
    }
}
