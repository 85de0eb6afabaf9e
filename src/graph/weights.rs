use burn::prelude::*;

use crate::config::{Pipeline, WeightsSource};
use crate::model::Backbone;
use crate::model::init::Init;
use crate::model::names::Naming;
use crate::model::weights::shapes;
use crate::plan::network;
use crate::weights::{Matching, Request, Scope, WeightsError, WeightsFile};

/// The file of weights that a pipeline's backbone starts from, matched with the backbone; `None` where
/// it starts from random weights.
///
/// The pipeline's paths must be absolute. Only names and shapes are read, not values.
pub fn match_weights(pipeline: &Pipeline) -> Result<Option<Matching>, WeightsError> {
    let Some(weights) = &pipeline.backbone.weights else { return Ok(None) };
    let file = WeightsFile::open(&weights.path)?;
    let file = match weights.from {
        WeightsSource::Dinov2 => file.joining(["query", "key", "value"], "qkv"),
        _ => file,
    };
    if pipeline.backbone.kind.is_vit() {
        check_registers(&file, pipeline.backbone.registers.unwrap_or(0))?;
    }
    let device = Device::flex();
    let backbone = Backbone::new(&network(pipeline).backbone, &mut Init::new(0, &device));
    let tensors: Vec<_> = shapes(&backbone)
        .into_iter()
        .map(|(path, shape)| (format!("backbone.{path}"), shape))
        .collect();
    let namings: &[Naming] = match weights.from {
        WeightsSource::Torchvision | WeightsSource::Feti => &[Naming::Torchvision],
        WeightsSource::FewShot => &[Naming::Torchvision, Naming::SingleBlocks],
        // Naming::Torchvision has DINOv2's names of a vision transformer.
        WeightsSource::Dinov2 => &[Naming::Torchvision, Naming::HuggingFace],
        WeightsSource::Checkpoint => {
            &[Naming::Own, Naming::Reference, Naming::ReferenceChain, Naming::Torchvision]
        }
    };
    let request = Request {
        scope: Scope::Backbone,
        namings,
        allow_missing: &weights.allow_missing,
        prefix: weights.prefix.as_deref(),
        // FETI publishes one file for networks of every depth.
        allow_deeper: weights.from == WeightsSource::Feti,
    };
    Matching::new(file, &tensors, &request).map(Some)
}

/// Registers would be left in the file in silence, and a network without them has other features.
fn check_registers(file: &WeightsFile, own: usize) -> Result<(), WeightsError> {
    let is_theirs = |name: &&str| {
        ["register_tokens", "patches.registers"].iter().any(|end| name.ends_with(end))
    };
    let shape = file.names().find(is_theirs).and_then(|name| file.shape(name));
    let Some([_, registers, _]) = shape.as_deref() else { return Ok(()) };
    if *registers == own {
        return Ok(());
    }
    Err(WeightsError::Misfit {
        path: file.path().to_owned(),
        problems: vec![format!(
            "it is of a network with {registers} registers, and the pipeline has {own}"
        )],
        help: format!("write `backbone.registers: {registers}`, or use other weights"),
    })
}
