//! Every key of the method, its VIC terms and the backbone's norms does what it says: another value
//! gives another step, and only the two forms of the covariance give the same.
#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

use burn::prelude::*;
use fsct::config::{Overrides, load_str};
use fsct::model::{EpisodeShape, FewShotNet};
use fsct::stage::{Episode, StageState, StepContext};
use fsct::{graph, plan};

/// Loss and gradient norm of each of three steps, without optimizer steps in between: what moves is
/// the state that the stages remember, such as dynamic weights.
fn steps(backbone: &str, method: &str) -> Vec<f64> {
    // A relation module needs a map of some size.
    let (kind, side) = if method.contains("relation") { ("conv4snp", 24) } else { ("conv4s", 16) };
    let text = format!(
        "data: {{format: synthetic, image_size: {side}}}\nepisode: {{n_way: 3, k_shot: 2, n_query: 2}}\n\
         backbone: {{kind: {kind}{backbone}}}\nmethod: {{{method}}}\n"
    );
    let pipeline = load_str("test", &text, &Overrides::default()).unwrap().pipeline;
    let device = Device::flex();
    let network = plan::network(&pipeline);
    let mut net = FewShotNet::new(&network, 1, &device.clone().autodiff());
    let mut step = graph::build(&plan::compile(&pipeline), &device).step;
    let shape = EpisodeShape::from(pipeline.episode);
    let values: Vec<f32> =
        (0..shape.images() * side * side).map(|it| (it as f32 * 0.7).sin()).collect();
    let images = TensorData::new(values, [shape.images(), 1, side, side]);
    let images = Tensor::<4>::from_data(images, &device);
    let mut state = StageState::default();
    let mut seen = Vec::new();
    for _ in 0..3 {
        let mut cx = StepContext::new(&mut state);
        let window = vec![Episode { images: images.clone(), shape, labels: None }];
        let grads = step.grads(&net, window, &mut cx).unwrap();
        seen.extend([grads.terms[0].loss, grads.gradients.global_norm(&net)]);
        if pipeline.backbone.resolved_batch_norm().moves_running() {
            net.update_running(&grads.moments[0]);
        }
    }
    seen
}

/// Largest relative difference.
fn difference(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| (a - b).abs() / b.abs().max(1e-9)).fold(0.0, f64::max)
}

/// Each method changes a step of `plain`.
fn all_matter(plain: &str, changed: &[&str]) {
    let before = steps("", plain);
    assert_eq!(before, steps("", plain), "a step is deterministic");
    for method in changed {
        let difference = difference(&steps("", method), &before);
        assert!(difference > 1e-5, "`{method}` is `{plain}`: {difference:.1e}");
    }
}

#[test]
fn method_keys_matter() {
    all_matter(
        "kind: fsct",
        &[
            "kind: profoct",
            "kind: ctx",
            "kind: protonet",
            "kind: fsct, attention: softmax",
            "kind: fsct, depth: 2",
            "kind: fsct, heads: 4",
            "kind: fsct, dim_head: 32",
            "kind: fsct, mlp_dim: 64",
            "kind: fsct, classifier: cosine",
            "kind: fsct, label_smoothing: 0.1",
        ],
    );
    all_matter(
        "kind: ctx",
        &["kind: ctx, attention: softmax", "kind: ctx, dim_attn: 64", "kind: ctx, alignment: mean"],
    );
    all_matter(
        "kind: protonet",
        &[
            "kind: protonet, distance: cosine",
            "kind: protonet, distance: mahalanobis",
            "kind: protonet, label_smoothing: 0.1",
            "kind: simpleshot",
            "kind: matching",
        ],
    );
    all_matter(
        "kind: matching",
        &["kind: matching, cosine_scale: 10", "kind: matching, label_smoothing: 0.1"],
    );
    all_matter(
        "kind: feat",
        &[
            "kind: feat, temperature: 1",
            "kind: feat, balance: 0",
            "kind: feat, balance: 1",
            "kind: feat, label_smoothing: 0.1",
        ],
    );
    all_matter(
        "kind: relation",
        &["kind: relation, loss: cross_entropy", "kind: relation, label_smoothing: 0.1"],
    );
    all_matter(
        "kind: simpleshot",
        &["kind: simpleshot, transform: none", "kind: simpleshot, label_smoothing: 0.1"],
    );
}

/// One row of weights and one for each way start as the same means, and learn differently.
#[test]
fn prototypes_start_alike_and_are_not_the_same() {
    let own = steps("", "kind: fsct");
    let shared = steps("", "kind: fsct, prototypes: shared");
    assert!((own[0] / shared[0] - 1.0).abs() < 1e-6, "the first loss: {own:?} {shared:?}");
    assert_ne!(own[1], shared[1], "the gradient of a shared row is the sum over the ways");
}

#[test]
fn vic_keys_matter() {
    let profoct = |vic: &str| format!("kind: profoct, vic: {{{vic}}}");
    let changed = [
        "preset: reference",
        "variance: {weight: 0.3}",
        "variance: {target: 2.0}",
        "variance: {eps: 0.5}",
        "invariance: {weight: 0.3}",
        "covariance: {weight: 0.3}",
        "dynamic: {enabled: false}",
        "dynamic: {ema_decay: 0.5}",
        "dynamic: {driven_by: loss}",
        "on_attention: {enabled: true}",
    ]
    .map(profoct);
    all_matter(&profoct(""), &changed.each_ref().map(String::as_str));
    let attention = |keys: &str| profoct(&format!("on_attention: {{enabled: true{keys}}}"));
    all_matter(&attention(""), &[&attention(", scale: 2.0"), &attention(", detach: true")]);
}

#[test]
fn both_forms_of_the_covariance_give_the_same_step() {
    let gram = steps("", "kind: profoct");
    let dense = steps("", "kind: profoct, vic: {covariance: {form: dense}}");
    assert!(difference(&gram, &dense) < 1e-4, "{gram:?} {dense:?}");
}

#[test]
fn detached_attention_terms_move_the_loss_and_no_gradient() {
    let vic = |keys: &str| format!("kind: profoct, vic: {{dynamic: {{enabled: false}}{keys}}}");
    let without = steps("", &vic(""));
    let detached = steps("", &vic(", on_attention: {enabled: true, detach: true}"));
    assert!(detached[0] > without[0], "{detached:?} {without:?}");
    assert!((detached[1] / without[1] - 1.0).abs() < 1e-5, "{detached:?} {without:?}");
}

/// In training both normalise by the episode; frozen statistics are the initial ones.
#[test]
fn batch_norm_keys_matter() {
    let running = steps("", "kind: fsct");
    assert_eq!(steps(", batch_norm: episode", "kind: fsct"), running);
    assert!(difference(&steps(", batch_norm: frozen", "kind: fsct"), &running) > 1e-3);
    assert!(difference(&steps(", train: false", "kind: fsct"), &running) > 1e-3);
}
