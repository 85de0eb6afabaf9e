//! What every method promises, whatever its numbers.

mod common;

use burn::prelude::*;
use common::{max_abs, max_difference};
use fsct::model::init::Init;
use fsct::model::layers::to_host;
use fsct::model::{EpisodeShape, Head};
use fsct::network::{
    Alignment, Attention, BatchNormMode, Classifier, CtxSpec, Distance, FeatSpec, FinetuneSpec,
    FsctSpec, HeadSpec, Inference, KnnSpec, Prototypes, RelationSpec, TransductiveSpec, Transform,
};
use proptest::prelude::*;
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Feature maps: channels, height, width.
const FEATURES: [usize; 3] = [3, 4, 4];

fn fsct(attention: Attention, classifier: Classifier, prototypes: Prototypes) -> HeadSpec {
    HeadSpec::Fsct(FsctSpec {
        attention,
        depth: 2,
        heads: 2,
        dim_head: 4,
        mlp_dim: 8,
        classifier,
        prototypes,
    })
}

/// Methods that treat classes alike.
fn symmetric() -> Vec<HeadSpec> {
    let attentions = [Attention::Cosine, Attention::Softmax];
    let alignment = Alignment::Sum;
    let mut specs: Vec<HeadSpec> = attentions
        .map(|attention| HeadSpec::Ctx(CtxSpec { attention, dim_attn: 4, alignment }))
        .to_vec();
    specs.extend(attentions.map(|it| fsct(it, Classifier::Reference, Prototypes::Shared)));
    specs.push(fsct(Attention::Cosine, Classifier::Cosine, Prototypes::Shared));
    specs.extend(
        [Distance::Euclidean, Distance::Cosine, Distance::Mahalanobis, Distance::ScaledCosine]
            .map(HeadSpec::Protonet),
    );
    specs.push(HeadSpec::Matching(10.0));
    specs.extend([Transform::None, Transform::L2, Transform::CenteredL2].map(HeadSpec::SimpleShot));
    specs.push(HeadSpec::Feat(FeatSpec { temperature: 4.0, contrast: false }));
    specs.push(HeadSpec::Relation(RelationSpec { batch_norm: BatchNormMode::Running }));
    specs.extend([Distance::Euclidean, Distance::Cosine].map(|distance| {
        HeadSpec::FinetunedProtonet(FinetuneSpec { distance, steps: 5, learning_rate: 0.05 })
    }));
    specs.push(HeadSpec::Logistic);
    specs.extend(
        [Distance::Euclidean, Distance::Cosine, Distance::Mahalanobis]
            .map(|distance| HeadSpec::Knn(KnnSpec { neighbors: 2, distance })),
    );
    for inference in [
        Inference::Bdcspn,
        Inference::LaplacianShot,
        Inference::Tim { alpha: 1.0 },
        Inference::Tim { alpha: 2.0 },
        Inference::PtMap,
    ] {
        let transform = Transform::L2;
        specs.push(HeadSpec::Transductive(TransductiveSpec { inference, transform }));
    }
    specs
}

fn head(spec: &HeadSpec, shape: EpisodeShape) -> Head {
    Head::new(spec, FEATURES, shape, &mut Init::new(3, &Device::flex()))
}

/// Random features of `classes` classes with `each` images.
fn features(classes: usize, each: usize, rng: &mut ChaCha8Rng) -> Vec<Vec<f32>> {
    let length = each * FEATURES.iter().product::<usize>();
    (0..classes).map(|_| (0..length).map(|_| rng.random_range(-1.0..1.0)).collect()).collect()
}

fn tensor(classes: &[Vec<f32>], each: usize) -> Tensor<4> {
    let [channels, height, width] = FEATURES;
    let shape = [classes.len() * each, channels, height, width];
    Tensor::from_data(TensorData::new(classes.concat(), shape), &Device::flex())
}

fn logits(head: &Head, support: &[Vec<f32>], query: &[Vec<f32>], shape: EpisodeShape) -> Vec<f32> {
    let support = tensor(support, shape.k_shot);
    to_host(head.forward(support, tensor(query, shape.n_query), shape).logits)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn permuting_the_classes_permutes_the_logits(
        n_way in 2usize..5,
        k_shot in 1usize..4,
        n_query in 1usize..4,
        seed: u64,
    ) {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let shape = EpisodeShape { n_way, k_shot, n_query };
        let (support, query) =
            (features(n_way, k_shot, &mut rng), features(n_way, n_query, &mut rng));
        let mut order: Vec<usize> = (0..n_way).collect();
        order.shuffle(&mut rng);
        let moved: Vec<_> = order.iter().map(|class| support[*class].clone()).collect();
        for spec in symmetric() {
            let head = head(&spec, shape);
            let before = logits(&head, &support, &query, shape);
            // The queries stay where they are: only the columns move.
            let after = logits(&head, &moved, &query, shape);
            let expected: Vec<f32> = before
                .chunks_exact(n_way)
                .flat_map(|row| order.iter().map(|class| row[*class]))
                .collect();
            let error = max_difference(&expected, &after) / max_abs(&expected).max(1e-2);
            prop_assert!(error < 1e-3, "{spec:?}: {error:.1e}");
        }
    }
}

#[test]
fn published_prototypes_tie_a_model_to_its_ways_and_shared_ones_do_not() {
    let shape = EpisodeShape { n_way: 4, k_shot: 2, n_query: 1 };
    let published =
        head(&fsct(Attention::Cosine, Classifier::Reference, Prototypes::PerWay), shape);
    assert_eq!(published.tied_to_ways(), Some(4));
    for spec in symmetric() {
        assert_eq!(head(&spec, shape).tied_to_ways(), None, "{spec:?}");
    }
}

#[test]
fn methods_that_treat_classes_alike_answer_at_other_ways_and_shots() {
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let trained = EpisodeShape { n_way: 5, k_shot: 2, n_query: 3 };
    for spec in symmetric() {
        let head = head(&spec, trained);
        for (n_way, k_shot) in [(3, 2), (8, 1), (5, 4)] {
            let shape = EpisodeShape { n_way, k_shot, n_query: 2 };
            let (support, query) =
                (features(n_way, k_shot, &mut rng), features(n_way, 2, &mut rng));
            let logits = logits(&head, &support, &query, shape);
            assert_eq!(logits.len(), n_way * 2 * n_way);
            assert!(logits.iter().all(|logit| logit.is_finite()), "{spec:?} at {n_way}/{k_shot}");
        }
    }
}

/// A query that equals a prototype is closest to it.
/// The cure of CTX's cosine variant: the same image five times is that image.
#[test]
fn a_shot_repeated_says_no_more_than_once_under_the_mean() {
    let mut rng = ChaCha8Rng::seed_from_u64(9);
    let (once, query) = (features(3, 1, &mut rng), features(3, 2, &mut rng));
    let five: Vec<Vec<f32>> = once.iter().map(|shot| shot.repeat(5)).collect();
    let shape = |k_shot| EpisodeShape { n_way: 3, k_shot, n_query: 2 };
    let apart = |alignment| {
        let attention = Attention::Cosine;
        let spec = HeadSpec::Ctx(CtxSpec { attention, dim_attn: 4, alignment });
        let one = logits(&head(&spec, shape(1)), &once, &query, shape(1));
        let five = logits(&head(&spec, shape(5)), &five, &query, shape(5));
        common::max_difference(&one, &five)
    };
    let (mean, sum) = (apart(Alignment::Mean), apart(Alignment::Sum));
    assert!(mean < 1e-5, "{mean}");
    assert!(sum > 1e-2, "as published, five shots weigh five times as much: {sum}");
}

#[test]
fn a_query_is_nearest_to_the_class_it_equals() {
    let mut rng = ChaCha8Rng::seed_from_u64(2);
    let shape = EpisodeShape { n_way: 4, k_shot: 1, n_query: 1 };
    let support = features(4, 1, &mut rng);
    let without_weights = |spec: &HeadSpec| {
        !matches!(
            spec,
            HeadSpec::Fsct(_) | HeadSpec::Ctx(_) | HeadSpec::Feat(_) | HeadSpec::Relation(_)
        )
    };
    for spec in symmetric().into_iter().filter(without_weights) {
        let head = head(&spec, shape);
        let logits = logits(&head, &support, &support, shape);
        for (row, logits) in logits.chunks_exact(4).enumerate() {
            let best = fsct::run::answer::argmax(logits);
            assert_eq!(best, row, "{spec:?}: {logits:?}");
        }
    }
}
