//! Trained networks as ONNX, for other programs: two files, of which the first turns images into features and
//! the second the features of an episode into logits.
//!
//! The graphs are written from the description in [`crate::network`] and the tensors of a checkpoint; Burn takes no
//! part. burn-onnx 0.22 has an exporter, which records the operations of a forward pass: it cannot see into our own
//! kernels, and knows no matrix inverse.

mod backbone;
mod graph;
mod head;
mod metadata;
mod proto;
mod tensors;
#[cfg(test)]
mod tests;
mod vit;

use prost::Message;

pub use metadata::metadata;

use crate::model::weights::NamedTensor;
use crate::network::{BatchNormMode, Family, Network};
use crate::weights::WeightsError;
use backbone::Layers;
use graph::{Dim, Graph, value};
use proto::{GraphProto, ModelProto, OperatorSetIdProto, StringStringEntryProto};
use tensors::Tensors;

/// Version of ONNX's operators: the first one with layer norm.
const OPSET: i64 = 17;
/// Version of the file format that belongs to it.
const IR_VERSION: i64 = 8;
/// What a protobuf message may have at most.
const MAX_BYTES: usize = i32::MAX as usize;

/// A network that can be written as ONNX.
pub struct OnnxModel<'a> {
    network: &'a Network,
    batch_norm: BatchNormMode,
    tensors: Tensors,
    metadata: Vec<(String, String)>,
}

impl<'a> OnnxModel<'a> {
    /// A network with its tensors, which [`read`](crate::model::weights::read) gives, and what both files say of
    /// themselves.
    ///
    /// # Errors
    /// When a tensor has no name.
    pub fn new(
        network: &'a Network,
        batch_norm: BatchNormMode,
        tensors: Vec<NamedTensor>,
        metadata: Vec<(String, String)>,
    ) -> Result<Self, WeightsError> {
        Ok(Self { network, batch_norm, tensors: Tensors::new(network, tensors)?, metadata })
    }

    /// The file that turns `images`, `[batch, channels, height, width]`, into `features`, `[batch, C, H, W]`.
    ///
    /// With [`BatchNormMode::Episode`] features depend on the images of the batch.
    ///
    /// # Errors
    /// When the file would be larger than a protobuf can be.
    pub fn backbone(&self) -> Result<Vec<u8>, WeightsError> {
        let mut graph = Graph::new(&self.tensors);
        let batch = || Dim::Named("batch");
        let spec = &self.network.backbone;
        let mut layers = Layers { graph: &mut graph, mode: self.batch_norm };
        let features = match spec.family() {
            Family::Vit => vit::features(&mut layers, spec, &"images".into())?,
            Family::Conv | Family::ResNet | Family::Wide => {
                layers.features(spec, "images".into())?
            }
        };
        let images = value("images", [batch()].into_iter().chain(spec.image().map(Dim::Fixed)));
        let output =
            value("features", [batch()].into_iter().chain(spec.features().map(Dim::Fixed)));
        self.file(graph.finish("backbone", vec![images], &features, output), "the backbone")
    }

    /// The file that turns `support`, `[n_way, k_shot, C, H, W]`, and `query`, `[queries, C, H, W]`, into `logits`,
    /// `[queries, n_way]`. None of a method that is solved anew for each support, which has no graph.
    ///
    /// # Errors
    /// As [`Self::backbone`].
    pub fn head(&self) -> Result<Option<Vec<u8>>, WeightsError> {
        let mut graph = Graph::new(&self.tensors);
        let [support, query] = ["support", "query"].map(String::from);
        let Some(logits) = head::logits(&mut graph, self.network, &support, &query)? else {
            return Ok(None);
        };
        let features = || self.network.backbone.features().map(Dim::Fixed);
        let ways_and_shots = head::ways_and_shots(self.network);
        let [n_way, _] = head::ways_and_shots(self.network);
        let queries = || [Dim::Named("queries")].into_iter();
        let inputs = vec![
            value(&support, ways_and_shots.into_iter().chain(features())),
            value(&query, queries().chain(features())),
        ];
        let output = value("logits", queries().chain([n_way]));
        self.file(graph.finish("head", inputs, &logits, output), "the head").map(Some)
    }

    fn file(&self, graph: GraphProto, what: &str) -> Result<Vec<u8>, WeightsError> {
        let metadata = self.metadata.iter().cloned();
        let model = ModelProto {
            ir_version: Some(IR_VERSION),
            producer_name: "fsct".into(),
            producer_version: env!("CARGO_PKG_VERSION").into(),
            doc_string: format!("{what} of a few-shot classifier"),
            graph: Some(graph),
            opset_import: vec![OperatorSetIdProto {
                domain: Some(String::new()),
                version: Some(OPSET),
            }],
            metadata_props: metadata
                .map(|(key, value)| StringStringEntryProto { key, value })
                .collect(),
        };
        let bytes = model.encoded_len();
        if bytes > MAX_BYTES {
            return Err(WeightsError::Names {
                reason: format!(
                    "{what} takes {bytes} bytes, and an ONNX file can have {MAX_BYTES}"
                ),
                help: "export it as `.safetensors`".into(),
            });
        }
        Ok(model.encode_to_vec())
    }
}
