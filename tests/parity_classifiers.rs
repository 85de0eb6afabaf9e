//! Classifiers on frozen features against scikit-learn and NumPy: `tests/parity/make_classifiers.py` made the expected
//! probabilities.
#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

mod common;

use burn::prelude::*;
use common::formula::uniform;
use fsct::model::init::Init;
use fsct::model::layers::to_host;
use fsct::model::{EpisodeShape, Head};
use fsct::network::{Distance, HeadSpec, KnnSpec, Transform};
use serde_json::Value;

const N_WAY: usize = 5;
const N_QUERY: usize = 4;
const DIM: usize = 48;
const NEIGHBORS: usize = 3;

fn expected() -> Value {
    serde_json::from_slice(&std::fs::read("tests/data/classifiers.json").unwrap()).unwrap()
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|it| it.as_f64().unwrap()).collect()
}

/// Features of `each` images of every class, as the script makes them.
fn features(name: &str, each: usize) -> Tensor<4> {
    let noise = uniform(name, N_WAY * each * DIM);
    let direction = uniform("direction", N_WAY * DIM);
    let value = |(at, noise): (usize, f32)| {
        let (class, feature) = (at / (each * DIM), at % DIM);
        let direction = f64::from(direction[class * DIM + feature]);
        (f64::from(noise) + 0.75 * direction + 0.5) as f32
    };
    let values: Vec<f32> = noise.into_iter().enumerate().map(value).collect();
    // A map of three channels, which heads flatten.
    let shape = [N_WAY * each, 3, DIM / 12, 4];
    Tensor::from_data(TensorData::new(values, shape), &Device::flex())
}

/// Logits of the queries, in f64.
fn logits(spec: &HeadSpec, k_shot: usize) -> Vec<f64> {
    let shape = EpisodeShape { n_way: N_WAY, k_shot, n_query: N_QUERY };
    let mut head = Head::new(spec, [3, DIM / 12, 4], shape, &mut Init::new(0, &Device::flex()));
    let mean: Vec<f32> =
        uniform("mean", DIM).iter().map(|it| (0.5 + f64::from(*it) / 4.0) as f32).collect();
    head.set_mean(&mean);
    let output = head.forward(features("support", k_shot), features("query", N_QUERY), shape);
    to_host(output.logits).into_iter().map(f64::from).collect()
}

fn softmax(logits: &[f64]) -> Vec<f64> {
    let rows = logits.chunks_exact(N_WAY).flat_map(|row| {
        let sum: f64 = row.iter().map(|it| it.exp()).sum();
        row.iter().map(move |it| it.exp() / sum)
    });
    rows.collect()
}

fn difference(found: &[f64], expected: &[f64]) -> f64 {
    assert_eq!(found.len(), expected.len());
    assert_eq!(found.len(), N_WAY * N_WAY * N_QUERY);
    found.iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
}

#[test]
fn logistic_regression_is_that_of_scikit_learn() {
    for episode in expected()["episodes"].as_array().unwrap() {
        let k_shot = episode["k_shot"].as_u64().unwrap() as usize;
        let found = softmax(&logits(&HeadSpec::Logistic, k_shot));
        let off = difference(&found, &numbers(&episode["logistic"]));
        assert!(off < 1e-5, "{k_shot} shots: {off:.1e}");
    }
}

#[test]
fn simpleshot_is_the_formula_of_the_paper() {
    for episode in expected()["episodes"].as_array().unwrap() {
        let k_shot = episode["k_shot"].as_u64().unwrap() as usize;
        for (transform, name) in [
            (Transform::None, "none"),
            (Transform::L2, "l2"),
            (Transform::CenteredL2, "centered_l2"),
        ] {
            let found = softmax(&logits(&HeadSpec::SimpleShot(transform), k_shot));
            let off = difference(&found, &numbers(&episode[format!("simpleshot_{name}")]));
            assert!(off < 1e-5, "{name}, {k_shot} shots: {off:.1e}");
        }
    }
}

#[test]
fn a_matching_network_sums_its_attention_by_class() {
    for episode in expected()["episodes"].as_array().unwrap() {
        let k_shot = episode["k_shot"].as_u64().unwrap() as usize;
        for scale in [1, 20] {
            let found = softmax(&logits(&HeadSpec::Matching(f64::from(scale)), k_shot));
            let off = difference(&found, &numbers(&episode[format!("matching_{scale}")]));
            assert!(off < 1e-5, "scale {scale}, {k_shot} shots: {off:.1e}");
        }
    }
}

/// scikit-learn's probabilities are shares of votes; ours count one more vote, for all classes alike.
#[test]
fn neighbours_vote_as_in_scikit_learn() {
    for episode in expected()["episodes"].as_array().unwrap() {
        let k_shot = episode["k_shot"].as_u64().unwrap() as usize;
        for (distance, name) in [(Distance::Euclidean, "euclidean"), (Distance::Cosine, "cosine")] {
            let spec = HeadSpec::Knn(KnnSpec { neighbors: NEIGHBORS, distance });
            let votes = NEIGHBORS as f64;
            let share = |it: &f64| (it.exp() * (votes + 1.0) - 1.0 / N_WAY as f64) / votes;
            let found: Vec<f64> = logits(&spec, k_shot).iter().map(share).collect();
            let off = difference(&found, &numbers(&episode[format!("knn_{name}")]));
            // A tie moves a logit by less than 0.001.
            assert!(off < 2e-3, "{name}, {k_shot} shots: {off:.1e}");
        }
    }
}
