//! The two parts of a training, of which the larger one is the prediction.

use super::timeline::{Moment, Timeline};
use super::{Environment, Footprint, Walk};
use crate::plan::Plan;

/// Peaks in bytes of the two parts of a training.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Phases {
    /// Of pretraining and its validation.
    pub pretraining: u64,
    /// Of episodes, validation and test.
    pub episodes: u64,
}

impl Footprint {
    /// Simulates a step of `plan`; where there is pretraining, one of it as well. The result is of the part that
    /// takes more.
    pub fn of(plan: &Plan, environment: Environment) -> Self {
        let of = |plan| Walk::new(plan, environment, Timeline::default()).simulate().footprint();
        let episodes: Self = of(plan);
        let Some(pretraining) = plan.pretraining(environment.training) else { return episodes };
        let pretraining = of(&pretraining);
        let phases =
            Phases { pretraining: pretraining.peak.total(), episodes: episodes.peak.total() };
        let larger = if pretraining.taken() > episodes.taken() { pretraining } else { episodes };
        let checkpoint = pretraining.checkpoint.max(episodes.checkpoint);
        Self { checkpoint, phases: Some(phases), ..larger }
    }

    /// The memory over a simulated step and the tests, allocation by allocation; of pretraining where that takes
    /// more.
    pub fn course(plan: &Plan, environment: Environment) -> Vec<Moment> {
        let pretraining = plan.pretraining(environment.training).filter(|_| {
            let phases = Self::of(plan, environment).phases;
            phases.is_some_and(|it| it.pretraining > it.episodes)
        });
        let plan = pretraining.as_ref().unwrap_or(plan);
        let walk = Walk::new(plan, environment, Timeline::recorded());
        walk.simulate().time.into_course()
    }
}
