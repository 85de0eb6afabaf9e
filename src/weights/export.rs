use std::collections::{BTreeMap, HashMap};

use safetensors::tensor::TensorView;
use safetensors::{Dtype, serialize};

use super::WeightsError;
use crate::model::FewShotNet;
use crate::model::backbone::Backbone;
use crate::model::names::Naming;
use crate::model::weights::{NamedTensor, read};

/// Which naming scheme an export uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "cli", derive(clap::ValueEnum))]
pub enum Names {
    /// The reference code's, of the whole model.
    Reference,
    /// torchvision's, of the backbone alone; ResNets only.
    Torchvision,
}

/// A network as the bytes of a safetensors file, f32, in PyTorch's layout.
///
/// `n_way` is the number of ways that the reference would build the model for: it has a row of
/// prototype weights for each, so one that is shared is written that often.
pub fn export(net: &FewShotNet, names: Names, n_way: usize) -> Result<Vec<u8>, WeightsError> {
    let chained = matches!(&net.backbone, Backbone::ResNet(it) if it.stem.pool);
    let naming = match names {
        Names::Torchvision => Naming::Torchvision,
        Names::Reference if chained => Naming::ReferenceChain,
        Names::Reference => Naming::Reference,
    };
    let mut tensors = BTreeMap::new();
    for tensor in read(net) {
        match naming.name(&tensor.path) {
            Some(name) => {
                for name in aliases(name) {
                    tensors.insert(name, spread(&tensor, n_way));
                }
            }
            // torchvision has no heads.
            None if tensor.path.starts_with("head.") && names == Names::Torchvision => {}
            None => return Err(unnamed(&tensor.path, names)),
        }
    }
    let bytes: BTreeMap<&str, (Vec<usize>, Vec<u8>)> = tensors
        .iter()
        .map(|(name, (shape, values))| {
            let bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect();
            (name.as_str(), (shape.clone(), bytes))
        })
        .collect();
    let broken = |error: safetensors::SafeTensorError| WeightsError::Names {
        reason: format!("the model cannot be written as safetensors: {error}"),
        help: "this is a bug in fsct; please report it".into(),
    };
    let mut views = Vec::with_capacity(bytes.len());
    for (name, (shape, bytes)) in &bytes {
        views.push((*name, TensorView::new(Dtype::F32, shape.clone(), bytes).map_err(broken)?));
    }
    // "pt" is what PyTorch's loaders look for.
    let metadata = HashMap::from([("format".to_owned(), "pt".to_owned())]);
    serialize(views, Some(metadata)).map_err(broken)
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
fn spread(tensor: &NamedTensor, n_way: usize) -> (Vec<usize>, Vec<f32>) {
    match tensor.shape.as_slice() {
        [1, k_shot, 1] if tensor.path.ends_with(".prototype_weight") => {
            (vec![n_way, *k_shot, 1], tensor.values.repeat(n_way))
        }
        shape => (shape.to_vec(), tensor.values.clone()),
    }
}

fn unnamed(path: &str, names: Names) -> WeightsError {
    let (whose, help) = match names {
        Names::Torchvision => ("torchvision", "write `--names reference`"),
        Names::Reference => ("the reference", "this is a bug in fsct; please report it"),
    };
    WeightsError::Names { reason: format!("{whose} has no name for `{path}`"), help: help.into() }
}
