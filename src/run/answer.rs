//! What a model says to an episode.

use crate::data::EpisodeIndices;
use crate::model::EpisodeShape;

/// The answer to one episode.
pub struct Answer<'a> {
    /// Images of the episode, by index.
    pub episode: &'a EpisodeIndices,
    /// `[Q, n_way]` row-major, queries by class.
    pub logits: &'a [f32],
    /// Share of right queries.
    pub accuracy: f64,
}

/// Share of the queries whose largest logit is their class; the first of equals counts.
pub fn accuracy(logits: &[f32], shape: EpisodeShape) -> f64 {
    let rows = logits.chunks_exact(shape.n_way);
    let right = rows.enumerate().filter(|(row, logits)| argmax(logits) == row / shape.n_query);
    right.count() as f64 / shape.queries() as f64
}

/// Where the largest value stands; the first of equals.
pub fn argmax(values: &[f32]) -> usize {
    let mut best = 0;
    for (index, value) in values.iter().enumerate() {
        if *value > values[best] {
            best = index;
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accuracy_counts_largest_logits() {
        let shape = EpisodeShape { n_way: 2, k_shot: 1, n_query: 2 };
        let logits = [1.0, 0.0, 0.0, 1.0, 0.0, 1.0, 0.5, 0.5];
        assert_eq!(accuracy(&logits, shape), 0.5);
    }
}
