use std::fmt::Write;

use super::Planned;
use crate::config::Pretrain;
use crate::network::{Block, Map};
use crate::plan::TrainingSet;
use crate::plan::footprint::{Phases, Use};

/// The plan as tables.
pub fn write(planned: &Planned) -> String {
    let Planned { plan, footprint, budget, .. } = planned;
    let mut text = String::from("stages, outermost first\n");
    for stage in &plan.stages {
        let it = stage.get().describe();
        let _ = writeln!(text, "  {:<12} {}", it.stage, it.setting);
        let _ = writeln!(text, "  {:<12}   saves    {}", "", it.saves);
        let _ = writeln!(text, "  {:<12}   costs    {}", "", it.costs);
        let _ = writeln!(text, "  {:<12}   changes  {}", "", it.changes);
    }
    for note in &plan.notes {
        let _ = writeln!(text, "  note: `{}`: {}", note.key, note.text);
    }

    let _ = writeln!(
        text,
        "\n{:<26} {:>14} {:>14} {:>12} {:>12} {:>12}",
        "layers", "in", "out", "parameters", "GFLOP", "kept"
    );
    let images = plan.network.episode.images() as u64;
    for (index, block) in plan.network.backbone.blocks().iter().enumerate() {
        let _ = writeln!(
            text,
            "  {:<24} {:>14} {:>14} {:>12} {:>12.3} {:>12}",
            format!("backbone.{index} {}", name(block)),
            map(block.input()),
            map(block.output()),
            block.parameters(),
            (block.flops() * images) as f64 / 1e9,
            size(kept(block) * images),
        );
    }
    for layer in plan.network.head_layers() {
        let [input, output] = layer
            .shape
            .map_or([String::new(), String::new()], |shape| shape.map(|width| width.to_string()));
        let _ = writeln!(
            text,
            "  {:<24} {input:>14} {output:>14} {:>12} {:>12.3}",
            layer.name,
            layer.parameters,
            layer.flops() as f64 / 1e9,
        );
    }
    let _ = writeln!(
        text,
        "  GFLOP: one episode forward. kept: of one episode, without any stage, f32."
    );

    let _ = match footprint.phases {
        Some(it) if it.pretraining > it.episodes => {
            writeln!(text, "\npeak memory, in pretraining")
        }
        Some(_) => writeln!(text, "\npeak memory, in episodes"),
        None => writeln!(text, "\npeak memory"),
    };
    for (name, part) in [
        ("parameters", Use::Parameters),
        ("gradients", Use::Gradients),
        ("optimizer", Use::Optimizer),
        ("activations", Use::Activations),
        ("workspace", Use::Workspace),
        ("data, up to", Use::Data),
    ] {
        let _ = writeln!(text, "  {name:<12} {:>12}", size(footprint.peak.of(part)));
    }
    let total = footprint.peak.total();
    let _ = writeln!(text, "  {:<12} {:>12}", "total", size(total));
    if let (Some(phases), Some(pretrain)) = (footprint.phases, &plan.pipeline.train.pretrain) {
        text += &pretraining(phases, pretrain, planned.training);
    }
    if footprint.checkpoint > total {
        let _ = writeln!(
            text,
            "  {:<12} {:>12}   while a checkpoint is written or read",
            "checkpoint",
            size(footprint.checkpoint)
        );
    }
    if let Some(gpu) = footprint.gpu {
        let _ = writeln!(
            text,
            "  {:<12} {:>12}   what the pool holds for it",
            "reserved",
            size(gpu.reserved)
        );
        let _ = writeln!(text, "  {:<12} {:>12}   the driver's own", "context", size(gpu.context));
        let _ = writeln!(text, "  {:<12} {:>12}", "GPU", size(gpu.total()));
    }
    if let Some(budget) = budget {
        let taken = footprint.taken();
        let (word, margin) =
            if planned.fits() { ("free", budget.0 - taken) } else { ("missing", taken - budget.0) };
        let _ =
            writeln!(text, "  {:<12} {:>12}   {word}: {}", "budget", size(budget.0), size(margin));
    }
    text
}

/// The peaks of both parts of the training.
fn pretraining(phases: Phases, pretrain: &Pretrain, set: TrainingSet) -> String {
    let of = match set.classes {
        0 => "; the data was not read: without the classifier's weights".to_owned(),
        classes => format!(", {classes} classes"),
    };
    format!(
        "  {:<12} {:>12}   in a batch of {} images{of}\n  {:<12} {:>12}\n",
        "pretraining",
        size(phases.pretraining),
        pretrain.batch_size,
        "episodes",
        size(phases.episodes),
    )
}

/// Bytes that the backward pass needs of a block, of one image, f32.
pub fn kept(block: &Block) -> u64 {
    4 * block.kept() as u64
}

fn name(block: &Block) -> &'static str {
    match block {
        Block::Plain(..) => "conv, norm",
        Block::Residual { .. } => "residual",
        Block::Wide(_) => "residual, pool",
        Block::Average { .. } => "average",
        Block::Patches(_) => "patches",
        Block::Transformer(_) => "attention, mlp",
        Block::Class(_) => "norm, class",
    }
}

fn map([channels, height, width]: Map) -> String {
    format!("{channels}×{height}×{width}")
}

/// Bytes with a unit, three digits or four.
pub fn size(bytes: u64) -> String {
    crate::report::bytes(bytes)
}
