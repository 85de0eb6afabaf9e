//! The learning rate of each step.

use std::f64::consts::PI;

use crate::config::{Optimizer, ScheduleKind};

/// How long training is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Length {
    /// Optimizer steps an epoch.
    pub steps_per_epoch: usize,
    /// Number of epochs in all.
    pub epochs: usize,
}

/// The learning rate of step `step`, counted from 0.
pub fn learning_rate(optimizer: &Optimizer, step: usize, length: Length) -> f64 {
    let schedule = &optimizer.schedule;
    let warmup = schedule.warmup_steps;
    if step < warmup {
        return optimizer.learning_rate * (step + 1) as f64 / warmup as f64;
    }
    let share = match schedule.kind {
        ScheduleKind::Constant => 1.0,
        ScheduleKind::Cosine => {
            let total = length.steps_per_epoch * length.epochs;
            let done = (step - warmup) as f64 / total.saturating_sub(warmup).max(1) as f64;
            let curve = (1.0 + (PI * done.min(1.0)).cos()) / 2.0;
            schedule.final_share + (1.0 - schedule.final_share) * curve
        }
        ScheduleKind::Step => {
            let drops = step / length.steps_per_epoch.max(1) / schedule.step_epochs.max(1);
            schedule.step_factor.powi(i32::try_from(drops).unwrap_or(i32::MAX))
        }
    };
    optimizer.learning_rate * share
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Schedule;

    const LENGTH: Length = Length { steps_per_epoch: 10, epochs: 10 };

    fn rates(schedule: Schedule) -> Vec<f64> {
        let optimizer = Optimizer { learning_rate: 2.0, schedule, ..Optimizer::default() };
        (0..100).map(|step| learning_rate(&optimizer, step, LENGTH)).collect()
    }

    #[test]
    fn constant_stays() {
        assert!(rates(Schedule::default()).iter().all(|rate| *rate == 2.0));
    }

    #[test]
    fn warm_up_rises_in_a_straight_line_to_the_rate_itself() {
        let rates = rates(Schedule { warmup_steps: 4, ..Schedule::default() });
        assert_eq!(rates[..5], [0.5, 1.0, 1.5, 2.0, 2.0]);
    }

    #[test]
    fn cosine_falls_to_its_final_share() {
        let schedule =
            Schedule { kind: ScheduleKind::Cosine, final_share: 0.1, ..Schedule::default() };
        let rates = rates(schedule);
        assert_eq!(rates[0], 2.0);
        assert!((rates[50] - 1.1).abs() < 1e-9);
        assert!(rates.windows(2).all(|pair| pair[1] < pair[0]));
        assert!(rates[99] > 0.2 && rates[99] < 0.21);
    }

    #[test]
    fn step_drops_at_epochs() {
        let schedule = Schedule {
            kind: ScheduleKind::Step,
            step_epochs: 3,
            step_factor: 0.5,
            ..Schedule::default()
        };
        let rates = rates(schedule);
        assert_eq!((rates[29], rates[30], rates[59], rates[60]), (2.0, 1.0, 1.0, 0.5));
    }
}
