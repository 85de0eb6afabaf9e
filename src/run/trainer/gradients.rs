//! Histograms of the gradients, where the pipeline asks for them.

use std::collections::BTreeMap;

use burn::module::{Module, ModuleVisitor, Param};
use burn::optim::GradientsParams;
use burn::prelude::*;

use super::{Trainer, WHOLE};
use crate::model::layers::to_host;
use crate::model::weights::Path;
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
        let mut found =
            Histograms { gradients: &gradients.0, path: Path::default(), by_path: BTreeMap::new() };
        self.net.as_ref().expect(WHOLE).visit(&mut found);
        Some(Event::Gradients { phase: self.phase(), step, parameters: found.by_path })
    }
}

struct Histograms<'a> {
    gradients: &'a GradientsParams,
    path: Path,
    by_path: BTreeMap<String, Histogram>,
}

impl ModuleVisitor for Histograms<'_> {
    fn enter_module(&mut self, name: &str, container: &str) {
        self.path.enter(name, container);
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.exit();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let Some(gradient) = self.gradients.get::<D>(param.id) else { return };
        let count = gradient.dims().iter().product::<usize>();
        let gradient = gradient.reshape([count]);
        let mut counter = Counter::default();
        for from in (0..count).step_by(CHUNK) {
            counter.add(&to_host(gradient.clone().slice(from..(from + CHUNK).min(count))));
        }
        self.by_path.insert(self.path.dotted(), counter.finish());
    }
}
