//! When training stops because validation no longer improves.
//!
//! The decision depends on the validation accuracies of all epochs so far, which a checkpoint has.
//! So a resumed run stops after the same epoch, and other values of the keys can be applied to a
//! run that is resumed with them.

use crate::config::EarlyStopping;

/// How long the validation accuracy has not improved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wait {
    /// Place of the last improvement among the validations, from 1; 0 without any validation.
    pub best: usize,
    /// Validations since that improvement.
    pub since: usize,
}

impl Wait {
    /// The wait after some validations, in the order of their epochs.
    pub fn after(validations: &[f64], min_delta: f64) -> Self {
        let (mut best, mut highest) = (0, f64::NEG_INFINITY);
        for (index, &accuracy) in validations.iter().enumerate() {
            if accuracy > highest + min_delta {
                (best, highest) = (index + 1, accuracy);
            }
        }
        Self { best, since: validations.len() - best }
    }
}

/// The wait that ends training, if it does.
pub fn stopped(keys: Option<EarlyStopping>, validations: &[f64]) -> Option<Wait> {
    let EarlyStopping { patience, min_delta } = keys?;
    Some(Wait::after(validations, min_delta)).filter(|wait| wait.since >= patience)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn training_stops_after_epochs_without_improvement_in_a_row() {
        let keys = Some(EarlyStopping { patience: 2, min_delta: 0.0 });
        let stops = |validations: &[f64]| stopped(keys, validations);
        assert_eq!(stops(&[]), None);
        assert_eq!(stops(&[0.5, 0.4]), None);
        assert_eq!(stops(&[0.5, 0.4, 0.6, 0.6]), None, "an improvement starts the count anew");
        assert_eq!(stops(&[0.5, 0.4, 0.6, 0.6, 0.6]), Some(Wait { best: 3, since: 2 }));
        assert_eq!(stopped(None, &[0.5, 0.4, 0.3, 0.2]), None);
    }

    #[test]
    fn improvements_count_from_min_delta_and_small_ones_together() {
        let wait = |validations: &[f64]| Wait::after(validations, 0.25);
        assert_eq!(wait(&[0.25, 0.5]), Wait { best: 1, since: 1 }, "not more than the least");
        assert_eq!(wait(&[0.25, 0.375, 0.5625]), Wait { best: 3, since: 0 });
        assert_eq!(wait(&[0.25, 0.375, 0.4375]), Wait { best: 1, since: 2 });
    }
}
