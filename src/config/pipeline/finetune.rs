use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    finding::{Checks, Finding},
    method_kind::MethodKind,
    rule::Rule,
};
use crate::network::Distance;

/// Fine-tuning of the prototypes on the support of each episode of validation, of the test and of `fsct predict`:
/// gradient descent on the cross-entropy of the support images. Training episodes have none.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Finetune {
    /// Gradient steps on the whole support.
    #[schemars(range(min = 1, max = 100_000))]
    pub steps: usize,
    /// Factor on the gradient in each of the steps.
    #[schemars(range(max = 1000), extend("exclusiveMinimum" = 0))]
    pub learning_rate: f64,
}

impl Default for Finetune {
    fn default() -> Self {
        Self { steps: 100, learning_rate: 0.01 }
    }
}

/// Only prototypes under a Euclidean distance or a cosine are moved.
pub(super) fn check(kind: MethodKind, distance: Distance, checks: &mut Checks) {
    let (message, help, at) = if kind != MethodKind::Protonet {
        let message = format!("`method.finetune` does not belong to `method.kind: {kind}`");
        (message, "write `kind: protonet`, or remove `finetune`", "method.kind")
    } else if distance == Distance::Mahalanobis {
        let message = "`method.finetune` moves no prototypes under `method.distance: mahalanobis`";
        let help = "write `distance: euclidean` or `distance: cosine`, or remove `finetune`";
        (message.to_owned(), help, "method.distance")
    } else {
        return;
    };
    checks.push(
        Finding::new(Rule::FinetuneWithoutPrototypes, "method.finetune", message, help)
            .at(at)
            .label("has no prototypes to move"),
    );
}
