use std::collections::BTreeMap;

use crate::model::names::Naming;
use crate::model::weights::NamedTensor;
use crate::network::{Block, Network, Pool};
use crate::weights::WeightsError;

/// A network's tensors under the names that the reference code gives them, as in the other exports.
pub(super) struct Tensors {
    naming: Naming,
    by_name: BTreeMap<String, NamedTensor>,
}

impl Tensors {
    /// The tensors of `network`, which [`read`](crate::model::weights::read) gives.
    pub fn new(network: &Network, tensors: Vec<NamedTensor>) -> Result<Self, WeightsError> {
        let is_imagenet = matches!(
            network.backbone.blocks().first(),
            Some(Block::Plain(_, norm)) if norm.pool == Some(Pool::Three)
        );
        let naming = if is_imagenet { Naming::ReferenceChain } else { Naming::Reference };
        let named = tensors.into_iter().map(|tensor| {
            let name = naming.name(&tensor.path).ok_or_else(|| missing(&tensor.path))?;
            Ok((name, tensor))
        });
        Ok(Self { naming, by_name: named.collect::<Result<_, WeightsError>>()? })
    }

    /// The name of one of our paths, and its tensor.
    pub fn get(&self, path: &str) -> Result<(String, &NamedTensor), WeightsError> {
        let name = self.naming.name(path).ok_or_else(|| missing(path))?;
        let tensor = self.by_name.get(&name).ok_or_else(|| missing(path))?;
        Ok((name, tensor))
    }
}

fn missing(path: &str) -> WeightsError {
    WeightsError::Names {
        reason: format!("the ONNX export has no tensor `{path}`"),
        help: "this is a bug in fsct; please report it".into(),
    }
}
