use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::network::EpisodeShape;

/// Shape of an episode: `n_way` classes, of each `k_shot` support and `n_query` query images.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Episode {
    /// Classes in an episode, 2 or more. Papers report 5.
    #[schemars(range(min = 2, max = 1000))]
    pub n_way: usize,
    /// Support images of each class: what the model learns the class from. Papers report 1 and 5.
    #[schemars(range(min = 1, max = 1000))]
    pub k_shot: usize,
    /// Query images of each class: what the model is asked about.
    ///
    /// Fewer queries save activation memory and make the gradient noisier.
    #[schemars(range(min = 1, max = 1000))]
    pub n_query: usize,
}

impl From<Episode> for EpisodeShape {
    fn from(episode: Episode) -> Self {
        let Episode { n_way, k_shot, n_query } = episode;
        Self { n_way, k_shot, n_query }
    }
}

impl Default for Episode {
    fn default() -> Self {
        Self { n_way: 5, k_shot: 5, n_query: 16 }
    }
}
