//! The memory of a head, its loss, and their backward pass.
//!
//! A head consists of many small operations, whose tensors live as long as Burn's tape needs them. The
//! factors here were measured over ways, shots, queries and widths, and `tests/footprint.rs` checks
//! them. A head is a small part of a step, except FSCT's on wide features.

use super::pairs::Pairs;
use super::timeline::{Timeline, Use};
use super::workspace::Engine;
use crate::config::MethodKind;
use crate::network::{
    ClassHead, ClassesSpec, Distance, EpisodeShape, FsctSpec, HeadLayer, HeadSpec, Inference, Map,
    RelationLayers, size,
};
use crate::plan::Plan;

const F32: u64 = 4;

/// Bytes of the tensors that dominate a head's memory, f32.
struct Sizes {
    /// Features of the episode.
    features: u64,
    /// Features of the support.
    support: u64,
    /// One vector of features for each query and class.
    pairs: u64,
    /// One hidden vector of attention and feed-forward for each query and class.
    hidden: u64,
    /// The largest matrix of the head.
    matrix: u64,
    /// A temporary copy of its gradient, on a device that makes some.
    copy: u64,
    /// Parameters of the head that get a gradient.
    parameters: u64,
    /// The output of CTX's projection.
    projected: u64,
    /// Whether it is a GPU that computes matrix products in 16 bits.
    lowered_on_gpu: bool,
}

impl Sizes {
    /// The sizes of an episode over `map` features an image, without those of the weights.
    fn of(head: &HeadSpec, episode: EpisodeShape, map: Map) -> Self {
        let (queries, support) = (episode.queries() as u64, episode.supports() as u64);
        let pairs = queries * episode.n_way as u64 * F32;
        let dim = size(map) as u64;
        let mut sizes = Self {
            features: (queries + support) * dim * F32,
            support: support * dim * F32,
            pairs: pairs * dim,
            hidden: 0,
            matrix: 0,
            copy: 0,
            parameters: 0,
            projected: 0,
            lowered_on_gpu: false,
        };
        match head {
            HeadSpec::Fsct(spec) => {
                sizes.hidden = pairs * (spec.heads * spec.dim_head + spec.mlp_dim) as u64;
            }
            HeadSpec::Ctx(spec) => {
                // Everything except the projection's input has the projection's width.
                let wide = size(spec.project(map).output) as u64;
                sizes.pairs = pairs * wide;
                sizes.projected = (queries + support) * wide * F32;
            }
            _ => {}
        }
        sizes
    }
}

/// The input of a head.
#[derive(Debug, Clone, Copy)]
pub struct Input {
    /// Features of an image.
    pub map: Map,
    /// Bytes of a weight and of its gradient: 4, or 2 under autocast.
    pub element: u64,
    /// Whether the weights get their gradients in this pass.
    pub trains: bool,
    /// Whether a gradient of a matrix has temporary copies: on the CPU.
    pub copies: bool,
    /// Whose kernels compute convolutions.
    pub engine: Engine,
}

/// Forward and backward. Held before: the features. Held after: those, and their gradient.
pub fn pass(time: &mut Timeline, plan: &Plan, input: Input, layers: &[HeadLayer]) {
    let Input { map, element, trains, copies, engine } = input;
    let mut sizes = Sizes::of(&plan.network.head, plan.network.episode, map);
    let matrices = layers.iter().filter(|layer| layer.shape.is_some());
    sizes.matrix = matrices.map(|layer| layer.parameters).max().unwrap_or(0) as u64 * element;
    sizes.copy = if copies { sizes.matrix } else { 0 };
    sizes.lowered_on_gpu = element < F32 && matches!(engine, Engine::Gpu { .. });
    if trains {
        sizes.parameters =
            layers.iter().map(|layer| layer.parameters).sum::<usize>() as u64 * element;
    }
    match &plan.network.head {
        HeadSpec::Fsct(spec) => fsct(time, plan, spec, &sizes),
        HeadSpec::Ctx(_) => {
            let kept = 2 * sizes.pairs + sizes.projected * 3 / 2 + sizes.features * 4 / 5;
            time.hold(Use::Activations, kept);
            time.touch(Use::Activations, 2 * sizes.pairs + sizes.features / 10);
            time.free(Use::Activations, kept);
        }
        HeadSpec::Feat(_) => feat(time, &sizes),
        HeadSpec::Relation(_) => {
            let layers = RelationLayers::over(map);
            let pairs = Pairs::of(&layers, plan.network.episode, element, engine);
            pairs.pass(time, sizes.features);
        }
        // Of these, only the first four train.
        HeadSpec::Protonet(_)
        | HeadSpec::FinetunedProtonet(_)
        | HeadSpec::Matching(_)
        | HeadSpec::SimpleShot(_)
        | HeadSpec::Logistic
        | HeadSpec::Knn(_)
        | HeadSpec::Transductive(_)
        | HeadSpec::Baseline(_) => {
            let kept = sizes.features * 4 / 5;
            time.hold(Use::Activations, kept);
            time.touch(Use::Activations, sizes.features * 3);
            time.free(Use::Activations, kept);
        }
        HeadSpec::Classes(spec) => classes(time, spec, &sizes),
    }
    time.hold(Use::Activations, sizes.features);
    if plan.pipeline.method.kind == MethodKind::Profoct {
        // The VIC terms again, each alone, for weights that follow gradients.
        time.touch(Use::Activations, 8 * sizes.support);
    }
}

/// Forward without a tape, over an episode of a test. Held before and after: its features, f32.
pub fn forward(
    time: &mut Timeline,
    plan: &Plan,
    (map, engine): (Map, Engine),
    episode: EpisodeShape,
) {
    let sizes = Sizes::of(&plan.network.head, episode, map);
    let live = match &plan.network.head {
        HeadSpec::Fsct(spec) => {
            // The attention's heads twice, or the feed-forward block with its input and output.
            let width = spec.heads * spec.dim_head + spec.mlp_dim;
            let of_width = |part: usize| sizes.hidden * part as u64 / width as u64;
            let attention = 2 * sizes.pairs + 2 * of_width(spec.heads * spec.dim_head);
            let feed_forward = 3 * sizes.pairs + of_width(spec.mlp_dim);
            attention.max(feed_forward)
        }
        HeadSpec::Ctx(_) => sizes.projected + 2 * sizes.pairs,
        HeadSpec::Relation(_) => {
            let layers = RelationLayers::over(map);
            return Pairs::of(&layers, episode, F32, engine).forward(time);
        }
        // The support in f64, as it is and as unit vectors, the weights and their gradient.
        HeadSpec::FinetunedProtonet(spec) => {
            let copies = if spec.distance == Distance::Euclidean { 2 } else { 4 };
            let weights = (episode.n_way * size(map)) as u64 * F32;
            (copies * sizes.support + 6 * weights).max(sizes.features)
        }
        // Centred and normalised copies, of the queries and then of the support.
        HeadSpec::SimpleShot(_) => sizes.features * 3 / 2,
        // The classifier of pretraining is validated by class means.
        HeadSpec::Protonet(_)
        | HeadSpec::Matching(_)
        | HeadSpec::Feat(_)
        | HeadSpec::Logistic
        | HeadSpec::Knn(_)
        | HeadSpec::Baseline(_)
        | HeadSpec::Classes(_) => sizes.features,
        // Copies on the host, in f64.
        HeadSpec::Transductive(spec) => match spec.inference {
            Inference::Bdcspn | Inference::LaplacianShot => sizes.features * 24 / 5,
            Inference::Tim { .. } => sizes.features * 9 / 5,
            Inference::PtMap => sizes.features * 26 / 5,
        },
    };
    time.touch(Use::Activations, live);
}

/// Features are averaged over the map at once, and the rest is small beside the features before that.
fn feat(time: &mut Timeline, sizes: &Sizes) {
    let kept = sizes.features * 4 / 5;
    time.hold(Use::Activations, kept);
    time.touch(Use::Activations, sizes.features * 2);
    time.free(Use::Activations, kept);
}

/// The classifier of pretraining. The cosine layer divides the features' product, and has its directions and
/// their squares beside the gradient.
fn classes(time: &mut Timeline, spec: &ClassesSpec, sizes: &Sizes) {
    match spec.kind {
        ClassHead::Linear => {
            time.touch(Use::Activations, sizes.features);
            time.touch(Use::Workspace, 2 * sizes.copy);
        }
        ClassHead::Cosine => {
            time.hold(Use::Activations, sizes.features);
            time.touch(Use::Activations, sizes.features);
            time.touch(Use::Workspace, 3 * sizes.copy);
            time.free(Use::Activations, sizes.features);
        }
    }
}

fn fsct(time: &mut Timeline, plan: &Plan, spec: &FsctSpec, sizes: &Sizes) {
    let depth = spec.depth as u64;
    let method = &plan.pipeline.method;
    let on_attention = method.kind == MethodKind::Profoct
        && method.vic.as_ref().is_some_and(|vic| vic.on_attention.enabled);
    let vic = match (method.kind, on_attention) {
        (MethodKind::Profoct, true) => 6 * sizes.support + 5 * sizes.pairs,
        (MethodKind::Profoct, false) => 6 * sizes.support,
        _ => 0,
    };
    let (pairs, gradients) = (sizes.pairs, sizes.parameters);
    // Where the weights get no gradient, the inputs of the linear layers are not kept. In 16 bits a GPU holds one
    // of these vectors less in f32: measured at the step's peak (docs/gpu.md).
    let block = match (gradients, sizes.lowered_on_gpu) {
        (0, false) => pairs * 22 / 10,
        (0, true) => pairs * 12 / 10,
        (_, false) => pairs * 42 / 10,
        (_, true) => pairs * 32 / 10,
    };
    let kept = block * depth + sizes.features * 12 / 10 + sizes.hidden * 9 / 5 * depth + vic;
    time.hold(Use::Activations, kept);
    time.touch(Use::Activations, pairs * 7 / 3);
    time.free(Use::Activations, kept);
    // In the middle of the backward pass some weights have their gradient, and the earlier blocks do
    // not yet.
    let (left, done) = match depth {
        1 => (block + sizes.features * 19 / 10, 3 * sizes.matrix),
        _ => (block * (depth - 1) + 2 * pairs + sizes.features * 19 / 10, gradients),
    };
    time.hold(Use::Activations, left);
    time.hold(Use::Gradients, done.min(gradients));
    time.touch(Use::Workspace, sizes.copy);
    time.free(Use::Gradients, done.min(gradients));
    time.free(Use::Activations, left);
    // At its end all weights have theirs, and two copies of a matrix are temporary.
    time.hold(Use::Activations, 2 * pairs);
    time.hold(Use::Gradients, gradients);
    time.touch(Use::Workspace, 2 * sizes.copy);
    time.free(Use::Gradients, gradients);
    time.free(Use::Activations, 2 * pairs);
}
