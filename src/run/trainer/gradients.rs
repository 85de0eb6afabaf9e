//! Histograms of the gradients, where the pipeline asks for them.

use std::collections::BTreeMap;

use burn::prelude::*;

use super::Trainer;
use crate::model::layers::to_host;
use crate::run::events::Event;
use crate::run::histogram::{Counter, Histogram};
use crate::stage::grads::Gradients;

/// Values of a gradient that are copied at once.
const CHUNK: usize = 1 << 20;

impl Trainer<'_> {
    /// The event with the histograms of the gradients of the step to come, if it is one of those that have it.
    pub(super) fn gradient_histograms(&self, gradients: &Gradients) -> Option<Event> {
        let every = self.plan.pipeline.report.gradient_histograms;
        let step = self.progress.step + 1;
        if every == 0 || !step.is_multiple_of(every) {
            return None;
        }
        let mut parameters = BTreeMap::new();
        gradients.each(self.trained(), |path, gradient| {
            parameters.insert(path, histogram(gradient));
        });
        Some(Event::Gradients { phase: self.phase(), step, parameters })
    }
}

/// The histogram of a gradient's values.
fn histogram(gradient: Tensor<1>) -> Histogram {
    let [count] = gradient.dims();
    let mut counter = Counter::default();
    for from in (0..count).step_by(CHUNK) {
        counter.add(&to_host(gradient.clone().slice(from..(from + CHUNK).min(count))));
    }
    counter.finish()
}
