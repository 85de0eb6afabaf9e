//! A vision transformer gives PyTorch's numbers: embeddings of positions that are interpolated for the images, features,
//! and every gradient.
//!
//! `tests/data/vit.json` was made in float64 by `tests/parity/make_vit.py`; weights and images follow the same formula
//! here, and get into the network through files of weights, with the names of DINOv2's authors or of Hugging Face.
#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

mod common;

use std::fs;
use std::path::Path;

use burn::prelude::*;
use common::formula::{check, uniform};
use common::gradients::in_torch_layout;
use fsct::model::layers::to_host;
use fsct::model::names::Naming;
use fsct::model::weights::{read, shapes};
use fsct::model::{FewShotNet, Norm};
use fsct::network::{BackboneSpec, Distance, EpisodeShape, HeadSpec, Network, VitSize};
use fsct::stage::grads::Gradients;
use fsct::weights::{Matching, Request, Scope, WeightsFile};
use serde_json::Value;

/// Of features, absolute and of gradients relative to the largest value or to the norm.
const TOLERANCE: f64 = 1e-5;

/// The parameter of that name, as in `make_vit.py`.
fn value(name: &str, shape: &[usize]) -> Vec<f32> {
    let u = uniform(name, shape.iter().product());
    let scale = match shape {
        [_, rest @ ..] if [1, 3].contains(&rest.len()) => {
            (3.0 / rest.iter().product::<usize>() as f64).sqrt() as f32
        }
        [_, _, _] => 1.0,
        _ => 0.2,
    };
    let is_scale = ["norm.weight", "norm1.weight", "norm2.weight", "gamma"];
    let is_scale = is_scale.iter().any(|end| name.ends_with(end));
    u.into_iter().map(|u| u * scale).map(|u| if is_scale { 1.0 + u } else { u }).collect()
}

fn torch_name(path: &str) -> String {
    Naming::Torchvision.name(path).expect(path)
}

/// A safetensors file of the network's tensors, with embeddings of `side` patches each way.
fn write_file(file: &Path, net: &FewShotNet, side: usize, naming: Naming) {
    let mut tensors: Vec<(String, Vec<usize>, Vec<u8>)> = Vec::new();
    for (path, mut shape) in shapes(net) {
        let torch = torch_name(&path);
        if torch == "pos_embed" {
            shape[1] = 1 + side * side;
        }
        let bytes: Vec<u8> = value(&torch, &shape).iter().flat_map(|it| it.to_le_bytes()).collect();
        let name = naming.name(&path).unwrap();
        if naming == Naming::HuggingFace && name.contains(".qkv.") {
            shape[0] /= 3;
            let parts = ["query", "key", "value"].into_iter().zip(bytes.chunks(bytes.len() / 3));
            tensors.extend(
                parts.map(|(part, it)| (name.replace("qkv", part), shape.clone(), it.to_vec())),
            );
        } else {
            tensors.push((name, shape, bytes));
        }
    }
    let views = tensors.iter().map(|(name, shape, bytes)| {
        let dtype = safetensors::Dtype::F32;
        (name, safetensors::tensor::TensorView::new(dtype, shape.clone(), bytes).unwrap())
    });
    fs::write(file, safetensors::serialize(views, None).unwrap()).unwrap();
}

fn equals_pytorch(case: &str, naming: Naming) {
    let text = fs::read_to_string("tests/data/vit.json").unwrap();
    let all: Value = serde_json::from_str(&text).unwrap();
    let number = |value: &Value| value.as_u64().unwrap() as usize;
    let [width, depth, heads, patch, count] =
        ["width", "depth", "heads", "patch", "images"].map(|key| number(&all[key]));
    let expected = &all["cases"][case];
    let [registers, side, size] =
        ["registers", "side", "image_size"].map(|key| number(&expected[key]));

    let spec =
        BackboneSpec::vit(VitSize { width, depth, heads }, patch, registers, [3, size, size]);
    let network = Network {
        backbone: spec,
        head: HeadSpec::Protonet(Distance::Euclidean),
        episode: EpisodeShape { n_way: 2, k_shot: 1, n_query: 1 },
    };
    let device = Device::flex().autodiff();
    let net = FewShotNet::new(&network, 1, &device);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("vit.safetensors");
    write_file(&file, &net, side, naming);
    let request = Request {
        scope: Scope::Backbone,
        namings: &[Naming::Torchvision, Naming::HuggingFace],
        allow_missing: &[],
        prefix: None,
        allow_deeper: false,
    };
    let opened = WeightsFile::open(&file).unwrap().joining(["query", "key", "value"], "qkv");
    let matching = Matching::new(opened, &shapes(&net), &request).unwrap();
    assert!(matching.left.is_empty(), "{:?}", matching.left);
    let net = matching.load(net).unwrap();

    let positions = read(&net).into_iter().find(|it| it.path.ends_with("positions")).unwrap();
    check("positions", &positions.values, &expected["positions"], 1e-6);

    let shape = [count, 3, size, size];
    let images = TensorData::new(uniform("images", shape.iter().product()), shape);
    let images = Tensor::<4>::from_data(images, &device).require_grad();
    let features = net.backbone.forward(images.clone(), &mut Norm::Running);
    assert_eq!(features.dims(), [count, width, 1, 1]);
    let host = to_host(features.clone().inner());
    let values = expected["features"].as_array().unwrap();
    assert_eq!(host.len(), values.len());
    for (found, value) in host.iter().zip(values) {
        let error = (f64::from(*found) - value.as_f64().unwrap()).abs();
        assert!(error <= TOLERANCE, "{case}: {found} and {value}");
    }

    let weights = TensorData::new(uniform("loss", host.len()), features.dims());
    let mut tape = (features * Tensor::from_data(weights, &device)).sum().backward();
    let input = to_host(images.grad(&tape).unwrap());
    check("input", &input, &expected["input_gradient"], TOLERANCE);
    let mut gradients = Gradients::default();
    gradients.take(&mut tape, &net);
    let found = in_torch_layout(&net, &gradients, torch_name);
    let names = expected["gradients"].as_object().unwrap();
    assert_eq!(found.len(), names.len(), "as many gradients");
    for (name, summary) in names {
        check(&format!("grad.{name}"), &found[name], summary, TOLERANCE);
    }
}

#[test]
fn positions_of_the_images_are_taken_as_they_are() {
    equals_pytorch("plain", Naming::Torchvision);
    equals_pytorch("registers", Naming::Torchvision);
    equals_pytorch("plain", Naming::HuggingFace);
}

#[test]
fn without_registers_positions_are_interpolated_by_a_scale() {
    equals_pytorch("fewer", Naming::Torchvision);
    equals_pytorch("more", Naming::Torchvision);
}

#[test]
fn with_registers_positions_are_interpolated_with_antialiasing() {
    equals_pytorch("registers_fewer", Naming::Torchvision);
    equals_pytorch("registers_more", Naming::Torchvision);
}

#[test]
fn hugging_face_interpolates_to_a_size() {
    equals_pytorch("hugging_face", Naming::HuggingFace);
    equals_pytorch("hugging_face_registers", Naming::HuggingFace);
}
