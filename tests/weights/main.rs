//! Weights files: what PyTorch wrote loads, what is broken is refused by name, what is written is
//! read again.
//!
//! `tests/data/weights` was made by `tests/parity/make_weights.py` with PyTorch.
#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

#[path = "../common/mod.rs"]
mod common;
mod dinov2;
mod export;
mod few_shot;
mod files;
mod import;
mod matching;
mod pipeline;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use burn::prelude::*;
use common::reference::Reference;
use fsct::config::Optimizer;
use fsct::model::layers::to_host;
use fsct::model::names::Naming;
use fsct::model::weights::{read, shapes};
use fsct::model::{EpisodeShape, FewShotNet, Norm};
use fsct::network::{
    Alignment, Attention, BackboneSpec, Classifier, CtxSpec, Distance, FsctSpec, HeadSpec, Network,
    Prototypes, Trunk,
};
use fsct::run::checkpoint::{Progress, write as write_checkpoint};
use fsct::weights::{Exported, Matching, Names, Request, Scope, WeightsError, WeightsFile};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

const NAMINGS: &[Naming] = &[Naming::Reference, Naming::ReferenceChain, Naming::Torchvision];

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/weights").join(name)
}

/// The value that the script gave a tensor, where the sum of the indices is `sum`.
fn formula(name: &str, sum: usize) -> f32 {
    let phase = f64::from(crc32fast::hash(name.as_bytes()) % 1000);
    let value = (0.1 * sum as f64 + phase).sin();
    (if name.ends_with("running_var") { value.abs() } else { value }) as f32
}

/// Values of a whole tensor by the formula.
fn expected(name: &str, shape: &[usize]) -> Vec<f32> {
    let count: usize = shape.iter().product();
    let sum = |mut index: usize| {
        shape.iter().rev().fold(0, |sum, side| {
            let digit = index % side;
            index /= side;
            sum + digit
        })
    };
    (0..count).map(|index| formula(name, sum(index))).collect()
}

fn resnet(depths: [usize; 4], trunk: Trunk) -> BackboneSpec {
    BackboneSpec::resnet(depths, trunk, [3, 32, 32])
}

fn fsct_head(attention: Attention, prototypes: Prototypes) -> HeadSpec {
    HeadSpec::Fsct(FsctSpec {
        attention,
        depth: 1,
        heads: 2,
        dim_head: 8,
        mlp_dim: 16,
        classifier: Classifier::Reference,
        prototypes,
    })
}

fn net(backbone: BackboneSpec, head: HeadSpec, seed: u64) -> FewShotNet {
    let episode = EpisodeShape { n_way: 3, k_shot: 2, n_query: 1 };
    let network = Network { backbone, head, episode };
    FewShotNet::new(&network, seed, &Device::flex())
}

fn with_protonet(backbone: BackboneSpec) -> FewShotNet {
    net(backbone, HeadSpec::Protonet(Distance::Euclidean), 1)
}

fn matching(file: &Path, net: &FewShotNet, allow: &[&str]) -> Result<Matching, WeightsError> {
    matching_under(file, net, allow, None)
}

fn matching_under(
    file: &Path,
    net: &FewShotNet,
    allow: &[&str],
    prefix: Option<&str>,
) -> Result<Matching, WeightsError> {
    let allow: Vec<String> = allow.iter().map(|&it| it.to_owned()).collect();
    let request = Request {
        scope: Scope::Whole,
        namings: NAMINGS,
        allow_missing: &allow,
        prefix,
        allow_deeper: false,
    };
    Matching::new(WeightsFile::open(file)?, &shapes(net), &request)
}

/// Writes a safetensors file of named tensors.
fn write_tensors<'a>(
    file: &Path,
    tensors: impl IntoIterator<Item = (String, &'a [usize], &'a [f32])>,
) {
    let bytes: Vec<_> = tensors
        .into_iter()
        .map(|(name, shape, values)| {
            let bytes: Vec<u8> = values.iter().flat_map(|it| it.to_le_bytes()).collect();
            (name, shape.to_vec(), bytes)
        })
        .collect();
    let views = bytes.iter().map(|(name, shape, bytes)| {
        let dtype = safetensors::Dtype::F32;
        (name, safetensors::tensor::TensorView::new(dtype, shape.clone(), bytes).unwrap())
    });
    fs::write(file, safetensors::serialize(views, None).unwrap()).unwrap();
}

/// Tensors of a safetensors file, by name.
fn read_tensors(file: &Path) -> BTreeMap<String, (Vec<usize>, Vec<f32>)> {
    let file = WeightsFile::open(file).unwrap();
    file.names()
        .map(|name| (name.to_owned(), (file.shape(name).unwrap(), file.values(name).unwrap())))
        .collect()
}

/// The message of what must fail.
fn refusal(result: Result<Matching, WeightsError>) -> String {
    result.expect_err("these weights do not fit").to_string()
}

/// Every tensor of a network has the formula's values under the name that the file gives it.
fn follows_the_formula(net: &FewShotNet, naming: Naming, prefix: &str) {
    for tensor in read(net) {
        let name = format!("{prefix}{}", naming.name(&tensor.path).unwrap());
        let expected = expected(&name, &tensor.shape);
        let error = tensor.values.iter().zip(&expected).map(|(a, b)| (a - b).abs());
        assert!(error.fold(0.0, f32::max) < 1e-6, "{name}");
    }
}

/// A pipeline of the model in `reference.tar`.
const PIPELINE: &str = "
name: imported
device: cpu
data: {format: synthetic, image_size: 28}
episode: {n_way: 3, k_shot: 2, n_query: 3}
backbone: {kind: conv4s}
method: {kind: fsct, heads: 2, dim_head: 8, mlp_dim: 16}
train: {epochs: 1, episodes_per_epoch: 4}
validate: {episodes: 2}
test: {episodes: 3}
";

fn fsct(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fsct"));
    command.args(arguments).current_dir(folder).output().unwrap()
}

/// What was printed, without the frame and the line breaks of a diagnostic.
fn said(output: &Output) -> String {
    let text = [output.stdout.as_slice(), &output.stderr].concat();
    let text = String::from_utf8_lossy(&text);
    text.split_whitespace().filter(|word| *word != "│").collect::<Vec<_>>().join(" ")
}

fn succeeds(folder: &Path, arguments: &[&str]) -> String {
    let output = fsct(folder, arguments);
    assert!(output.status.success(), "{arguments:?}: {}", said(&output));
    said(&output)
}
