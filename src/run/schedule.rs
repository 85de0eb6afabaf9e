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
    let epoch = step / length.steps_per_epoch.max(1);
    let share = match schedule.kind {
        ScheduleKind::Constant => 1.0,
        ScheduleKind::Cosine => {
            let total = length.steps_per_epoch * length.epochs;
            let done = (step - warmup) as f64 / total.saturating_sub(warmup).max(1) as f64;
            cosine(optimizer, done.min(1.0))
        }
        ScheduleKind::CosineRestarts => {
            let first = length.steps_per_epoch.max(1) * schedule.restart_epochs.max(1);
            cosine(optimizer, share_of_cycle(step - warmup, first, schedule.restart_factor))
        }
        ScheduleKind::Step => {
            let drops = epoch / schedule.step_epochs.max(1);
            schedule.step_factor.powi(i32::try_from(drops).unwrap_or(i32::MAX))
        }
        ScheduleKind::Milestones => {
            let drops = schedule.milestones.iter().filter(|milestone| **milestone <= epoch).count();
            schedule.step_factor.powi(i32::try_from(drops).unwrap_or(i32::MAX))
        }
    };
    (optimizer.learning_rate * share).max(schedule.min_learning_rate)
}

/// Share of the learning rate after a share of half a cosine.
fn cosine(optimizer: &Optimizer, done: f64) -> f64 {
    let schedule = &optimizer.schedule;
    let end = match schedule.min_learning_rate {
        least if least > 0.0 => least / optimizer.learning_rate,
        _ => schedule.final_share,
    };
    end + (1.0 - end) * ((1.0 + (PI * done).cos()) / 2.0)
}

/// How much of its cycle is done at a step, where each cycle is `factor` times as long as the one
/// before it and the first has `first` steps.
fn share_of_cycle(mut step: usize, first: usize, factor: usize) -> f64 {
    let mut cycle = first;
    if factor <= 1 {
        step %= cycle;
    }
    while step >= cycle {
        step -= cycle;
        cycle = cycle.saturating_mul(factor);
    }
    step as f64 / cycle as f64
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

    /// `MultiStepLR(optimizer, [3, 7], gamma=0.1)` at a rate of 2: `gamma` to the number of milestones
    /// that an epoch has reached.
    #[test]
    fn milestones_are_those_of_multi_step_lr() {
        let schedule = Schedule {
            kind: ScheduleKind::Milestones,
            milestones: vec![3, 7],
            warmup_steps: 5,
            ..Schedule::default()
        };
        let rates = rates(schedule.clone());
        assert_eq!(rates[..6], [0.4, 0.8, 1.2, 1.6, 2.0, 2.0], "epochs count from the start");
        let expected = [2.0, 2.0, 2.0, 0.2, 0.2, 0.2, 0.2, 0.02, 0.02, 0.02];
        for (epoch, expected) in expected.into_iter().enumerate() {
            for rate in &rates[(10 * epoch).max(5)..10 * (epoch + 1)] {
                assert!((rate - expected).abs() < 1e-15, "epoch {epoch}: {rate}");
            }
        }
        let floored = self::rates(Schedule { min_learning_rate: 0.1, ..schedule });
        assert_eq!((floored[0], floored[69], floored[70], floored[99]), (0.4, rates[69], 0.1, 0.1));
    }

    /// `CosineAnnealingLR(optimizer, T_max=100, eta_min=0.5)` at a rate of 2:
    /// `eta_min + (lr − eta_min)(1 + cos(π t / T_max)) / 2`.
    #[test]
    fn cosine_ends_at_the_least_learning_rate() {
        let schedule =
            Schedule { kind: ScheduleKind::Cosine, min_learning_rate: 0.5, ..Schedule::default() };
        let rates = rates(schedule);
        for (step, expected) in
            [(0, 2.0), (25, 1.780_330_085_889_911), (50, 1.25), (75, 0.719_669_914_110_089_4)]
        {
            assert!((rates[step] - expected).abs() < 1e-12, "step {step}: {}", rates[step]);
        }
        assert!(rates.iter().all(|rate| *rate >= 0.5));
    }

    /// `CosineAnnealingWarmRestarts(optimizer, T_0=20, T_mult=2, eta_min=0.5)` at a rate of 2, one
    /// `step()` an optimizer step: cycles of 20, 40 and 80 steps.
    #[test]
    fn restarts_are_those_of_cosine_annealing_warm_restarts() {
        let schedule = Schedule {
            kind: ScheduleKind::CosineRestarts,
            restart_epochs: 2,
            restart_factor: 2,
            min_learning_rate: 0.5,
            ..Schedule::default()
        };
        let plain = rates(schedule.clone());
        for (step, expected) in [
            (0, 2.0),
            (5, 1.780_330_085_889_911),
            (10, 1.25),
            (19, 0.509_233_744_553_646_4),
            (20, 2.0),
            (40, 1.25),
            (50, 0.719_669_914_110_089_4),
            (60, 2.0),
            (80, 1.780_330_085_889_911),
        ] {
            assert!((plain[step] - expected).abs() < 1e-12, "step {step}: {}", plain[step]);
        }
        // The first cycle starts after the warm-up.
        let warm = rates(Schedule { warmup_steps: 7, ..schedule.clone() });
        assert_eq!(warm[7..], plain[..93]);
        let equal = rates(Schedule { restart_factor: 1, ..schedule });
        assert_eq!(equal[20..40], equal[..20]);
        assert_eq!(equal[80..], equal[..20]);
    }
}
