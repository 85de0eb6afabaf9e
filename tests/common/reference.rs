//! Models of the published PyTorch code: weights, inputs and what it computes from them.
//!
//! `tests/parity/make_reference.py` wrote `tests/data/reference` and has the same formula.

use std::fs;

use burn::prelude::*;
use fsct::model::names::reference_name;
use fsct::model::weights::write;
use fsct::model::{EpisodeShape, FewShotNet};
use fsct::network::{
    Alignment, Attention, BackboneSpec, Classifier, CtxSpec, FsctSpec, HeadSpec, Network,
    Prototypes,
};
use serde_json::Value;

use super::formula::{shifts, uniform};

pub struct Reference {
    pub name: &'static str,
    pub index: Value,
    pub shape: EpisodeShape,
}

impl Reference {
    pub fn open(name: &'static str) -> Self {
        let text = fs::read_to_string(format!("tests/data/reference/{name}.json")).unwrap();
        let index: Value = serde_json::from_str(&text).unwrap();
        let size = |key: &str| index[key].as_u64().unwrap() as usize;
        let shape =
            EpisodeShape { n_way: size("n_way"), k_shot: size("k_shot"), n_query: size("n_query") };
        Self { name, index, shape }
    }

    pub fn steps(&self) -> usize {
        self.index["steps"].as_array().unwrap().len()
    }

    pub fn step(&self, index: usize) -> &Value {
        &self.index["steps"][index]
    }

    pub fn list(&self, values: &Value) -> Vec<f32> {
        let values = values.as_array().unwrap();
        values.iter().map(|it| it.as_f64().unwrap() as f32).collect()
    }

    fn image_size(&self) -> usize {
        self.index["image_size"].as_u64().unwrap() as usize
    }

    pub fn network(&self) -> Network {
        let cosine = self.name.ends_with("cosine");
        let attention = if cosine { Attention::Cosine } else { Attention::Softmax };
        let head = match self.name.starts_with("ctx") {
            true => HeadSpec::Ctx(CtxSpec { attention, dim_attn: 8, alignment: Alignment::Sum }),
            false => HeadSpec::Fsct(FsctSpec {
                attention,
                depth: 1,
                heads: 2,
                dim_head: 4,
                mlp_dim: 8,
                classifier: Classifier::Reference,
                prototypes: Prototypes::PerWay,
            }),
        };
        let size = self.image_size();
        let backbone = BackboneSpec::conv(4, [3, size, size]);
        Network { backbone, head, episode: self.shape }
    }

    /// Every floating-point tensor of the published model's `state_dict`, by its name there. A conv
    /// block's layers appear twice: `feature.trunk.I.C` is `feature.trunk.I.trunk.0`.
    pub fn state(&self) -> Vec<(String, Vec<usize>, Vec<f32>)> {
        let parameters = self.index["parameters"].as_object().unwrap();
        let shape = |value: &Value| {
            value.as_array().unwrap().iter().map(|it| it.as_u64().unwrap() as usize).collect()
        };
        let tensors = parameters.iter().map(|(name, value)| {
            let shape: Vec<usize> = shape(value);
            let values = self.value(name, &shape);
            (name.clone(), shape, values)
        });
        tensors.collect()
    }

    /// Values of the tensor of that name.
    fn value(&self, name: &str, shape: &[usize]) -> Vec<f32> {
        // The published conv block registers its layers twice; one name for both.
        let name = match name.split('.').collect::<Vec<_>>()[..] {
            ["feature", "trunk", block, "trunk", "0", kind] => {
                format!("feature.trunk.{block}.C.{kind}")
            }
            ["feature", "trunk", block, "trunk", "1", kind] => {
                format!("feature.trunk.{block}.BN.{kind}")
            }
            _ => name.to_owned(),
        };
        if let Some(hex) = self.step(0)["shifts"][&name].as_str() {
            return shifts(hex);
        }
        let u = uniform(&name, shape.iter().product());
        let scaled = |scale: f32| u.iter().map(|u| u * scale).collect();
        match shape {
            [output, _, height, width] if name.starts_with("feature.") => {
                scaled((6.0 / (output * height * width) as f64).sqrt() as f32)
            }
            _ if name == "proto_weight" => u,
            [_, inputs @ ..] if !inputs.is_empty() => {
                scaled((3.0 / inputs.iter().product::<usize>() as f64).sqrt() as f32)
            }
            _ => u
                .into_iter()
                .map(|u| u * 0.2)
                .map(|u| match name.rsplit('.').next() {
                    Some("weight") => 1.0 + u,
                    Some("running_var") => 1.0 + u.abs(),
                    _ => u,
                })
                .collect(),
        }
    }

    /// The network with the formula's parameters; every one is a tensor of the published model.
    pub fn net(&self, device: &Device) -> FewShotNet {
        write(FewShotNet::new(&self.network(), 1, device), &mut |path, shape| {
            let name = reference_name(path).expect(path);
            let expected = self.index["parameters"][&name].as_array().expect(&name);
            let expected: Vec<_> =
                expected.iter().map(|it| it.as_u64().unwrap() as usize).collect();
            assert_eq!(expected, shape, "{name}");
            Some(self.value(&name, shape))
        })
    }

    /// The network with the shifts of batch norms that a step has.
    pub fn shifted(&self, net: FewShotNet, step: usize) -> FewShotNet {
        let chosen = &self.step(step)["shifts"];
        write(net, &mut |path, _| chosen[reference_name(path).expect(path)].as_str().map(shifts))
    }

    /// The episode of a step, support and query images of a class together.
    pub fn images(&self, step: usize, device: &Device) -> Tensor<4> {
        let size = self.image_size();
        let shape = [self.shape.images(), 3, size, size];
        let name = format!("images.{}", self.step(step)["draw"]);
        let values = uniform(&name, shape.iter().product()).into_iter().map(|it| it * 2.0);
        Tensor::from_data(TensorData::new(values.collect(), shape), device)
    }
}
