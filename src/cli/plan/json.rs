use serde_json::{Value, json};

use super::Planned;
use crate::plan::footprint::Use;

/// The plan as one object.
pub fn write(planned: &Planned) -> Value {
    let Planned { plan, footprint, budget, .. } = planned;
    let part = |part| footprint.peak.of(part);
    json!({
        "name": plan.pipeline.name,
        "stages": plan.stages.iter().map(|stage| json!(stage.get().describe())).collect::<Vec<_>>(),
        "notes": plan.notes.iter().map(|note| json!({"key": note.key, "text": note.text})).collect::<Vec<_>>(),
        "layers": plan
            .network
            .backbone
            .blocks()
            .iter()
            .enumerate()
            .map(|(index, block)| json!({
                "name": format!("backbone.{index}"),
                "input": block.input(),
                "output": block.output(),
                "parameters": block.parameters(),
                "flops_per_image": block.flops(),
                "activation_bytes_per_image": super::text::kept(block),
            }))
            .chain(plan.network.head_layers().iter().map(|layer| json!({
                "name": format!("head.{}", layer.name),
                "shape": layer.shape,
                "rows": layer.rows,
                "parameters": layer.parameters,
                "flops_per_episode": layer.flops(),
            })))
            .collect::<Vec<_>>(),
        "peak_bytes": {
            "parameters": part(Use::Parameters),
            "gradients": part(Use::Gradients),
            "optimizer": part(Use::Optimizer),
            "activations": part(Use::Activations),
            "workspace": part(Use::Workspace),
            "data": part(Use::Data),
            "total": footprint.peak.total(),
        },
        "pretraining_peak_bytes": footprint.phases.map(|it| it.pretraining),
        "episodes_peak_bytes": footprint.phases.map(|it| it.episodes),
        "checkpoint_bytes": footprint.checkpoint,
        "gpu": footprint.gpu.map(|gpu| json!({
            "in_use_bytes": gpu.in_use,
            "reserved_bytes": gpu.reserved,
            "context_bytes": gpu.context,
            "total_bytes": gpu.total(),
        })),
        "budget_bytes": budget.map(|budget| budget.0),
        "fits": planned.fits(),
    })
}
