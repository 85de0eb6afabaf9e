//! Gradients of a whole network, and how far two of them are apart.

use std::collections::BTreeMap;

use burn::module::{Module, ModuleVisitor, Param};
use burn::prelude::*;
use fsct::model::layers::to_host;
use fsct::model::weights::Path;
use fsct::stage::grads::Gradients;

use super::{max_abs, max_difference};

/// Values of every gradient, by the parameter's path.
pub type ByPath = BTreeMap<String, Vec<f32>>;

/// The gradients of `net`'s parameters.
pub fn by_path<M: Module>(net: &M, gradients: &Gradients) -> ByPath {
    let mut found = ByPath::new();
    gradients.each(net, |path, gradient| {
        found.insert(path, to_host(gradient));
    });
    found
}

/// The gradients of `net`'s parameters, laid out as PyTorch stores them, by the name that `name` makes of a path.
pub fn in_torch_layout<M: Module>(
    net: &M,
    gradients: &Gradients,
    name: fn(&str) -> String,
) -> ByPath {
    struct Collect<'a> {
        path: Path,
        gradients: &'a Gradients,
        name: fn(&str) -> String,
        found: ByPath,
    }
    impl ModuleVisitor for Collect<'_> {
        fn enter_module(&mut self, name: &str, container: &str) {
            self.path.enter(name, container);
        }
        fn exit_module(&mut self, _name: &str, _container: &str) {
            self.path.exit();
        }
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            let Some(mut gradient) = self.gradients.0.get::<D>(param.id) else { return };
            if D == 2 && self.path.is_transposed() {
                gradient = gradient.swap_dims(0, 1);
            }
            self.found.insert((self.name)(&self.path.dotted()), to_host(gradient));
        }
    }
    let mut seen = Collect { path: Path::default(), gradients, name, found: ByPath::new() };
    net.visit(&mut seen);
    seen.found
}

/// Largest difference, relative to the largest gradient of the same layer kind: a convolution's
/// bias in front of a batch norm has gradient 0 in exact arithmetic, so it is held against its
/// weight's.
pub fn difference(expected: &ByPath, actual: &ByPath) -> f64 {
    assert_eq!(expected.keys().collect::<Vec<_>>(), actual.keys().collect::<Vec<_>>());
    expected.iter().fold(0.0, |worst, (path, values)| {
        let measure = match path.strip_suffix("conv.bias") {
            Some(block) => &expected[&format!("{block}conv.weight")],
            None => values,
        };
        let error = max_difference(values, &actual[path]);
        f64::max(worst, error / max_abs(measure).max(1e-12))
    })
}

/// Norm of the difference of all gradients together, against the norm of what is expected.
pub fn norm_of_difference(expected: &ByPath, actual: &ByPath) -> f64 {
    let (mut difference, mut norm) = (0.0, 0.0);
    for (path, values) in expected {
        for (a, b) in values.iter().zip(&actual[path]) {
            difference += f64::from(a - b).powi(2);
            norm += f64::from(*a).powi(2);
        }
    }
    (difference / norm).sqrt()
}
