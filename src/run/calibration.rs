//! Probabilities that are as large as the model is often right.
//!
//! Guo, Pleiss, Sun and Weinberger, "On Calibration of Modern Neural Networks", ICML 2017: logits are
//! divided by one number, the temperature, which minimises the negative log-likelihood of answers
//! that training has not seen. It changes no answer. Here these are the answers of the validation
//! after each epoch, so that fitting embeds no image again and a checkpoint has its own temperature.

use serde::{Deserialize, Serialize};

use super::answer::{Answer, argmax};

/// Bins of confidence that the calibration error is computed over.
const BINS: usize = 15;
/// Logits that are kept for fitting: one number needs no more.
const KEPT: usize = 1 << 17;
/// Least and greatest temperature. The search ends within a factor of 1 + 1e-8.
const RANGE: [f64; 2] = [0.05, 20.0];
/// Halvings of that range, in logarithms.
const HALVINGS: usize = 30;

/// Answers of episodes that a temperature is fitted on.
#[derive(Debug, Default)]
pub struct TemperatureFit {
    /// `n_way` logits of each query.
    logits: Vec<f32>,
    /// `n_way` and true class of each query.
    queries: Vec<(usize, usize)>,
}

impl TemperatureFit {
    /// Adds the queries of an episode, up to 131,072 logits in all.
    pub fn add(&mut self, answer: &Answer) {
        let shape = answer.episode.shape();
        for (logits, truth) in answer.logits.chunks_exact(shape.n_way).zip(answer.episode.truths())
        {
            if self.logits.len() + shape.n_way > KEPT {
                return;
            }
            self.logits.extend_from_slice(logits);
            self.queries.push((shape.n_way, truth));
        }
    }

    /// The temperature that minimises the negative log-likelihood, from 0.05 to 20; none without an
    /// answer or where a logit is not finite.
    ///
    /// As in Platt's scaling, the true class has the target `(n + 1) / (n + 2)` for n queries: answers that
    /// are all right would otherwise ask for a temperature of zero.
    pub fn temperature(&self) -> Option<f64> {
        if self.queries.is_empty() || self.logits.iter().any(|it| !it.is_finite()) {
            return None;
        }
        let [mut low, mut high] = RANGE.map(f64::ln);
        for _ in 0..HALVINGS {
            let middle = f64::midpoint(low, high);
            // The likelihood is concave in 1 / temperature.
            match self.slope((-middle).exp()) > 0.0 {
                true => low = middle,
                false => high = middle,
            }
        }
        Some(f64::midpoint(low, high).exp())
    }

    /// Derivative of the negative log-likelihood with respect to `factor`, 1 / temperature.
    fn slope(&self, factor: f64) -> f64 {
        let share = 1.0 / (self.queries.len() as f64 + 2.0);
        let mut rest = self.logits.as_slice();
        let mut slope = 0.0;
        for (n_way, truth) in &self.queries {
            let (logits, more) = rest.split_at(*n_way);
            rest = more;
            let largest = f64::from(logits[argmax(logits)]);
            let (mut sum, mut expected, mut total) = (0.0, 0.0, 0.0);
            for logit in logits {
                let below = f64::from(*logit) - largest;
                let weight = (below * factor).exp();
                sum += weight;
                expected += weight * below;
                total += below;
            }
            let right = f64::from(logits[*truth]) - largest;
            let wrong = (total - right) / (*n_way as f64 - 1.0).max(1.0);
            slope += expected / sum - (1.0 - share) * right - share * wrong;
        }
        slope
    }
}

/// How sure the model is, and how often it is right.
#[derive(Debug, Default)]
pub struct Reliability {
    bins: [Bin; BINS],
}

#[derive(Debug, Default, Clone, Copy)]
struct Bin {
    queries: usize,
    right: usize,
    confidence: f64,
}

impl Reliability {
    /// Counts the queries of an answered episode, with logits divided by `temperature`.
    pub fn add(&mut self, answer: &Answer, temperature: f64) {
        let shape = answer.episode.shape();
        for (logits, truth) in answer.logits.chunks_exact(shape.n_way).zip(answer.episode.truths())
        {
            let confidence = confidence(logits, temperature);
            let bin = &mut self.bins[((confidence * BINS as f64) as usize).min(BINS - 1)];
            bin.queries += 1;
            bin.right += usize::from(argmax(logits) == truth);
            bin.confidence += confidence;
        }
    }

    /// The expected calibration error, from 0 to 1.
    pub fn ece(&self) -> f64 {
        let queries: usize = self.bins.iter().map(|bin| bin.queries).sum();
        let apart: f64 =
            self.bins.iter().map(|bin| (bin.right as f64 - bin.confidence).abs()).sum();
        apart / queries.max(1) as f64
    }
}

/// Largest softmax of a row.
pub(super) fn confidence(logits: &[f32], temperature: f64) -> f64 {
    let largest = f64::from(logits[argmax(logits)]);
    let exponential = |logit: &f32| ((f64::from(*logit) - largest) / temperature).exp();
    let sum: f64 = logits.iter().map(exponential).sum();
    // Logits that are not finite have no confidence.
    if sum.is_finite() { 1.0 / sum } else { 0.0 }
}

/// The calibration at a fitted temperature.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Calibrated {
    /// What logits are divided by before the softmax.
    pub temperature: f64,
    /// The expected calibration error then.
    pub ece: f64,
}

/// Measures the calibration at a temperature, where a checkpoint has one.
#[derive(Debug, Default)]
pub struct Calibration {
    temperature: Option<f64>,
    reliability: Reliability,
}

impl Calibration {
    /// Measures at this temperature.
    pub fn at(temperature: Option<f64>) -> Self {
        Self { temperature, reliability: Reliability::default() }
    }

    /// Counts the queries of an answered episode.
    pub fn add(&mut self, answer: &Answer) {
        if let Some(temperature) = self.temperature {
            self.reliability.add(answer, temperature);
        }
    }

    /// The result over all counted episodes.
    pub fn result(&self) -> Option<Calibrated> {
        let temperature = self.temperature?;
        Some(Calibrated { temperature, ece: self.reliability.ece() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::EpisodeIndices;

    /// Two classes, `right` and `wrong` answers, all with logits `[margin, 0]` or `[0, margin]`.
    fn fitted(margin: f32, right: usize, wrong: usize) -> (f64, f64, f64) {
        let count = right + wrong;
        let query = (0..2 * count).collect();
        let query_counts = vec![count; 2];
        let episode =
            EpisodeIndices { classes: vec![0, 1], support: vec![0, 1], query, query_counts };
        let rows = (0..2 * count).flat_map(|row| {
            let is_right = row % count < right;
            if (row < count) == is_right { [margin, 0.0] } else { [0.0, margin] }
        });
        let logits: Vec<f32> = rows.collect();
        let answer = Answer { episode: &episode, logits: &logits, accuracy: 0.0 };
        let mut fit = TemperatureFit::default();
        fit.add(&answer);
        let temperature = fit.temperature().unwrap_or(f64::NAN);
        let (mut before, mut after) = (Reliability::default(), Reliability::default());
        before.add(&answer, 1.0);
        after.add(&answer, temperature);
        (temperature, before.ece(), after.ece())
    }

    #[test]
    fn the_temperature_makes_a_model_as_sure_as_it_is_right() {
        // Sure to 99.995 %, right in 80 %: softmax is 0.8 where margin / T = ln 4.
        let (temperature, before, after) = fitted(10.0, 800, 200);
        assert!((temperature - 10.0 / 4f64.ln()).abs() < 0.03, "{temperature}");
        assert!(before > 0.19 && after < 0.001, "{before} {after}");
        // Too little sure.
        let (temperature, before, after) = fitted(0.1, 800, 200);
        assert!((temperature - 0.1 / 4f64.ln()).abs() < 0.001, "{temperature}");
        assert!(before > 0.2 && after < 0.001, "{before} {after}");
    }

    #[test]
    fn answers_that_are_all_right_or_all_by_chance_have_a_temperature() {
        let (temperature, _, after) = fitted(1.0, 500, 0);
        // The target is 1001 of 1002.
        assert!((temperature - 1.0 / 1001f64.ln()).abs() < 1e-6, "{temperature}");
        assert!(after < 0.002, "{after}");
        assert!((fitted(1.0, 500, 500).0 - RANGE[1]).abs() < 1e-6);
        assert_eq!(TemperatureFit::default().temperature(), None);
    }

    #[test]
    fn a_logit_that_is_not_finite_has_no_temperature() {
        assert!(fitted(f32::NAN, 5, 5).0.is_nan());
    }
}
