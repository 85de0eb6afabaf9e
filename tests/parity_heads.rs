//! Heads equal the equations of their papers, and their gradients the finite differences of the loss:
//! `tests/parity/make_heads.py` made the expected numbers, in f64.
#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

mod common;

use std::collections::BTreeSet;

use burn::prelude::*;
use common::formula::uniform;
use common::gradients::in_torch_layout;
use common::{max_abs, max_difference};
use fsct::loss::Objective;
use fsct::model::init::Init;
use fsct::model::layers::to_host;
use fsct::model::weights::write;
use fsct::model::{EpisodeShape, Head};
use fsct::network::{BatchNormMode, Distance, FeatSpec, FinetuneSpec, HeadSpec, Map, RelationSpec};
use fsct::stage::grads::Gradients;
use serde_json::Value;

const N_WAY: usize = 4;
const N_QUERY: usize = 2;
/// Relative to the largest value of a tensor.
const VALUE_TOLERANCE: f64 = 1e-5;
const GRADIENT_TOLERANCE: f64 = 1e-4;

fn cases(method: &str) -> Vec<Value> {
    let all: Value =
        serde_json::from_slice(&std::fs::read("tests/data/heads.json").unwrap()).unwrap();
    let cases = all[method].as_array().unwrap().clone();
    assert!(cases.len() >= 2, "{method}");
    cases
}

fn numbers(value: &Value) -> Vec<f32> {
    value.as_array().unwrap().iter().map(|it| it.as_f64().unwrap() as f32).collect()
}

/// Features of `each` images of every class, as the script makes them.
fn features(name: &str, each: usize, map: Map, device: &Device) -> Tensor<4> {
    let dim: usize = map.iter().product();
    let noise = uniform(name, N_WAY * each * dim);
    let direction = uniform("direction", N_WAY * dim);
    let value = |(at, noise): (usize, f32)| {
        let direction = f64::from(direction[at / (each * dim) * dim + at % dim]);
        (f64::from(noise) + 0.5 * direction) as f32
    };
    let values: Vec<f32> = noise.into_iter().enumerate().map(value).collect();
    let [channels, height, width] = map;
    let shape = [N_WAY * each, channels, height, width];
    Tensor::from_data(TensorData::new(values, shape), device).require_grad()
}

/// `Feat.query.weight` → `query.weight`
fn without_variant(path: &str) -> String {
    path.split_once('.').map_or(path, |(_, rest)| rest).to_owned()
}

/// How a script's tensor of this path and shape is scaled and shifted.
type Formula = fn(&str, &[usize]) -> (f64, f64);

fn equals_the_script(case: &Value, spec: &HeadSpec, map: Map, objective: &Objective, of: Formula) {
    let k_shot = case["k_shot"].as_u64().unwrap() as usize;
    let shape = EpisodeShape { n_way: N_WAY, k_shot, n_query: N_QUERY };
    let device = Device::flex().autodiff();
    let head = Head::new(spec, map, shape, &mut Init::new(0, &device));
    let head = write(head, &mut |path, shape| {
        let name = without_variant(path);
        if name.contains("running") {
            return None;
        }
        let (scale, shift) = of(&name, shape);
        let values = uniform(&name, shape.iter().product());
        Some(values.into_iter().map(|it| (f64::from(it) * scale + shift) as f32).collect())
    });
    let support = features("support", k_shot, map, &device);
    let query = features("query", N_QUERY, map, &device);

    let mut output = head.forward(support.clone(), query.clone(), shape);
    if objective.balance.is_some() {
        output.members = head.members(support.clone(), query.clone(), shape);
    }
    let logits = to_host(output.logits.clone().inner());
    let close = |name: &str, actual: &[f32], expected: &[f32], tolerance: f64| {
        // A shift of all logits has no gradient under a softmax.
        let error = max_difference(actual, expected) / max_abs(expected).max(1e-3);
        println!("{spec:?}, {k_shot} shots, {name}: {error:.1e}");
        assert!(error <= tolerance, "{spec:?}, {k_shot} shots, {name}: {error:.1e}");
    };
    close("logits", &logits, &numbers(&case["logits"]), VALUE_TOLERANCE);

    for (moments, means) in
        output.moments.iter().zip(case["means"].as_array().into_iter().flatten())
    {
        close("means", &to_host(moments.mean.clone()), &numbers(means), VALUE_TOLERANCE);
    }
    let norms = case["means"].as_array().map_or(0, Vec::len);
    assert_eq!(output.moments.len(), norms, "moments of each norm");
    let flat = support.clone().flatten(1, 3);
    let loss = objective.loss(&head, output, flat, shape, &mut None);
    let expected = case["loss"].as_f64().unwrap() as f32;
    close("loss", &[loss.terms.loss as f32], &[expected], VALUE_TOLERANCE);
    close("total", &to_host(loss.total.clone().inner()), &[expected], VALUE_TOLERANCE);

    let mut tape = loss.total.backward();
    let mut gradients = Gradients::default();
    gradients.take(&mut tape, &head);
    let mut found = in_torch_layout(&head, &gradients, without_variant);
    for (name, features) in [("support", support), ("query", query)] {
        found.insert(name.into(), to_host(features.grad(&tape).unwrap()));
    }
    let expected = case["gradients"].as_object().unwrap();
    assert!(found.keys().collect::<BTreeSet<_>>() == expected.keys().collect(), "{found:?}");
    for (name, expected) in expected {
        let (found, expected) = (&found[name], numbers(expected));
        // Of a large tensor, the script has some places only.
        let found: Vec<f32> = match found.len() == expected.len() {
            true => found.clone(),
            false => (0..expected.len()).map(|at| found[at * 7919 % found.len()]).collect(),
        };
        // A bias before a batch norm has no gradient but rounding.
        if !name.ends_with("conv.bias") {
            close(name, &found, &expected, GRADIENT_TOLERANCE);
        }
    }
}

/// Weights, bias and norm of [`FeatSpec`] as the script scales them.
fn of_feat(name: &str, shape: &[usize]) -> (f64, f64) {
    match (name, shape.len()) {
        (_, 2) => (0.6, 0.0),
        ("norm.gamma", _) => (0.3, 1.0),
        _ => (0.3, 0.0),
    }
}

#[test]
fn feat_is_the_transformer_of_the_paper() {
    for case in cases("feat") {
        let number = |key: &str| case[key].as_f64().unwrap();
        let (temperature, balance) = (number("temperature"), number("balance"));
        let spec = HeadSpec::Feat(FeatSpec { temperature, contrast: balance > 0.0 });
        let balance = (balance > 0.0).then_some(balance);
        let objective = Objective { balance, ..Objective::default() };
        equals_the_script(&case, &spec, [6, 2, 2], &objective, of_feat);
    }
}

/// Weights of a relation module as the script scales them.
fn of_relation(name: &str, _: &[usize]) -> (f64, f64) {
    match name {
        "blocks.1.conv.weight" => (0.1, 0.0),
        "score.weight" => (1.0, 0.0),
        name if name.ends_with("norm.gamma") => (0.3, 1.0),
        _ => (0.3, 0.0),
    }
}

#[test]
fn relation_is_the_module_of_the_paper() {
    for case in cases("relation") {
        let of_pairs = case["squared"].as_bool().unwrap();
        let objective = Objective { of_pairs, ..Objective::default() };
        let spec = HeadSpec::Relation(RelationSpec { batch_norm: BatchNormMode::Running });
        equals_the_script(&case, &spec, [2, 5, 5], &objective, of_relation);
    }
}

#[test]
fn prototypes_are_fine_tuned_as_in_the_script() {
    for case in cases("finetune") {
        let k_shot = case["k_shot"].as_u64().unwrap() as usize;
        let shape = EpisodeShape { n_way: N_WAY, k_shot, n_query: N_QUERY };
        let distance: Distance = serde_json::from_value(case["distance"].clone()).unwrap();
        let steps = case["steps"].as_u64().unwrap() as usize;
        let learning_rate = case["learning_rate"].as_f64().unwrap();
        let device = Device::flex();
        let logits = |spec: HeadSpec| {
            let map = [6, 2, 2];
            let head = Head::new(&spec, map, shape, &mut Init::new(0, &device));
            let part =
                |name, each| features(name, each, map, &device.clone().autodiff()).inner() / 4.0;
            to_host(head.forward(part("support", k_shot), part("query", N_QUERY), shape).logits)
        };
        let tuned = FinetuneSpec { distance, steps, learning_rate };
        let found = logits(HeadSpec::FinetunedProtonet(tuned));
        let expected = numbers(&case["logits"]);
        let error = max_difference(&found, &expected) / max_abs(&expected);
        assert!(error <= VALUE_TOLERANCE, "{distance:?}, {k_shot} shots: {error:.1e}");
        let moved = max_difference(&found, &logits(HeadSpec::Protonet(distance)));
        assert!(moved / max_abs(&expected) > 1e-2, "{distance:?}, {k_shot} shots: {moved:.1e}");
    }
}
