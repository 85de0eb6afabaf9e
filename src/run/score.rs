//! The scores of a test beyond its mean: by class, and calibration.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::answer::{Answer, argmax};
use super::calibration::{Calibrated, Reliability};
use crate::data::ImageSet;

/// Scores of a test, by class name.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Scores {
    /// Expected calibration error over 15 bins of equal width: the mean distance between how sure
    /// the model is (its largest softmax) and how often it is right, weighted by queries.
    pub ece: f64,
    /// The same at the temperature that was fitted in validation, where there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub calibrated: Option<Calibrated>,
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
    reliability: Reliability,
}

impl Tally {
    /// Counts the queries of an answered episode.
    pub fn add(&mut self, answer: &Answer) {
        let shape = answer.episode.shape();
        let classes = &answer.episode.classes;
        for (logits, truth) in answer.logits.chunks_exact(shape.n_way).zip(answer.episode.truths())
        {
            let guess = argmax(logits);
            *self.confusion.entry((classes[truth], classes[guess])).or_default() += 1;
        }
        self.reliability.add(answer, 1.0);
        self.asked.extend(classes);
    }

    /// The scores, with the names of `set`.
    pub fn scores(&self, set: &ImageSet) -> Scores {
        let name = |class: usize| set.classes()[class].name.clone();
        let mut scores = Scores { ece: self.reliability.ece(), ..Scores::default() };
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
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::EpisodeIndices;

    #[test]
    fn scores_are_those_of_the_definitions() {
        let episode = EpisodeIndices {
            classes: vec![4, 7],
            support: vec![0, 1],
            query: vec![2, 3, 4, 5],
            query_counts: vec![2, 2],
        };
        // Class 4 is called 4 and 7, class 7 is called 7 and 7.
        let sure = 3.0f32.ln();
        let logits = [sure, 0.0, 0.0, sure, 0.0, sure, 0.0, sure];
        let mut tally = Tally::default();
        tally.add(&Answer { episode: &episode, logits: &logits, accuracy: 0.75 });
        assert_eq!(tally.confusion, BTreeMap::from([((4, 4), 1), ((4, 7), 1), ((7, 7), 2)]));
        // All are sure to 3/4, and 3 of 4 are right.
        assert!(tally.reliability.ece() < 1e-6, "{}", tally.reliability.ece());
        assert_eq!(tally.asked, BTreeSet::from([4, 7]));
    }

    #[test]
    fn a_model_that_is_sure_and_wrong_is_not_calibrated() {
        let episode = EpisodeIndices {
            classes: vec![0, 1],
            support: vec![0, 1],
            query: vec![2, 3],
            query_counts: vec![1, 1],
        };
        let mut tally = Tally::default();
        tally.add(&Answer { episode: &episode, logits: &[0.0, 50.0, 50.0, 0.0], accuracy: 0.0 });
        assert!((tally.reliability.ece() - 1.0).abs() < 1e-9);
    }
}
