use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Shape of an episode: `n_way` classes, of each `k_shot` support and `n_query` query images.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Episode {
    /// Classes an episode.
    pub n_way: usize,
    /// Support images a class.
    pub k_shot: usize,
    /// Query images a class.
    pub n_query: usize,
}

impl Default for Episode {
    fn default() -> Self {
        Self {
            n_way: 5,
            k_shot: 5,
            n_query: 16,
        }
    }
}
