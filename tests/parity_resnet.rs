//! ResNets give PyTorch's numbers: features, every gradient, running statistics.
//!
//! `tests/data/resnet` was made in float64 by `tests/parity/make_resnet.py`, which says why the
//! shifts of the batch norms are part of it, and by `make_resnet12_wide.py` beside it; weights and images follow the same
//! formula here.
#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

mod common;

use std::fs;

use burn::prelude::*;
use common::formula::{check, shifts, uniform};
use common::gradients::in_torch_layout;
use fsct::model::init::Init;
use fsct::model::layers::to_host;
use fsct::model::names::Naming;
use fsct::model::weights::{read, write};
use fsct::model::{Backbone, Norm};
use fsct::network::{BackboneSpec, Map, Trunk};
use fsct::stage::grads::Gradients;
use serde_json::Value;

/// Relative to the largest value, or to the norm for sums over a tensor. With the kinks out of reach
/// float32 is within 4e-5 here, and PyTorch's own float32 within 2e-5 of its float64.
const VALUE_TOLERANCE: f64 = 1e-4;
const GRADIENT_TOLERANCE: f64 = 2e-4;

/// The parameter or running statistic of that name.
fn value(name: &str, shape: &[usize], chosen: &Value) -> Vec<f32> {
    if let Some(hex) = chosen[name].as_str() {
        return shifts(hex);
    }
    let u = uniform(name, shape.iter().product());
    if let [output, _, height, width] = shape {
        let scale = (6.0 / (output * height * width) as f64).sqrt() as f32;
        return u.into_iter().map(|u| u * scale).collect();
    }
    u.into_iter()
        .map(|u| u * 0.2)
        .map(|u| match name.rsplit('.').next() {
            Some("weight") => 1.0 + u,
            Some("running_var") => 1.0 + u.abs(),
            _ => u,
        })
        .collect()
}

fn torch_name(path: &str) -> String {
    Naming::Torchvision.name(&format!("backbone.{path}")).expect(path)
}

fn trunk_equals_pytorch(file: &str, depths: [usize; 4], trunk: Trunk) {
    equals_pytorch(file, |image| BackboneSpec::resnet(depths, trunk, image));
}

fn equals_pytorch(file: &str, spec: impl Fn(Map) -> BackboneSpec) {
    let text = fs::read_to_string(format!("tests/data/resnet/{file}.json")).unwrap();
    let expected: Value = serde_json::from_str(&text).unwrap();
    let size = expected["image_size"].as_u64().unwrap() as usize;
    let count = expected["images"].as_u64().unwrap() as usize;

    let device = Device::flex().autodiff();
    let spec = spec([3, size, size]);
    let net = Backbone::new(&spec, &mut Init::new(1, &device));
    let mut net: Backbone =
        write(net, &mut |path, shape| Some(value(&torch_name(path), shape, &expected["shifts"])));
    let shape = [count, 3, size, size];
    let images = TensorData::new(uniform("images", shape.iter().product()), shape);
    let images = Tensor::<4>::from_data(images, &device).require_grad();

    let mut moments = Vec::new();
    let features = net.forward(images.clone(), &mut Norm::Batch(&mut moments));
    let dims: Vec<usize> = features.dims().to_vec();
    assert_eq!(serde_json::json!(dims), expected["feature_shape"]);
    assert_eq!(dims[1..], spec.features(), "the shape that heads are built for");
    let host = to_host(features.clone().inner());
    check("features", &host, &expected["features"], VALUE_TOLERANCE);

    let weights = TensorData::new(uniform("loss", host.len()), features.dims());
    let loss = (features * Tensor::from_data(weights, &device)).sum();
    let mut tape = loss.backward();
    let input = to_host(images.grad(&tape).unwrap());
    check("input", &input, &expected["input_gradient"], GRADIENT_TOLERANCE);
    let mut gradients = Gradients::default();
    gradients.take(&mut tape, &net);
    let found = in_torch_layout(&net, &gradients, torch_name);
    let names = expected["gradients"].as_object().unwrap();
    assert_eq!(found.len(), names.len(), "as many gradients");
    for (name, summary) in names {
        let actual = &found[name];
        check(&format!("grad.{name}"), actual, summary, GRADIENT_TOLERANCE);
    }

    for (norm, moments) in net.norms_mut().into_iter().zip(&moments) {
        norm.update_running(moments);
    }
    let running: Vec<_> =
        read(&net).into_iter().filter(|it| it.path.contains("running_")).collect();
    assert_eq!(running.len(), expected["running"].as_object().unwrap().len());
    for tensor in running {
        let name = torch_name(&tensor.path);
        check(&name, &tensor.values, &expected["running"][&name], VALUE_TOLERANCE);
    }
    let eval = net.valid().forward(images.inner(), &mut Norm::Running);
    check("eval", &to_host(eval), &expected["eval_features"], VALUE_TOLERANCE);
}

#[test]
fn resnet18() {
    trunk_equals_pytorch("resnet18", [2, 2, 2, 2], Trunk::Torchvision);
}

#[test]
fn resnet34() {
    trunk_equals_pytorch("resnet34", [3, 4, 6, 3], Trunk::Torchvision);
}

#[test]
fn feti12() {
    trunk_equals_pytorch("feti12", [2, 1, 1, 1], Trunk::Feti);
}

#[test]
fn feti18() {
    trunk_equals_pytorch("feti18", [2, 2, 2, 2], Trunk::Feti);
}

#[test]
fn feti34() {
    trunk_equals_pytorch("feti34", [3, 4, 6, 3], Trunk::Feti);
}

#[test]
fn resnet12_wide() {
    equals_pytorch("resnet12_wide", BackboneSpec::resnet12_wide);
}
