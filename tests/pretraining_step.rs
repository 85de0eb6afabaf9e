//! The gradient of a batch of pretraining is that of the cross-entropy over all classes, with each stage.
#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

mod common;

use std::collections::BTreeMap;

use burn::prelude::*;
use burn::tensor::Distribution;
use burn::tensor::activation::log_softmax;
use fsct::config::{Overrides, load_str};
use fsct::graph;
use fsct::model::{EpisodeShape, FewShotNet, Head, Norm};
use fsct::plan::{Plan, TrainingSet, compile};
use fsct::stage::{Episode, StageState, StepContext, grads::Gradients};

use common::gradients::by_path;

const BATCH: usize = 10;
const CLASSES: usize = 7;

fn plan(head: &str, memory: &str) -> Plan {
    let text = format!(
        "data: {{format: synthetic, image_size: 28}}\nbackbone: {{kind: conv4s}}\n\
         method: {{kind: fsct}}\nmemory: {{{memory}}}\n\
         train: {{pretrain: {{batch_size: {BATCH}, head: {head}, label_smoothing: 0.1}}}}\n"
    );
    let pipeline = load_str("test", &text, &Overrides::default()).unwrap().pipeline;
    compile(&pipeline).pretraining(TrainingSet { classes: CLASSES, images: 700 }).unwrap()
}

fn batch() -> (Tensor<4>, Tensor<1, Int>) {
    let device = Device::flex();
    device.seed(3);
    let images = Tensor::random([BATCH, 1, 28, 28], Distribution::Default, &device);
    let labels: Vec<i64> = (0..BATCH).map(|it| (3 * it % CLASSES) as i64).collect();
    (images, Tensor::from_data(TensorData::new(labels, [BATCH]), &device))
}

fn of_step(head: &str, memory: &str) -> (f64, BTreeMap<String, Vec<f32>>) {
    let plan = plan(head, memory);
    let device = Device::flex();
    let net = FewShotNet::new(&plan.network, 1, &device.clone().autodiff());
    let (images, labels) = batch();
    let shape = EpisodeShape { n_way: 1, k_shot: 0, n_query: BATCH };
    let episode = Episode { images, shape, labels: Some(labels) };
    let mut state = StageState::default();
    let mut step = graph::build(&plan, &device).step;
    let grads = step.grads(&net, vec![episode], &mut StepContext::new(&mut state)).unwrap();
    (grads.terms[0].loss, by_path(&net, &grads.gradients))
}

/// The same network at once, on one tape.
fn direct(head: &str) -> (f64, BTreeMap<String, Vec<f32>>) {
    let plan = plan(head, "");
    let device = Device::flex().autodiff();
    let net = FewShotNet::new(&plan.network, 1, &device);
    let (images, labels) = batch();
    let mut moments = Vec::new();
    let images = Tensor::from_inner(images);
    let features = net.backbone.forward(images, &mut Norm::Batch(&mut moments)).flatten(1, 3);
    let logits = match &net.head {
        Head::Classes(head) => head.forward(features).logits,
        _ => panic!("pretraining has a classifier"),
    };
    let logs = log_softmax(logits, 1);
    let labels = Tensor::<1, Int>::from_inner(labels).reshape([BATCH, 1]);
    let loss = -(logs.clone().gather(1, labels).mean() * 0.9 + logs.mean() * 0.1);
    let mut tape = loss.clone().backward();
    let mut gradients = Gradients::default();
    gradients.take(&mut tape, &net);
    (f64::from(loss.inner().into_scalar::<f32>()), by_path(&net, &gradients))
}

/// Greatest difference of two sets of gradients, as a share of the norm of the first.
fn difference(a: &BTreeMap<String, Vec<f32>>, b: &BTreeMap<String, Vec<f32>>) -> f64 {
    assert_eq!(a.keys().collect::<Vec<_>>(), b.keys().collect::<Vec<_>>());
    let pairs = || a.iter().flat_map(|(key, values)| values.iter().zip(&b[key]));
    let squares: f64 = pairs().map(|(a, b)| f64::from(a - b).powi(2)).sum();
    let whole: f64 = pairs().map(|(a, _)| f64::from(*a).powi(2)).sum();
    (squares / whole).sqrt()
}

#[test]
fn a_step_has_the_gradient_of_the_whole_network() {
    for head in ["linear", "cosine"] {
        let (loss, gradients) = direct(head);
        let norms: f64 =
            gradients.values().flatten().map(|it| f64::from(*it).powi(2)).sum::<f64>().sqrt();
        assert!(norms > 0.01, "{head}: a gradient of {norms} shows nothing");
        for (memory, tolerance) in [
            ("", 1e-5),
            ("recompute: block", 1e-5),
            ("recompute: stage", 1e-5),
            // Neither holds for batches.
            ("accumulation_steps: 5, accumulation_unit: episodes", 1e-5),
            ("backprop: {share: 0.5}", 1e-5),
            ("activations: int8", 0.05),
            ("amp: f16", 0.1),
        ] {
            let (found, of_stage) = of_step(head, memory);
            let off = difference(&gradients, &of_stage);
            assert!((found - loss).abs() < 0.01 * loss, "{head} {memory}: {found} for {loss}");
            assert!(off < tolerance, "{head} {memory}: gradients differ by {off}");
        }
    }
}

/// Parts of a batch are normalised by statistics of their own: an approximation whose loss is close.
#[test]
fn parts_of_a_batch_have_their_own_statistics() {
    let (loss, gradients) = direct("linear");
    let (found, of_parts) = of_step("linear", "accumulation_steps: 2, accumulation_unit: queries");
    let off = difference(&gradients, &of_parts);
    assert!(off > 1e-3, "batch norm sees a part at a time, and the gradient differs by {off}");
    assert!((found - loss).abs() < 0.2 * loss, "{found} for {loss}");
}
