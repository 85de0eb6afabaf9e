//! Every stage gives the gradients of the plain step, or says how far it may be off.
#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

mod common;

use std::collections::BTreeMap;
use std::rc::Rc;

use burn::prelude::*;
use burn::tensor::FloatDType;
use common::gradients::{ByPath, by_path, difference, norm_of_difference};
use fsct::loss::Objective;
use fsct::loss::vic::{CovarianceScale, OnAttention, Vic};
use fsct::loss::weights::{Dynamic, VicWeights};
use fsct::model::layers::to_host;
use fsct::model::{Backbone, EpisodeShape, FewShotNet, Moments, Norm};
use fsct::network::{
    Alignment, Attention, BackboneSpec, BatchNormMode, Classifier, CovarianceForm, CtxSpec,
    DynamicDriver, FeatSpec, FsctSpec, HeadSpec, Network, Prototypes, RelationSpec, Segment,
};
use fsct::stage::accumulate::Accumulate;
use fsct::stage::autocast::Autocast;
use fsct::stage::backward::Backward;
use fsct::stage::clear_cache::ClearCache;
use fsct::stage::embed::{Embed, Plain};
use fsct::stage::grads::Gradients;
use fsct::stage::loss_scale::{LossScale, ScalerState};
use fsct::stage::micro_batch::MicroBatch;
use fsct::stage::recompute::Recompute;
use fsct::stage::{BoxStep, Episode, Grads, StageState, Step, StepContext, Window};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// f32 sums in another order.
const EXACT: f64 = 1e-5;

const NORM: BatchNormMode = BatchNormMode::Running;
const SHAPE: EpisodeShape = EpisodeShape { n_way: 3, k_shot: 2, n_query: 3 };
const SIZE: usize = 20;

#[derive(Debug, Clone, Copy)]
enum Method {
    Fsct,
    Profoct,
    Ctx,
}

const METHODS: [Method; 3] = [Method::Fsct, Method::Profoct, Method::Ctx];

fn objective(method: Method) -> Objective {
    let base = VicWeights { alpha: 0.3, beta: 0.2, gamma: 0.1 };
    let vic = Vic {
        initial: base,
        dynamic: Some(Dynamic { ema_decay: 0.9, driver: DynamicDriver::Loss, base }),
        variance_target: 1.0,
        variance_eps: 1e-4,
        invariance: true,
        covariance: CovarianceForm::Gram,
        covariance_scale: CovarianceScale::Features,
        on_attention: Some(OnAttention { scale: 0.5, detach: false }),
    };
    Objective { vic: matches!(method, Method::Profoct).then_some(vic), ..Objective::default() }
}

fn network(method: Method) -> Network {
    let attention = Attention::Cosine;
    let head = match method {
        Method::Ctx => HeadSpec::Ctx(CtxSpec { attention, dim_attn: 8, alignment: Alignment::Sum }),
        Method::Fsct | Method::Profoct => HeadSpec::Fsct(FsctSpec {
            attention,
            depth: 2,
            heads: 2,
            dim_head: 8,
            mlp_dim: 16,
            classifier: Classifier::Reference,
            prototypes: Prototypes::PerWay,
        }),
    };
    Network { backbone: BackboneSpec::conv(4, [1, SIZE, SIZE]), head, episode: SHAPE }
}

fn net(method: Method) -> FewShotNet {
    FewShotNet::new(&network(method), 7, &Device::flex().autodiff())
}

fn recompute(method: Method) -> Recompute {
    Recompute {
        segments: network(method).backbone.segments(Segment::Block),
        nested: false,
        norm: NORM,
    }
}

fn episode(seed: u64) -> Episode {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let shape = [SHAPE.images(), 1, SIZE, SIZE];
    let values: Vec<f32> = (0..shape.iter().product()).map(|_| rng.random()).collect();
    let images = Tensor::from_data(TensorData::new(values, shape), &Device::flex());
    Episode { images, shape: SHAPE, labels: None }
}

fn backward(method: Method, embedding: impl Embed + 'static) -> BoxStep<Episode> {
    Box::new(Backward {
        objective: objective(method),
        embedding: Rc::new(embedding),
        head_last: false,
    })
}

fn run<B>(step: &mut BoxStep<B>, net: &FewShotNet, batch: B) -> Grads {
    let mut state = StageState::default();
    step.grads(net, batch, &mut StepContext::new(&mut state)).unwrap()
}

/// The whole step on one tape, as a textbook has it.
fn monolithic(method: Method, net: &FewShotNet, episode: Episode) -> ByPath {
    let images = Tensor::from_inner(episode.images);
    let features = net.backbone.forward(images, &mut Norm::Batch(&mut Vec::new()));
    from_features(method, net, features)
}

fn from_features(method: Method, net: &FewShotNet, features: Tensor<4>) -> ByPath {
    let (support, query) = SHAPE.split(features);
    let output = net.head.forward(support.clone(), query, SHAPE);
    let loss = objective(method).loss(&net.head, output, support.flatten(1, 3), SHAPE, &mut None);
    let mut gradients = Gradients::default();
    gradients.take(&mut loss.total.backward(), net);
    by_path(net, &gradients)
}

#[test]
fn cutting_the_step_at_the_features_changes_nothing() {
    for method in METHODS {
        let net = net(method);
        let expected = monolithic(method, &net, episode(1));
        let grads = run(&mut backward(method, Plain { norm: NORM }), &net, episode(1));
        let error = difference(&expected, &by_path(&net, &grads.gradients));
        assert!(error < EXACT, "{method:?}: {error:.1e}");
    }
}

#[test]
fn recompute_matches_the_plain_step_and_reports_the_same_statistics() {
    for method in METHODS {
        let net = net(method);
        let plain = run(&mut backward(method, Plain { norm: NORM }), &net, episode(1));
        let again = run(&mut backward(method, recompute(method)), &net, episode(1));
        let error = difference(&by_path(&net, &plain.gradients), &by_path(&net, &again.gradients));
        assert!(error < EXACT, "{method:?}: {error:.1e}");
        assert_eq!(plain.terms, again.terms);
        let means = |grads: &Grads| -> Vec<Vec<f32>> {
            grads.moments[0].iter().map(|it: &Moments| to_host(it.mean.clone())).collect()
        };
        assert_eq!(means(&plain), means(&again));
    }
}

/// A second pass through the head gives the gradients that the first one would have given, to the bit, and moves no
/// state a second time.
#[test]
fn a_head_that_comes_last_has_the_same_gradients() {
    for method in METHODS {
        let mut objective = objective(method);
        if let Some(vic) = &mut objective.vic {
            vic.dynamic.as_mut().unwrap().driver = DynamicDriver::Gradient;
        }
        head_last_changes_nothing(&network(method), &objective);
    }
    // A loss with a part of its own for all images, and a head whose norms have statistics of the batch.
    let feat = HeadSpec::Feat(FeatSpec { temperature: 8.0, contrast: true });
    let contrast = Objective { balance: Some(0.5), ..Objective::default() };
    let backbone = BackboneSpec::conv(2, [1, SIZE, SIZE]);
    let network = |head| Network { backbone: backbone.clone(), head, episode: SHAPE };
    head_last_changes_nothing(&network(feat), &contrast);
    let pairs = Objective { of_pairs: true, ..Objective::default() };
    for batch_norm in [BatchNormMode::Episode, BatchNormMode::Running] {
        let relation = HeadSpec::Relation(RelationSpec { batch_norm });
        head_last_changes_nothing(&network(relation), &pairs);
    }
}

fn head_last_changes_nothing(network: &Network, objective: &Objective) {
    let net = FewShotNet::new(network, 7, &Device::flex().autodiff());
    let segments = network.backbone.segments(Segment::Block);
    let embedding = Rc::new(Recompute { segments, nested: false, norm: NORM });
    for precision in [None, Some(FloatDType::BF16)] {
        let of = |head_last| {
            let (objective, embedding) = (objective.clone(), embedding.clone());
            let mut step = Backward { objective, embedding, head_last };
            let mut state = StageState::default();
            let mut steps = Vec::new();
            // The weights of VIC move from the first to the second.
            for seed in 1..3 {
                let mut cx = StepContext { precision, scale: 8.0, ..StepContext::new(&mut state) };
                let grads = step.grads(&net, episode(seed), &mut cx).unwrap();
                let statistics: Vec<Vec<f32>> =
                    grads.moments[0].iter().map(|it| to_host(it.mean.clone())).collect();
                steps.push((
                    by_path(&net, &grads.gradients),
                    grads.terms,
                    state.clone(),
                    statistics,
                ));
            }
            steps
        };
        let (last, first) = (of(true), of(false));
        assert!(last[0].0.keys().any(|path| path.starts_with("head")));
        assert!(last == first, "{:?} {precision:?}", network.head);
    }
}

/// The two passes of a micro-batched step are exact for losses that couple the whole episode: they
/// give the gradients of the same chunks on one tape.
#[test]
fn micro_batches_match_their_chunks_on_one_tape() {
    for method in METHODS {
        for steps in [1, 2, 4] {
            let net = net(method);
            let images: Tensor<4> = Tensor::from_inner(episode(1).images);
            let rows = SHAPE.images();
            let order: Vec<usize> =
                (0..steps).flat_map(|part| (part..rows).step_by(steps)).collect();
            let chunks = (0..steps).map(|part| {
                let picked: Vec<i64> = (part..rows).step_by(steps).map(|row| row as i64).collect();
                let picked = indices(&picked, &images.device());
                embed(&net.backbone, images.clone().select(0, picked))
            });
            let joined = Tensor::cat(chunks.collect(), 0);
            let mut back = vec![0; rows];
            order.iter().enumerate().for_each(|(at, row)| back[*row] = at as i64);
            let features = joined.select(0, indices(&back, &images.device()));
            let expected = from_features(method, &net, features);

            for inner in
                [Rc::new(Plain { norm: NORM }) as Rc<dyn Embed>, Rc::new(recompute(method))]
            {
                let grads = run(
                    &mut backward(method, MicroBatch { steps, inner, norm: NORM }),
                    &net,
                    episode(1),
                );
                let error = difference(&expected, &by_path(&net, &grads.gradients));
                assert!(error < EXACT, "{method:?} in {steps}: {error:.1e}");
            }
        }
    }
}

fn indices(rows: &[i64], device: &Device) -> Tensor<1, Int> {
    Tensor::from_data(TensorData::new(rows.to_vec(), [rows.len()]), device)
}

fn embed(backbone: &Backbone, images: Tensor<4>) -> Tensor<4> {
    backbone.forward(images, &mut Norm::Batch(&mut Vec::new()))
}

#[test]
fn accumulation_is_the_mean_over_the_window_whatever_its_length() {
    let method = Method::Profoct;
    let net = net(method);
    for length in [1, 2, 3] {
        let window: Window = (0..length).map(episode).collect();
        // The dynamic weights move from episode to episode, so the singles share their state.
        let mut state = StageState::default();
        let mut single = backward(method, Plain { norm: NORM });
        let mut sum: BTreeMap<String, Vec<f32>> = BTreeMap::new();
        for one in window.clone() {
            let mut cx = StepContext::new(&mut state);
            let grads = single.grads(&net, one, &mut cx).unwrap();
            for (path, values) in by_path(&net, &grads.gradients) {
                let mean = sum.entry(path).or_insert_with(|| vec![0.0; values.len()]);
                mean.iter_mut().zip(values).for_each(|(sum, it)| *sum += it / length as f32);
            }
        }
        let mut step: BoxStep<Window> =
            Box::new(Accumulate { inner: backward(method, Plain { norm: NORM }) });
        let grads = run(&mut step, &net, window);
        assert_eq!((grads.terms.len(), grads.moments.len()), (length as usize, length as usize));
        let error = difference(&sum, &by_path(&net, &grads.gradients));
        assert!(error < EXACT, "{length} episodes: {error:.1e}");
    }
}

#[test]
fn an_empty_window_is_an_error() {
    let mut step: BoxStep<Window> =
        Box::new(Accumulate { inner: backward(Method::Fsct, Plain { norm: NORM }) });
    let mut state = StageState::default();
    let mut cx = StepContext::new(&mut state);
    assert!(step.grads(&net(Method::Fsct), Vec::new(), &mut cx).is_err());
}

/// Rounding moves a few of the thousands of activations across ReLU's kink or a pooling tie, where
/// gradients jump, so how far 16 bits may be off depends on the network and the images. It is
/// measured on the same ones: how far the f32 gradients go when only weights and images are rounded
/// to 16 bits. Autocast rounds activations as well, layer by layer, and may be off a few times that.
#[test]
fn autocast_is_off_by_rounding_only() {
    for method in METHODS {
        let net = net(method);
        let plain = run(&mut backward(method, Plain { norm: NORM }), &net, episode(1));
        let plain = by_path(&net, &plain.gradients);
        for dtype in [FloatDType::F16, FloatDType::BF16] {
            let rounded = fsct::model::weights::read(&net);
            let mut rounded = rounded.into_iter().map(|it| (it.path, round(it.values, dtype)));
            let coarse = fsct::model::weights::write(net.clone(), &mut |path, _| {
                let (at, values) = rounded.next().unwrap();
                assert_eq!(at, path);
                Some(values)
            });
            let mut images = episode(1);
            images.images = images.images.cast(dtype).cast(FloatDType::F32);
            let rounding = run(&mut backward(method, Plain { norm: NORM }), &coarse, images);
            let rounding = norm_of_difference(&plain, &by_path(&coarse, &rounding.gradients));

            for recomputes in [false, true] {
                let inner = match recomputes {
                    true => backward(method, recompute(method)),
                    false => backward(method, Plain { norm: NORM }),
                };
                let mut step: BoxStep<Episode> = Box::new(LossScale {
                    initial: ScalerState::fixed(1024.0),
                    inner: Box::new(Autocast { dtype, inner }),
                });
                let low = run(&mut step, &net, episode(1));
                assert!(low.norm.unwrap().is_finite());
                let error = norm_of_difference(&plain, &by_path(&net, &low.gradients));
                assert!(
                    error < 4.0 * rounding,
                    "{method:?} {dtype:?}: {error:.1e}, rounding alone {rounding:.1e}"
                );
            }
        }
    }
}

fn round(values: Vec<f32>, dtype: FloatDType) -> Vec<f32> {
    let length = values.len();
    let tensor = Tensor::<1>::from_data(TensorData::new(values, [length]), &Device::flex());
    to_host(tensor.cast(dtype))
}

#[test]
fn autocast_runs_in_16_bits_and_leaves_the_master_weights_alone() {
    let net = net(Method::Fsct);
    let before = fsct::model::weights::read(&net);
    let inner = backward(Method::Fsct, Plain { norm: NORM });
    let mut step: BoxStep<Episode> = Box::new(Autocast { dtype: FloatDType::F16, inner });
    let low = run(&mut step, &net, episode(1));
    assert_eq!(before, fsct::model::weights::read(&net));
    let plain = run(&mut backward(Method::Fsct, Plain { norm: NORM }), &net, episode(1));
    let (low, plain) = (by_path(&net, &low.gradients), by_path(&net, &plain.gradients));
    assert!(norm_of_difference(&plain, &low) > 1e-6, "as exact as f32: nothing was lowered");
}

#[test]
fn a_loss_scale_leaves_the_gradients_alone() {
    let net = net(Method::Profoct);
    let plain = run(&mut backward(Method::Profoct, Plain { norm: NORM }), &net, episode(1));
    let mut step: BoxStep<Episode> = Box::new(LossScale {
        initial: ScalerState::dynamic(),
        inner: backward(Method::Profoct, Plain { norm: NORM }),
    });
    let scaled = run(&mut step, &net, episode(1));
    let error = difference(&by_path(&net, &plain.gradients), &by_path(&net, &scaled.gradients));
    assert!(error < EXACT, "{error:.1e}");
    assert!(scaled.norm.unwrap().is_finite());
}

#[test]
fn overflow_is_an_outcome_and_halves_the_scale() {
    let net = net(Method::Fsct);
    let mut step: BoxStep<Window> = Box::new(LossScale {
        initial: ScalerState { scale: 1e30, good_steps: 5, dynamic: true },
        inner: Box::new(Accumulate {
            inner: Box::new(Autocast {
                dtype: FloatDType::F16,
                inner: backward(Method::Fsct, Plain { norm: NORM }),
            }),
        }),
    });
    let mut state = StageState::default();
    let mut cx = StepContext::new(&mut state);
    let grads = step.grads(&net, vec![episode(1), episode(2)], &mut cx).unwrap();
    assert!(!grads.norm.unwrap().is_finite());
    let scaler = state.loss_scale.unwrap();
    assert_eq!((scaler.scale, scaler.good_steps), (5e29, 0));
}

#[test]
fn clearing_the_cache_changes_nothing() {
    let net = net(Method::Fsct);
    let plain = run(&mut backward(Method::Fsct, Plain { norm: NORM }), &net, episode(1));
    let mut step: BoxStep<Episode> = Box::new(ClearCache {
        every: 1,
        device: Device::flex(),
        steps: 0,
        inner: backward(Method::Fsct, Plain { norm: NORM }),
    });
    let cleared = run(&mut step, &net, episode(1));
    assert_eq!(by_path(&net, &plain.gradients), by_path(&net, &cleared.gradients));
}

#[test]
fn gradient_driven_weights_hold_their_share_of_the_cross_entropys_gradient() {
    let mut objective = objective(Method::Profoct);
    let vic = objective.vic.as_mut().unwrap();
    vic.on_attention = None;
    vic.dynamic.as_mut().unwrap().driver = DynamicDriver::Gradient;
    let base = vic.dynamic.unwrap().base;
    let net = net(Method::Profoct);
    let mut step =
        Backward { objective, embedding: Rc::new(Plain { norm: NORM }), head_last: false };
    let mut state = StageState::default();
    let mut weights = Vec::new();
    for _ in 0..60 {
        let mut cx = StepContext { scale: 64.0, ..StepContext::new(&mut state) };
        step.grads(&net, episode(1), &mut cx).unwrap();
        weights.push(state.vic.unwrap());
    }
    // The same episode again and again: the weights settle, away from where they began.
    let (last, before) = (weights[59], weights[58]);
    assert!((last.gamma - before.gamma).abs() < 1e-2 * last.gamma, "{last:?} {before:?}");
    assert!((last.gamma - base.gamma).abs() > 1e-2 * base.gamma, "{last:?}");
}

/// On one tape: the gradient norms of the cross-entropy and of the variance term at the support
/// features, the terms on the attention included.
fn norms_at_the_support(net: &FewShotNet, vic: &Vic) -> (f64, f64) {
    let images = Tensor::from_inner(episode(1).images);
    let features = net.backbone.forward(images, &mut Norm::Batch(&mut Vec::new())).inner();
    let norm = |loss: fn(&FewShotNet, &Vic, Tensor<4>, Tensor<4>) -> Tensor<1>| {
        let (support, query) = SHAPE.split(Tensor::from_inner(features.clone()));
        let support = support.detach().require_grad();
        let gradient = support.grad(&loss(net, vic, support.clone(), query).backward()).unwrap();
        to_host(gradient).iter().map(|value| f64::from(*value).powi(2)).sum::<f64>().sqrt()
    };
    let cross_entropy = norm(|net, _, support, query| {
        let logits = net.head.forward(support, query, SHAPE).logits;
        let targets = SHAPE.targets(&logits.device());
        fsct::loss::cross_entropy(logits, targets, 0.0)
    });
    let variance = norm(|net, vic, support, query| {
        let attended = net.head.forward(support.clone(), query, SHAPE).attended.unwrap();
        let attention = vic.on_attention.as_ref().unwrap();
        let weight = net.head.prototype_weight();
        let on_support = vic.terms(support.flatten(1, 3), weight, SHAPE);
        on_support.plus(vic.terms_on_attention(attended, attention)).variance
    });
    (cross_entropy, variance)
}

/// Terms on the attention reach the support features through the head. They count as the terms' own
/// gradient, not as the cross-entropy's.
#[test]
fn gradient_driven_weights_balance_the_cross_entropy_alone() {
    for detach in [true, false] {
        let mut objective = objective(Method::Profoct);
        let vic = objective.vic.as_mut().unwrap();
        vic.on_attention = Some(OnAttention { scale: 5.0, detach });
        let dynamic = vic.dynamic.as_mut().unwrap();
        dynamic.driver = DynamicDriver::Gradient;
        // The weights are at their targets after one step.
        dynamic.ema_decay = 0.0;
        let share = dynamic.base.alpha;
        let net = net(Method::Profoct);
        let (cross_entropy, variance) = norms_at_the_support(&net, objective.vic.as_ref().unwrap());
        let mut step =
            Backward { objective, embedding: Rc::new(Plain { norm: NORM }), head_last: false };
        let mut state = StageState::default();
        let mut cx = StepContext { scale: 64.0, ..StepContext::new(&mut state) };
        step.grads(&net, episode(1), &mut cx).unwrap();
        let (alpha, expected) = (state.vic.unwrap().alpha, share * cross_entropy / variance);
        assert!((alpha / expected - 1.0).abs() < 1e-3, "detach: {detach}: {alpha} {expected}");
    }
}
