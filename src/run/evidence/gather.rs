//! A test that keeps what a report shows of it.

use super::mistakes::{Answers, digest, worst};
use super::{FeatureEvidence, TestEvidence, features};
use crate::config::Episode;
use crate::data::{EpisodeIndices, ImageSet};
use crate::run::RunError;
use crate::run::calibration::Calibration;
use crate::run::evaluate::{Evaluated, Features, OnAnswer};

/// A network's answers, from which evidence is made.
#[derive(Debug)]
pub struct Tested {
    /// Accuracy, scores with their calibration, and how features were computed.
    pub evaluated: Evaluated,
    answers: Answers,
    asked: String,
    temperature: f64,
}

/// Answers episodes. `temperature` is that of the tested checkpoint, where it has one.
///
/// # Errors
/// As [`Features::answer`].
pub fn test(
    features: &Features,
    episodes: &[EpisodeIndices],
    temperature: Option<f64>,
    on_answer: OnAnswer,
) -> Result<Tested, RunError> {
    let mut calibrated = Calibration::at(temperature);
    let plain = temperature.unwrap_or(1.0);
    let mut answers = Answers::new(plain);
    let mut evaluated = features.answer(episodes, &mut |number, answer| {
        calibrated.add(&answer);
        answers.add(&answer);
        on_answer(number, answer)
    })?;
    evaluated.scores.calibrated = calibrated.result();
    let asked = digest(features.set(), episodes);
    Ok(Tested { evaluated, answers, asked, temperature: plain })
}

impl Tested {
    /// Adds images and features. Takes some passes through the backbone unless the features of the whole split
    /// are kept.
    ///
    /// # Errors
    /// When an image cannot be read, or somebody asked to stop.
    pub fn evidence(
        self,
        set: &ImageSet,
        of: &Features,
        checkpoint: String,
        episode: Episode,
    ) -> Result<(TestEvidence, Option<FeatureEvidence>), RunError> {
        let seen = features::features(set, of)?;
        let (right, mistakes) = self.answers.finish(set);
        let Evaluated { accuracy, scores, .. } = self.evaluated;
        let test = TestEvidence {
            checkpoint,
            episode,
            accuracy,
            worst: worst(set, &scores),
            scores,
            temperature: self.temperature,
            asked: self.asked,
            right,
            mistakes,
        };
        Ok((test, seen))
    }
}
