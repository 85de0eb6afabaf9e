//! The scores of a test beyond its mean: by class, and calibration.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::answer::{Answer, argmax};
use crate::data::ImageSet;

/// Bins of confidence that the calibration error is computed over.
const BINS: usize = 15;

/// Scores of a test, by class name.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Scores {
    /// Expected calibration error over 15 bins of equal width: the mean distance between how sure
    /// the model is (its largest softmax) and how often it is right, weighted by queries.
    pub ece: f64,
    /// Each class that was in an episode, by name.
    pub classes: BTreeMap<String, ClassScore>,
    /// Queries by true class, then by predicted class; pairs that never happened are left out.
    pub confusion: BTreeMap<String, BTreeMap<String, usize>>,
}

/// Scores of a class, over the episodes that it was in.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct ClassScore {
    /// Number of queries of the class.
    pub queries: usize,
    /// Share of the queries called it that are of it; none where no query was.
    pub precision: Option<f64>,
    /// Share of its queries that were called it.
    pub recall: f64,
    /// Harmonic mean of precision and recall; 0 where both are.
    pub f1: f64,
}

/// Counts answers as they come.
#[derive(Debug, Default)]
pub struct Tally {
    confusion: BTreeMap<(usize, usize), usize>,
    /// Classes that were in an episode.
    asked: BTreeSet<usize>,
    bins: [Bin; BINS],
}

#[derive(Debug, Default, Clone, Copy)]
struct Bin {
    queries: usize,
    right: usize,
    confidence: f64,
}

impl Tally {
    /// Counts the queries of an answered episode.
    pub fn add(&mut self, answer: &Answer) {
        let shape = answer.episode.shape();
        let classes = &answer.episode.classes;
        for (row, logits) in answer.logits.chunks_exact(shape.n_way).enumerate() {
            let (truth, guess) = (row / shape.n_query, argmax(logits));
            *self.confusion.entry((classes[truth], classes[guess])).or_default() += 1;
            let confidence = confidence(logits);
            let bin = &mut self.bins[((confidence * BINS as f64) as usize).min(BINS - 1)];
            bin.queries += 1;
            bin.right += usize::from(truth == guess);
            bin.confidence += confidence;
        }
        self.asked.extend(classes);
    }

    /// The scores, with the names of `set`.
    pub fn scores(&self, set: &ImageSet) -> Scores {
        let name = |class: usize| set.classes()[class].name.clone();
        let mut scores = Scores { ece: self.ece(), ..Scores::default() };
        for ((truth, guess), count) in &self.confusion {
            let row = scores.confusion.entry(name(*truth)).or_default();
            row.insert(name(*guess), *count);
        }
        for class in &self.asked {
            let sum = |keep: fn(usize, usize, usize) -> bool| -> usize {
                let kept = self.confusion.iter().filter(|((a, b), _)| keep(*a, *b, *class));
                kept.map(|(_, count)| count).sum()
            };
            let hits = sum(|truth, guess, class| truth == class && guess == class);
            let queries = sum(|truth, _, class| truth == class);
            let called = sum(|_, guess, class| guess == class);
            scores.classes.insert(
                name(*class),
                ClassScore {
                    queries,
                    precision: (called > 0).then(|| hits as f64 / called as f64),
                    recall: hits as f64 / queries.max(1) as f64,
                    f1: 2.0 * hits as f64 / (queries + called).max(1) as f64,
                },
            );
        }
        scores
    }

    fn ece(&self) -> f64 {
        let queries: usize = self.bins.iter().map(|bin| bin.queries).sum();
        let apart: f64 =
            self.bins.iter().map(|bin| (bin.right as f64 - bin.confidence).abs()).sum();
        apart / queries.max(1) as f64
    }
}

/// Largest softmax of a row.
fn confidence(logits: &[f32]) -> f64 {
    let largest = f64::from(logits[argmax(logits)]);
    let sum: f64 = logits.iter().map(|logit| (f64::from(*logit) - largest).exp()).sum();
    // Logits that are not finite have no confidence.
    if sum.is_finite() { 1.0 / sum } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::EpisodeIndices;

    #[test]
    fn scores_are_those_of_the_definitions() {
        let episode =
            EpisodeIndices { classes: vec![4, 7], support: vec![0, 1], query: vec![2, 3, 4, 5] };
        // Class 4 is called 4 and 7, class 7 is called 7 and 7.
        let sure = 3.0f32.ln();
        let logits = [sure, 0.0, 0.0, sure, 0.0, sure, 0.0, sure];
        let mut tally = Tally::default();
        tally.add(&Answer { episode: &episode, logits: &logits, accuracy: 0.75 });
        assert_eq!(tally.confusion, BTreeMap::from([((4, 4), 1), ((4, 7), 1), ((7, 7), 2)]));
        // All are sure to 3/4, and 3 of 4 are right.
        assert!(tally.ece() < 1e-6, "{}", tally.ece());
        assert_eq!(tally.asked, BTreeSet::from([4, 7]));
    }

    #[test]
    fn a_model_that_is_sure_and_wrong_is_not_calibrated() {
        let episode =
            EpisodeIndices { classes: vec![0, 1], support: vec![0, 1], query: vec![2, 3] };
        let mut tally = Tally::default();
        tally.add(&Answer { episode: &episode, logits: &[0.0, 50.0, 50.0, 0.0], accuracy: 0.0 });
        assert!((tally.ece() - 1.0).abs() < 1e-9);
    }
}
