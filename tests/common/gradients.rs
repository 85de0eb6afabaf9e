//! Gradients of a whole network, and how far two of them are apart.

use std::collections::BTreeMap;

use fsct::model::FewShotNet;
use fsct::model::layers::to_host;
use fsct::stage::grads::Gradients;

use super::{max_abs, max_difference};

/// Values of every gradient, by the parameter's path.
pub type ByPath = BTreeMap<String, Vec<f32>>;

/// The gradients of `net`'s parameters.
pub fn by_path(net: &FewShotNet, gradients: &Gradients) -> ByPath {
    let mut found = ByPath::new();
    gradients.each(net, |path, gradient| {
        found.insert(path, to_host(gradient));
    });
    found
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
