//! A vision transformer, as [`crate::model::backbone::vit`] computes it.

use super::backbone::Layers;
use super::graph::{Element, Graph, Value, int};
use crate::model::backbone::vit::EPSILON;
use crate::network::{BackboneSpec, Block, PatchBlock, TransformerBlock};
use crate::weights::WeightsError;

/// The class token of `images`.
pub(super) fn features(
    layers: &mut Layers,
    spec: &BackboneSpec,
    images: &Value,
) -> Result<Value, WeightsError> {
    let mut value = images.clone();
    for (number, block) in spec.blocks().iter().enumerate() {
        value = match block {
            Block::Patches(block) => patches(layers, block, &value)?,
            Block::Transformer(block) => {
                let path = format!("backbone.Vit.blocks.{}", number - 1);
                transformer(layers.graph, &path, block, &value)?
            }
            Block::Class(block) => class(layers.graph, block.width, &value)?,
            other => panic!("a vision transformer has no block {other:?}"),
        };
    }
    Ok(value)
}

/// `[N, 3, height, width]` → `[N, tokens, width]`
fn patches(layers: &mut Layers, block: &PatchBlock, images: &Value) -> Result<Value, WeightsError> {
    let patches = layers.conv("backbone.Vit.patches.project", &block.conv, images)?;
    let graph = &mut *layers.graph;
    let (width, end) = (block.width() as i64, block.positions() as i64);
    let patches = graph.reshape(&patches, &[0, width, -1]);
    let patches = graph.transpose(&patches, &[0, 2, 1]);
    let positions = graph.weight("backbone.Vit.patches.positions")?;
    let of_patches = slice(graph, &positions, 1, end);
    let patches = graph.add(&patches, &of_patches);
    let class = graph.weight("backbone.Vit.patches.class")?;
    let of_class = slice(graph, &positions, 0, 1);
    let mut tokens = vec![graph.add(&class, &of_class)];
    if block.registers > 0 {
        tokens.push(graph.weight("backbone.Vit.patches.registers")?);
    }
    // The same tokens for each image.
    let mut all = Vec::new();
    for token in tokens {
        let images = graph.dims(images, 0, 1);
        let own = graph.dims(&token, 1, 3);
        let shape = graph.op("Concat", &[&images, &own], vec![int("axis", 0)]);
        all.push(graph.op("Expand", &[&token, &shape], Vec::new()));
    }
    all.push(patches);
    let all: Vec<&Value> = all.iter().collect();
    Ok(graph.op("Concat", &all, vec![int("axis", 1)]))
}

/// Rows `start..end` of `[1, rows, width]`.
fn slice(graph: &mut Graph, value: &Value, start: i64, end: i64) -> Value {
    let [start, end, axis] = [start, end, 1].map(|it| graph.integers(&[it]));
    graph.op("Slice", &[value, &start, &end, &axis], Vec::new())
}

fn transformer(
    graph: &mut Graph,
    path: &str,
    block: &TransformerBlock,
    tokens: &Value,
) -> Result<Value, WeightsError> {
    let (width, heads) = (block.width, block.heads);
    let normed = graph.layer_norm(&format!("{path}.norm1"), EPSILON, tokens)?;
    let qkv = graph.linear(&format!("{path}.qkv"), true, &normed)?;
    let qkv = graph.reshape(&qkv, &[0, 0, 3, heads as i64, (width / heads) as i64]);
    // `[3, N, heads, tokens, width of a head]`
    let qkv = graph.transpose(&qkv, &[2, 0, 3, 1, 4]);
    let [queries, keys, values] = [0, 1, 2].map(|part| {
        let (part, axis) = (graph.integers(&[part]), graph.integers(&[0]));
        let part = graph.op("Gather", &[&qkv, &part], vec![int("axis", 0)]);
        graph.op("Squeeze", &[&part, &axis], Vec::new())
    });
    let factor = ((width / heads) as f64).sqrt().recip();
    let queries = graph.scale(&queries, Element::Single, factor);
    let keys = graph.transpose(&keys, &[0, 1, 3, 2]);
    let scores = graph.product(&queries, &keys);
    let weights = graph.op("Softmax", &[&scores], vec![int("axis", 3)]);
    let mixed = graph.product(&weights, &values);
    let mixed = graph.transpose(&mixed, &[0, 2, 1, 3]);
    let mixed = graph.reshape(&mixed, &[0, 0, width as i64]);
    let found = graph.linear(&format!("{path}.project"), true, &mixed)?;
    let tokens = scaled_sum(graph, tokens, &found, &format!("{path}.scale1"))?;
    let normed = graph.layer_norm(&format!("{path}.norm2"), EPSILON, &tokens)?;
    let hidden = graph.linear(&format!("{path}.expand"), true, &normed)?;
    let hidden = graph.gelu(&hidden);
    let found = graph.linear(&format!("{path}.contract"), true, &hidden)?;
    scaled_sum(graph, &tokens, &found, &format!("{path}.scale2"))
}

fn scaled_sum(
    graph: &mut Graph,
    tokens: &Value,
    branch: &Value,
    path: &str,
) -> Result<Value, WeightsError> {
    let factor = graph.weight(path)?;
    let scaled = graph.mul(branch, &factor);
    Ok(graph.add(tokens, &scaled))
}

/// `[N, tokens, width]` → `[N, width, 1, 1]`
fn class(graph: &mut Graph, width: usize, tokens: &Value) -> Result<Value, WeightsError> {
    let first = graph.integers(&[0]);
    let class = graph.op("Gather", &[tokens, &first], vec![int("axis", 1)]);
    let normed = graph.layer_norm("backbone.Vit.norm", EPSILON, &class)?;
    Ok(graph.reshape(&normed, &[-1, width as i64, 1, 1]))
}
