//! What the plan predicts is what a step takes, to a tenth, over backbones, sizes, shots and stages.
#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

use std::sync::{Mutex, PoisonError};

use burn::module::{Module, Param};
use burn::optim::GradientsParams;
use burn::prelude::*;
use burn::tensor::Distribution;
use fsct::config::{Optimizer, OptimizerKind, OptimizerState, Overrides, load_str};
use fsct::device::{DeviceKind, allocator};
use fsct::graph;
use fsct::model::{EpisodeShape, FewShotNet};
use fsct::plan::footprint::{CachedImages, Environment, Use};
use fsct::plan::{Footprint, TrainingSet, compile};
use fsct::stage::{Episode, StageState, StepContext};

/// The bytes of the process are counted: one test at a time.
static ALONE: Mutex<()> = Mutex::new(());

struct Case {
    backbone: &'static str,
    size: usize,
    episode: (usize, usize, usize),
    method: &'static str,
    memory: &'static str,
    optimizer: &'static str,
}

const fn case(
    backbone: &'static str,
    size: usize,
    episode: (usize, usize, usize),
    method: &'static str,
    memory: &'static str,
) -> Case {
    Case { backbone, size, episode, method, memory, optimizer: "" }
}

/// A head whose weights take most of the memory.
const fn heavy(optimizer: &'static str) -> Case {
    let method = "fsct, heads: 8, dim_head: 256, mlp_dim: 2048";
    Case { optimizer, ..case("conv4", 84, (5, 1, 1), method, "") }
}

/// Without moments, which would take more than what the stages save at this size.
const fn wide(memory: &'static str) -> Case {
    let optimizer = "kind: sgd, momentum: 0";
    Case { optimizer, ..case("resnet12_wide", 42, (5, 1, 2), "protonet", memory) }
}

/// As little of the weights and as much of the activations as a vision transformer may have.
const fn vit(
    backbone: &'static str,
    size: usize,
    episode: (usize, usize, usize),
    memory: &'static str,
) -> Case {
    let optimizer = "kind: sgd, momentum: 0";
    Case { optimizer, ..case(backbone, size, episode, "protonet", memory) }
}

const QUERIES_4: &str = "accumulation_steps: 4, accumulation_unit: queries";

const INT8: &str = "activations: int8";

const QUARTER: &str = "backprop: {share: 0.25}";

const CASES: &[Case] = &[
    case("conv4", 84, (5, 5, 16), "fsct", ""),
    case("conv4", 84, (5, 1, 16), "profoct", ""),
    case("conv4", 84, (5, 5, 16), "protonet", ""),
    case("conv4", 84, (5, 5, 16), "simpleshot", ""),
    case("conv4", 84, (5, 5, 16), "matching", ""),
    case("conv4", 84, (5, 5, 16), "feat", ""),
    case("conv4", 84, (5, 5, 16), "feat, balance: 0", "recompute: block"),
    case("conv4s", 28, (20, 5, 10), "feat", ""),
    case("resnet12", 84, (5, 1, 5), "feat", "recompute: block"),
    case("resnet18", 112, (5, 1, 5), "feat", QUERIES_4),
    case("resnet18", 84, (5, 5, 3), "feat", "amp: f16, recompute: stage"),
    case("conv4", 84, (5, 5, 5), "ctx", ""),
    case("conv4", 84, (5, 5, 5), "fsct", "recompute: block"),
    case("conv4", 84, (5, 5, 5), "fsct", QUERIES_4),
    case("conv4", 84, (5, 5, 5), "fsct", "amp: f16"),
    case("conv4", 84, (5, 5, 5), "fsct", "accumulation_steps: 3"),
    case("conv6", 84, (5, 5, 5), "profoct", ""),
    case("conv6", 84, (5, 1, 8), "fsct", "recompute: block"),
    case("conv4np", 56, (5, 5, 10), "fsct", ""),
    case("conv4s", 28, (5, 1, 10), "fsct", ""),
    case("conv4s", 28, (5, 5, 10), "profoct", QUERIES_4),
    case("conv4s", 28, (20, 1, 5), "fsct", ""),
    case("conv6snp", 28, (5, 1, 10), "fsct", ""),
    case("resnet12", 84, (5, 1, 5), "fsct", ""),
    case("resnet12", 84, (5, 5, 1), "profoct", "recompute: block"),
    case("resnet18", 84, (5, 1, 8), "fsct", ""),
    case("resnet18", 84, (5, 5, 3), "ctx", ""),
    case("resnet18", 84, (5, 5, 3), "profoct", "recompute: block"),
    case("resnet18", 84, (5, 5, 3), "profoct", "recompute: stage"),
    case("resnet34", 84, (5, 1, 5), "fsct", "recompute: stage"),
    case("conv6", 84, (5, 1, 8), "fsct", "recompute: stage"),
    case("resnet18", 84, (5, 5, 3), "profoct", QUERIES_4),
    case("resnet18", 84, (5, 5, 3), "profoct", "amp: bf16"),
    case("resnet18", 112, (5, 1, 5), "protonet", ""),
    case("resnet18", 112, (5, 1, 5), "protonet", "recompute: block"),
    case("resnet18", 112, (5, 1, 5), "simpleshot", "recompute: block"),
    case("resnet18", 112, (5, 1, 5), "matching", "recompute: block"),
    case("conv4s", 28, (20, 5, 10), "matching", QUERIES_4),
    case("conv4np", 56, (5, 5, 10), "relation", ""),
    case("conv4snp", 28, (5, 1, 10), "relation", "recompute: block"),
    case("conv4snp", 28, (10, 5, 10), "relation", "amp: f16"),
    case("resnet12", 84, (5, 1, 5), "relation, loss: cross_entropy", "recompute: block"),
    case("resnet18", 112, (5, 5, 3), "relation", QUERIES_4),
    case("resnet18", 112, (5, 1, 5), "profoct", "amp: f16, recompute: block"),
    case("resnet18", 112, (5, 1, 5), "fsct", "accumulation_steps: 2, recompute: block"),
    case("resnet34", 84, (5, 1, 5), "profoct", ""),
    case("resnet34", 84, (5, 1, 5), "profoct", "recompute: block"),
    case("resnet18, train: false", 112, (5, 1, 5), "fsct", ""),
    case("conv4", 84, (5, 5, 5), "fsct", QUARTER),
    case("conv4, batch_norm: frozen", 84, (5, 5, 5), "fsct", QUARTER),
    case(
        "conv4, batch_norm: frozen",
        84,
        (5, 5, 5),
        "protonet",
        "backprop: {share: 0.5}, amp: f16",
    ),
    case("conv4s, batch_norm: frozen", 28, (5, 5, 10), "profoct", QUARTER),
    case("resnet18", 84, (5, 5, 3), "profoct", QUARTER),
    case("resnet18, batch_norm: frozen", 84, (5, 5, 3), "profoct", QUARTER),
    case("resnet18", 84, (5, 5, 3), "fsct", "backprop: {share: 0.5}, recompute: block"),
    case("resnet18", 112, (5, 5, 1), "protonet", "backprop: {share: 0.5}, amp: f16"),
    case(
        "resnet18",
        112,
        (5, 5, 1),
        "protonet",
        "backprop: {share: 0.5}, accumulation_steps: 3, accumulation_unit: queries",
    ),
    case("conv4", 84, (5, 5, 5), "fsct", INT8),
    case("conv4", 84, (5, 5, 5), "protonet", INT8),
    case("conv4", 84, (5, 5, 5), "protonet", "activations: f16"),
    case("conv4s", 28, (5, 5, 10), "profoct", INT8),
    case("conv6", 84, (5, 1, 8), "protonet", "activations: int8, recompute: stage"),
    case(
        "conv4, batch_norm: frozen",
        84,
        (5, 5, 5),
        "protonet",
        "activations: int8, backprop: {share: 0.5}",
    ),
    case("resnet12", 84, (5, 1, 5), "protonet", INT8),
    case("resnet18", 84, (5, 5, 3), "profoct", INT8),
    case("resnet18", 84, (5, 5, 3), "protonet", "activations: f16"),
    case("resnet18", 84, (5, 5, 3), "profoct", "activations: int8, amp: f16"),
    case("resnet18", 112, (5, 5, 1), "protonet", INT8),
    case("resnet18", 112, (5, 5, 1), "protonet", "activations: int8, recompute: block"),
    case("resnet18", 112, (5, 5, 1), "protonet", "activations: int8, recompute: stage"),
    case(
        "resnet18",
        112,
        (5, 5, 1),
        "protonet",
        "activations: int8, accumulation_steps: 3, accumulation_unit: queries",
    ),
    case("resnet18", 112, (5, 5, 1), "protonet", "activations: int8, backprop: {share: 0.5}"),
    case("resnet18", 224, (5, 1, 1), "protonet", INT8),
    wide(""),
    wide("recompute: block"),
    wide("accumulation_steps: 2"),
    wide("amp: f16"),
    wide(QUERIES_4),
    wide(QUARTER),
    wide(INT8),
    wide("activations: int8, recompute: block"),
    wide("backprop: {share: 0.5}, amp: f16, recompute: block"),
    wide("activations: f16, accumulation_steps: 3, accumulation_unit: queries"),
    vit("vit_small", 112, (5, 1, 3), ""),
    vit("vit_small", 112, (5, 1, 3), "recompute: block"),
    vit("vit_small", 112, (5, 1, 3), "recompute: stage"),
    vit("vit_small", 112, (5, 1, 3), "accumulation_steps: 2"),
    vit("vit_small", 112, (5, 1, 3), QUERIES_4),
    vit("vit_small", 112, (5, 1, 3), QUARTER),
    vit("vit_small", 112, (5, 1, 3), "amp: f16"),
    vit("vit_small", 112, (5, 1, 3), "amp: bf16"),
    vit("vit_small", 112, (5, 1, 3), "amp: f16, recompute: block"),
    vit("vit_small", 112, (5, 1, 3), "amp: bf16, recompute: block"),
    vit("vit_small, registers: 4", 224, (3, 1, 1), ""),
    vit("vit_small, registers: 4", 224, (3, 1, 1), "recompute: block"),
    vit("vit_base, patch_size: 16", 64, (5, 1, 3), ""),
    case("vit_small", 112, (5, 1, 3), "fsct", "recompute: block"),
    case("vit_small, train: false", 112, (5, 5, 5), "fsct", ""),
    heavy(""),
    heavy("state: bf16"),
    heavy("state: int8"),
    heavy("state: int8, kind: sgd"),
    heavy("kind: sgd, momentum: 0"),
    heavy("kind: adam"),
    case("conv4", 224, (5, 1, 3), "fsct", ""),
    case("resnet18", 224, (5, 1, 1), "fsct", ""),
    case(
        "resnet18",
        224,
        (5, 1, 3),
        "profoct",
        "accumulation_steps: 4, accumulation_unit: queries, amp: f16, recompute: block",
    ),
];

/// Bytes above what lay there before: (the first step, with the optimizer's; predicted).
fn measured_and_predicted(case: &Case) -> (u64, u64, String) {
    let Case { backbone, size, episode: (n_way, k_shot, n_query), method, memory, optimizer } =
        case;
    let text = format!(
        "data: {{format: synthetic, image_size: {size}}}\n\
         episode: {{n_way: {n_way}, k_shot: {k_shot}, n_query: {n_query}}}\n\
         backbone: {{kind: {backbone}}}\nmethod: {{kind: {method}}}\nmemory: {{{memory}}}\n\
         optimizer: {{{optimizer}}}\nvalidate: {{episodes: 0}}\ntest: {{episodes: 0}}\n"
    );
    let pipeline = load_str("test", &text, &Overrides::default()).unwrap().pipeline;
    let plan = compile(&pipeline);
    let threads = rayon::current_num_threads();
    let footprint = Footprint::of(
        &plan,
        Environment {
            device: DeviceKind::Cpu,
            threads,
            thread_bytes: 0,
            data_bytes: 0,
            cached: CachedImages::default(),
            tested_images: 0,
            training: TrainingSet { classes: 0, images: 0 },
        },
    );

    let device = Device::flex();
    let shape = EpisodeShape { n_way: *n_way, k_shot: *k_shot, n_query: *n_query };
    let channels = pipeline.backbone.kind.channels();
    let built = graph::build(&plan, &device);
    let mut step = built.step;
    let base = allocator::current_bytes() as u64;
    let mut net = FewShotNet::new(&plan.network, 0, &device.clone().autodiff());
    if !pipeline.backbone.train {
        net.backbone = burn::module::Module::no_grad(net.backbone);
    }
    let mut optimizer = graph::optimizer(&pipeline.optimizer);
    let mut state = StageState::default();
    // The second step has what the optimizer remembers of the first.
    let mut peak = 0;
    for _ in 0..2 {
        allocator::reset_peak();
        let window = (0..built.episodes_a_step)
            .map(|_| Episode {
                images: Tensor::random(
                    [shape.images(), channels, *size, *size],
                    Distribution::Default,
                    &device,
                ),
                shape,
                labels: None,
            })
            .collect();
        let mut cx = StepContext::new(&mut state);
        let grads = step.grads(&net, window, &mut cx).unwrap();
        // As `run::trainer` does it.
        std::hint::black_box(grads.gradients.global_norm(&net));
        net = optimizer.step(1e-3, net, grads.gradients.0);
        peak = allocator::peak_bytes() as u64 - base;
    }
    // A step alone has no loader.
    let ahead = footprint.peak.of(Use::Data);
    let parts = [Use::Parameters, Use::Gradients, Use::Optimizer, Use::Activations, Use::Workspace]
        .map(|part| format!("{:.1}", footprint.peak.of(part) as f64 / 1048576.0));
    (peak, footprint.peak.total() - ahead, parts.join(" "))
}

#[test]
fn prediction_is_within_a_tenth_of_what_is_measured() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let mut off = Vec::new();
    for case in CASES {
        let (measured, predicted, parts) = measured_and_predicted(case);
        let ratio = predicted as f64 / measured as f64;
        let Case { backbone, size, episode, method, memory, optimizer } = case;
        let line = format!(
            "{backbone} {size} {episode:?} {method} {{{memory}}} {{{optimizer}}}: measured {:.1} MiB, predicted \
             {:.1} MiB ({parts}), ratio {ratio:.3}",
            measured as f64 / 1048576.0,
            predicted as f64 / 1048576.0,
        );
        println!("{line}");
        if !(0.9..=1.1).contains(&ratio) {
            off.push(line);
        }
    }
    assert!(off.is_empty(), "{} of {} are off:\n{}", off.len(), CASES.len(), off.join("\n"));
}

#[derive(Module, Debug)]
struct Weights {
    values: Param<Tensor<1>>,
}

/// AdamW in f32 took 2.25 times a parameter beside it and its gradient.
#[test]
fn an_update_takes_no_memory_and_its_state_as_much_as_it_says() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let count = 4 << 20;
    let in_use = || allocator::current_bytes() as f64 / (4 * count) as f64;
    let device = Device::flex();
    let gradient = |weights: &Weights| {
        let mut gradients = GradientsParams::new();
        let values = Tensor::<1>::random([count], Distribution::Default, &device);
        gradients.register(weights.values.id, values);
        gradients
    };
    for (state, share) in
        [(OptimizerState::F32, 1.0), (OptimizerState::Bf16, 0.5), (OptimizerState::Int8, 0.254)]
    {
        for kind in [OptimizerKind::Adamw, OptimizerKind::Adam, OptimizerKind::Sgd] {
            let keys = Optimizer { kind, state, ..Optimizer::default() };
            let mut optimizer = graph::optimizer(&keys);
            let values = Tensor::random([count], Distribution::Default, &device.clone().autodiff());
            let mut weights = Weights { values: Param::from_tensor(values) };
            let before = in_use();
            let gradients = gradient(&weights);
            weights = optimizer.step(1e-3, weights, gradients);
            let moments = if kind == OptimizerKind::Sgd { 1.0 } else { 2.0 };
            let kept = (in_use() - before) / moments;
            assert!((kept - share).abs() < 0.01, "{state:?} {kind:?}: a moment takes {kept}");
            let said = state.bytes(count) as f64 / (4 * count) as f64;
            assert!((said - share).abs() < 1e-3, "{state:?}: {said}");

            let gradients = gradient(&weights);
            let before = in_use();
            allocator::reset_peak();
            weights = optimizer.step(1e-3, weights, gradients);
            let peak = allocator::peak_bytes() as f64 / (4 * count) as f64;
            assert!(peak - before < 0.02, "{state:?} {kind:?}: {} of a parameter", peak - before);
            assert!(before - in_use() > 0.98, "the gradient is freed");
            drop(weights);
        }
    }
}
