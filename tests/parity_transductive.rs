//! Transductive methods against a plain NumPy implementation of their equations: `tests/parity/make_transductive.py`
//! made the expected probabilities.
#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

mod common;

use burn::prelude::*;
use common::formula::uniform;
use fsct::model::init::Init;
use fsct::model::layers::to_host;
use fsct::model::{EpisodeShape, Head};
use fsct::network::{HeadSpec, Inference, TransductiveSpec, Transform};
use serde_json::Value;

const N_WAY: usize = 5;
const N_QUERY: usize = 4;
const DIM: usize = 48;

fn features(name: &str, each: usize) -> Tensor<4> {
    let noise = uniform(name, N_WAY * each * DIM);
    let direction = uniform("direction", N_WAY * DIM);
    let value = |(at, noise): (usize, f32)| {
        let direction = f64::from(direction[at / (each * DIM) * DIM + at % DIM]);
        (f64::from(noise) + 0.75 * direction + 0.5) as f32
    };
    let values: Vec<f32> = noise.into_iter().enumerate().map(value).collect();
    let shape = [N_WAY * each, 3, DIM / 12, 4];
    Tensor::from_data(TensorData::new(values, shape), &Device::flex())
}

/// Probabilities of the queries.
fn probabilities(spec: TransductiveSpec, k_shot: usize) -> Vec<f64> {
    let shape = EpisodeShape { n_way: N_WAY, k_shot, n_query: N_QUERY };
    let spec = HeadSpec::Transductive(spec);
    let mut head = Head::new(&spec, [3, DIM / 12, 4], shape, &mut Init::new(0, &Device::flex()));
    let mean: Vec<f32> =
        uniform("mean", DIM).iter().map(|it| (0.5 + f64::from(*it) / 4.0) as f32).collect();
    head.set_mean(&mean);
    let logits =
        head.forward(features("support", k_shot), features("query", N_QUERY), shape).logits;
    let logits: Vec<f64> = to_host(logits).into_iter().map(f64::from).collect();
    let rows = logits.chunks_exact(N_WAY).flat_map(|row| {
        let largest = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let sum: f64 = row.iter().map(|it| (it - largest).exp()).sum();
        row.iter().map(move |it| (it - largest).exp() / sum)
    });
    rows.collect()
}

#[test]
fn probabilities_are_those_of_the_equations() {
    let expected: Value =
        serde_json::from_slice(&std::fs::read("tests/data/transductive.json").unwrap()).unwrap();
    for episode in expected["episodes"].as_array().unwrap() {
        let k_shot = episode["k_shot"].as_u64().unwrap() as usize;
        for (name, inference, transform) in [
            ("bdcspn", Inference::Bdcspn, Transform::L2),
            ("laplacianshot", Inference::LaplacianShot, Transform::CenteredL2),
            ("tim_1", Inference::Tim { alpha: 1.0 }, Transform::L2),
            ("tim_2", Inference::Tim { alpha: 2.0 }, Transform::L2),
            ("pt_map", Inference::PtMap, Transform::None),
        ] {
            let found = probabilities(TransductiveSpec { inference, transform }, k_shot);
            let expected: Vec<f64> =
                episode[name].as_array().unwrap().iter().map(|it| it.as_f64().unwrap()).collect();
            assert_eq!(found.len(), expected.len());
            let off = found.iter().zip(&expected).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
            println!("{name}, {k_shot} shots: {off:.1e}");
            assert!(off < 1e-4, "{name}, {k_shot} shots: {off:.1e}");
        }
    }
}
