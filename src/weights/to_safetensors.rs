use std::collections::HashMap;

use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensorError, serialize};

use super::{Exported, WeightsError};

impl Exported {
    /// The bytes of a safetensors file.
    pub fn to_safetensors(&self) -> Result<Vec<u8>, WeightsError> {
        let broken = |error: SafeTensorError| WeightsError::Names {
            reason: format!("the model cannot be written as safetensors: {error}"),
            help: "this is a bug in fsct; please report it".into(),
        };
        let bytes: Vec<Vec<u8>> = self
            .tensors
            .iter()
            .map(|(_, values)| values.iter().flat_map(|value| value.to_le_bytes()).collect())
            .collect();
        let mut views = Vec::with_capacity(self.names.len());
        for (name, number) in &self.names {
            let shape = self.tensors[*number].0.clone();
            let view = TensorView::new(Dtype::F32, shape, &bytes[*number]).map_err(broken)?;
            views.push((name.as_str(), view));
        }
        // "pt" is what PyTorch's loaders look for.
        let metadata = HashMap::from([("format".to_owned(), "pt".to_owned())]);
        serialize(views, Some(metadata)).map_err(broken)
    }
}
