use std::fmt::Write;

use super::Planned;
use super::text::size;

/// Nodes in order: stages outermost first, then what they wrap.
fn nodes(planned: &Planned) -> Vec<(String, String)> {
    let stages = planned.plan.stages.iter().map(|stage| {
        let it = stage.get().describe();
        (it.stage.to_owned(), it.setting)
    });
    let pipeline = &planned.plan.pipeline;
    let word = |value: serde_yaml::Value| value.as_str().unwrap_or_default().to_owned();
    let kind = |value| serde_yaml::to_value(value).map(word).unwrap_or_default();
    stages
        .chain([
            ("backbone".to_owned(), kind(serde_yaml::to_value(pipeline.backbone.kind).ok())),
            ("head".to_owned(), kind(serde_yaml::to_value(pipeline.method.kind).ok())),
            ("peak".to_owned(), size(planned.footprint.taken())),
        ])
        .collect()
}

/// The plan as a directed graph in Graphviz's DOT language: a box per stage, in order.
pub fn dot(planned: &Planned) -> String {
    let nodes = nodes(planned);
    let mut text = String::from("digraph plan {\n  rankdir=LR\n  node [shape=box]\n");
    for (name, setting) in &nodes {
        let _ = writeln!(text, "  {name} [label=\"{name}\\n{setting}\"]");
    }
    for pair in nodes.windows(2) {
        let _ = writeln!(text, "  {} -> {}", pair[0].0, pair[1].0);
    }
    text.push_str("}\n");
    text
}

/// The plan as a Mermaid flowchart: a box per stage, in order.
pub fn mermaid(planned: &Planned) -> String {
    let nodes = nodes(planned);
    let mut text = String::from("flowchart LR\n");
    for (name, setting) in &nodes {
        let _ = writeln!(text, "  {name}[\"{name}<br>{setting}\"]");
    }
    for pair in nodes.windows(2) {
        let _ = writeln!(text, "  {} --> {}", pair[0].0, pair[1].0);
    }
    text
}
