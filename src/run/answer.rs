//! What a model says to an episode.

use crate::data::EpisodeIndices;

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
pub fn accuracy(logits: &[f32], episode: &EpisodeIndices) -> f64 {
    let rows = logits.chunks_exact(episode.classes.len());
    let right = rows.zip(episode.truths()).filter(|(logits, truth)| argmax(logits) == *truth);
    right.count() as f64 / episode.query.len() as f64
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
        let logits = [1.0, 0.0, 0.0, 1.0, 0.0, 1.0, 0.5, 0.5];
        let episode = |query_counts: [usize; 2]| EpisodeIndices {
            classes: vec![0, 1],
            support: vec![0, 1],
            query: vec![2, 3, 4, 5],
            query_counts: query_counts.to_vec(),
        };
        assert_eq!(accuracy(&logits, &episode([2, 2])), 0.5);
        assert_eq!(accuracy(&logits, &episode([1, 3])), 0.75);
        assert_eq!(accuracy(&logits, &episode([4, 0])), 0.5);
    }
}
