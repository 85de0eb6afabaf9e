//! Classifiers that are trained on a support equal those of PyTorch: `tests/parity/make_baseline.py`.
#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

use std::collections::BTreeMap;

use burn::prelude::*;
use fsct::model::EpisodeShape;
use fsct::model::layers::to_host;
use fsct::model::method::baseline::{Baseline, Draw};
use fsct::network::ClassHead;

const SHAPE: EpisodeShape = EpisodeShape { n_way: 5, k_shot: 3, n_query: 2 };
const QUERIES: usize = 8;
const DIM: usize = 12;

/// The formula of `make_baseline.py`, row by row.
fn formula(rows: usize, columns: usize, phase: f64) -> Vec<f32> {
    let value = |at: usize| {
        let at = at as f64;
        ((at * 1.7 + phase).sin() + 0.3 * (at * at * 0.01).sin()) as f32
    };
    (0..rows * columns).map(value).collect()
}

fn rows(values: Vec<f32>) -> Tensor<2> {
    let shape = [values.len() / DIM, DIM];
    Tensor::from_data(TensorData::new(values, shape), &Device::flex())
}

/// Features of the support, as far apart from those of their class as `noise` says.
fn support(noise: f32) -> Vec<f32> {
    let mut values = formula(SHAPE.supports(), DIM, 0.5);
    values.iter_mut().for_each(|value| *value *= noise);
    let classes = formula(SHAPE.n_way, DIM, 2.0);
    for (at, value) in values.iter_mut().enumerate() {
        *value += classes[at / DIM / SHAPE.k_shot * DIM + at % DIM];
    }
    values
}

#[test]
fn a_classifier_of_a_support_is_that_of_pytorch() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/baseline.json");
    let expected: BTreeMap<String, Vec<Vec<f64>>> =
        serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let scaled = |values: Vec<f32>| values.into_iter().map(|it| 0.2 * it).collect();
    let count = SHAPE.supports();
    let draw = Draw {
        weights: scaled(formula(SHAPE.n_way, DIM, 1.0)),
        bias: scaled(formula(1, SHAPE.n_way, 3.0)),
        orders: (0..100)
            .map(|epoch| (0..count).map(|place| (7 * place + epoch) % count).collect())
            .collect(),
    };
    for (name, kind) in [("linear", ClassHead::Linear), ("cosine", ClassHead::Cosine)] {
        let query = rows(formula(QUERIES, DIM, 4.0));
        let logits = Baseline::new(kind).logits(rows(support(1.0)), query, SHAPE, &draw);
        let wanted: Vec<f64> = expected[name].iter().flatten().copied().collect();
        assert_eq!(logits.len(), wanted.len());
        let largest = wanted.iter().fold(0.0, |most, it| f64::max(most, it.abs()));
        assert!(largest > 0.5, "{name}: logits up to {largest} show nothing");
        for (at, (found, wanted)) in logits.iter().zip(&wanted).enumerate() {
            assert!((found - wanted).abs() < 1e-4, "{name} {at}: {found} for {wanted}");
        }
    }
}

#[test]
fn a_classifier_tells_its_own_support_apart() {
    for kind in [ClassHead::Linear, ClassHead::Cosine] {
        let head = Baseline::new(kind);
        let answer = || to_host(head.forward(rows(support(0.2)), rows(support(0.2)), SHAPE).logits);
        let logits = answer();
        assert_eq!(logits, answer(), "the same episode has the same answer");
        let right = logits.chunks_exact(SHAPE.n_way).enumerate().filter(|(image, row)| {
            let best = (0..SHAPE.n_way).max_by(|a, b| row[*a].total_cmp(&row[*b])).unwrap();
            best == image / SHAPE.k_shot
        });
        assert!(right.count() >= 12, "{kind:?}: fewer than 12 of 15");
    }
}
