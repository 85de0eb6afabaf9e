use std::collections::BTreeMap;

use super::WeightsError;
use crate::model::FewShotNet;
use crate::model::backbone::Backbone;
use crate::model::names::Naming;
use crate::model::weights::{NamedTensor, read};

/// Names that an export gives to the tensors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "cli", derive(clap::ValueEnum))]
pub enum Names {
    /// The reference code's, of the whole model.
    Reference,
    /// The published reference code's: it keeps an ImageNet ResNet outside the model, so that the
    /// head alone is written. Any other model is written whole.
    Published,
    /// torchvision's, of the backbone alone; ResNets only.
    Torchvision,
}

/// Tensors under the names of another program, f32, in PyTorch's layout.
#[derive(Debug, Default)]
pub struct Exported {
    /// Shape and values, row-major.
    pub(super) tensors: Vec<(Vec<usize>, Vec<f32>)>,
    /// Number of the tensor of each name; two names may share one.
    pub(super) names: BTreeMap<String, usize>,
}

impl Exported {
    /// The tensors of a network.
    ///
    /// `n_way` is the number of ways that the reference builds the model for: it has a row of
    /// prototype weights for each, so a shared row is written that often.
    ///
    /// # Errors
    /// When a tensor has no name there.
    pub fn new(net: &FewShotNet, names: Names, n_way: usize) -> Result<Self, WeightsError> {
        let of_imagenet = matches!(&net.backbone, Backbone::ResNet(it) if it.stem.pool);
        let naming = match names {
            Names::Torchvision => Naming::Torchvision,
            Names::Reference | Names::Published if of_imagenet => Naming::ReferenceChain,
            Names::Reference | Names::Published => Naming::Reference,
        };
        let part = match names {
            Names::Torchvision => Some("backbone."),
            Names::Published if of_imagenet => Some("head."),
            Names::Reference | Names::Published => None,
        };
        let mut exported = Self::default();
        for tensor in read(net) {
            if part.is_some_and(|part| !tensor.path.starts_with(part)) {
                continue;
            }
            let name = naming.name(&tensor.path).ok_or_else(|| unnamed(&tensor.path, names))?;
            let (shape, values) = spread(tensor, n_way);
            exported.insert(aliases(name), shape, values);
        }
        Ok(exported)
    }

    /// Adds the weights of the VIC terms, which the reference keeps in the model: a scalar each for
    /// `alpha`, `beta` and `gamma`, and their running means where the weights are dynamic.
    pub fn add_vic(&mut self, weights: [(&str, f64); 3], dynamic: bool) {
        for (term, weight) in weights {
            let mean = dynamic.then(|| format!("{term}_ema"));
            let names = std::iter::once(format!("vic_{term}")).chain(mean).collect();
            self.insert(names, Vec::new(), vec![weight as f32]);
        }
    }

    /// Names of the tensors, in alphabetical order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.names.keys().map(String::as_str)
    }

    fn insert(&mut self, names: Vec<String>, shape: Vec<usize>, values: Vec<f32>) {
        let number = self.tensors.len();
        self.tensors.push((shape, values));
        self.names.extend(names.into_iter().map(|name| (name, number)));
    }
}

/// The reference registers each layer of a convolutional block twice, and a strict load wants both.
fn aliases(name: String) -> Vec<String> {
    let twin = |layer: &str, place: &str| {
        let (block, leaf) = name.split_once(layer)?;
        block.starts_with("feature.trunk.").then(|| format!("{block}.trunk.{place}.{leaf}"))
    };
    let twin = twin(".C.", "0").or_else(|| twin(".BN.", "1"));
    std::iter::once(name).chain(twin).collect()
}

/// Shape and values; shared prototype weights `[1, k_shot, 1]` become `[n_way, k_shot, 1]`.
fn spread(tensor: NamedTensor, n_way: usize) -> (Vec<usize>, Vec<f32>) {
    match tensor.shape.as_slice() {
        [1, k_shot, 1] if tensor.path.ends_with(".prototype_weight") => {
            (vec![n_way, *k_shot, 1], tensor.values.repeat(n_way))
        }
        _ => (tensor.shape, tensor.values),
    }
}

fn unnamed(path: &str, names: Names) -> WeightsError {
    let (whose, help) = match names {
        Names::Torchvision => ("torchvision", "write `--names reference`"),
        Names::Reference | Names::Published => {
            ("the reference", "this is a bug in fsct; please report it")
        }
    };
    WeightsError::Names { reason: format!("{whose} has no name for `{path}`"), help: help.into() }
}
