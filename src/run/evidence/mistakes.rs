//! The answers of a test, as they come: what was right, and what was wrong and sure.

use std::collections::BTreeMap;
use std::fmt::Write;

use sha2::{Digest, Sha256};

use super::picture::picture;
use super::{Mistake, TakenFor, WorstClass};
use crate::data::{EpisodeIndices, ImageSet};
use crate::run::answer::{Answer, argmax};
use crate::run::calibration::confidence;
use crate::run::score::{ClassScore, Scores};

/// Mistakes and classes that are shown, and images of each class.
const MISTAKES: usize = 24;
const CLASSES: usize = 8;
const IMAGES: usize = 5;

/// Collects answers.
#[derive(Debug)]
pub(super) struct Answers {
    temperature: f64,
    right: Vec<String>,
    /// By image.
    wrong: BTreeMap<usize, Wrong>,
}

/// A query that was classified wrongly at least once.
#[derive(Debug)]
struct Wrong {
    class: usize,
    predicted: usize,
    probability: f64,
    times: usize,
    /// A support image of the predicted class.
    support: usize,
}

impl Answers {
    pub(super) fn new(temperature: f64) -> Self {
        Self { temperature, right: Vec::new(), wrong: BTreeMap::new() }
    }

    pub(super) fn add(&mut self, answer: &Answer) {
        let shape = answer.episode.shape();
        let EpisodeIndices { classes, support, query, .. } = answer.episode;
        let mut line = String::with_capacity(query.len());
        let rows = answer.logits.chunks_exact(shape.n_way).zip(answer.episode.truths());
        for (row, (logits, truth)) in rows.enumerate() {
            let guess = argmax(logits);
            line.push(if truth == guess { '1' } else { '0' });
            if truth == guess {
                continue;
            }
            let probability = confidence(logits, self.temperature);
            let wrong = self.wrong.entry(query[row]).or_insert(Wrong {
                class: classes[truth],
                predicted: classes[guess],
                probability: -1.0,
                times: 0,
                support: support[guess * shape.k_shot],
            });
            wrong.times += 1;
            if probability > wrong.probability {
                wrong.probability = probability;
                wrong.predicted = classes[guess];
                wrong.support = support[guess * shape.k_shot];
            }
        }
        self.right.push(line);
    }

    /// By episode, `1` for each query that was right and `0` for the others; then the surest mistakes.
    pub(super) fn finish(self, set: &ImageSet) -> (Vec<String>, Vec<Mistake>) {
        let name = |class: usize| set.classes()[class].name.clone();
        let mut wrong: Vec<(usize, Wrong)> = self.wrong.into_iter().collect();
        wrong.sort_by(|a, b| b.1.probability.total_cmp(&a.1.probability));
        wrong.truncate(MISTAKES);
        let mistakes = wrong.into_iter().map(|(image, wrong)| Mistake {
            query: picture(set, image),
            class: name(wrong.class),
            predicted: name(wrong.predicted),
            probability: wrong.probability,
            times: wrong.times,
            support: picture(set, wrong.support),
        });
        (self.right, mistakes.collect())
    }
}

/// A digest of the classes and images of episodes, by name.
pub(super) fn digest(set: &ImageSet, episodes: &[EpisodeIndices]) -> String {
    let mut hash = Sha256::new();
    for EpisodeIndices { classes, support, query, .. } in episodes {
        let classes = classes.iter().map(|it| set.classes()[*it].name.as_str());
        let images = support.iter().chain(query).map(|it| set.image_name(*it));
        for name in classes.chain(images) {
            hash.update(name.as_bytes());
            hash.update([0]);
        }
        hash.update([1]);
    }
    hash.finalize()[..8].iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// The classes with the least F1 below 1, with images.
pub(super) fn worst(set: &ImageSet, scores: &Scores) -> Vec<WorstClass> {
    let numbers: BTreeMap<&str, usize> =
        set.classes().iter().enumerate().map(|(at, it)| (it.name.as_str(), at)).collect();
    let images = |class: &str| {
        let class = numbers.get(class).map(|at| &set.classes()[*at].images);
        class.into_iter().flatten().take(IMAGES).map(|image| picture(set, *image)).collect()
    };
    let mut classes: Vec<(&String, &ClassScore)> =
        scores.classes.iter().filter(|(_, score)| score.f1 < 1.0).collect();
    classes.sort_by(|a, b| a.1.f1.total_cmp(&b.1.f1));
    classes.truncate(CLASSES);
    let taken_for = |class: &String| {
        let row = scores.confusion.get(class)?;
        let others = row.iter().filter(|(other, _)| *other != class);
        let (other, queries) = others.max_by_key(|(_, queries)| **queries)?;
        Some(TakenFor { class: other.clone(), queries: *queries, images: images(other) })
    };
    let worst = classes.into_iter().map(|(class, _)| WorstClass {
        class: class.clone(),
        images: images(class),
        taken_for: taken_for(class),
    });
    worst.collect()
}
