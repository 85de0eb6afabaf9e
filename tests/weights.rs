//! Weights files: what PyTorch wrote loads, what is broken is refused by name, what is written is
//! read again.
//!
//! `tests/data/weights` was made by `tests/parity/make_weights.py` with PyTorch.
#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

mod common;

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
use fsct::weights::{Matching, Names, Request, Scope, WeightsError, WeightsFile, export};
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
    let allow: Vec<String> = allow.iter().map(|&it| it.to_owned()).collect();
    let request = Request { scope: Scope::Whole, namings: NAMINGS, allow_missing: &allow };
    Matching::new(WeightsFile::open(file)?, &shapes(net), &request)
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

#[test]
fn every_container_and_float_type_of_pytorch_is_read() {
    for (name, tolerance) in [
        ("small.pth", 0.0),
        ("small_legacy.pth", 0.0),
        ("small_double.pth", 0.0),
        ("small_transposed.pth", 0.0),
        ("small_half.pth", 1e-3),
        ("small_bfloat16.pth", 8e-3),
    ] {
        let file = WeightsFile::open(&data(name)).unwrap();
        assert_eq!(file.names().collect::<Vec<_>>(), ["a.bias", "a.weight"], "{name}");
        assert_eq!(file.shape("a.weight"), Some(vec![2, 3]), "{name}");
        for (tensor, shape) in [("a.weight", [2, 3].as_slice()), ("a.bias", &[2])] {
            let values = file.values(tensor).unwrap();
            for (value, expected) in values.iter().zip(expected(tensor, shape)) {
                assert!((value - expected).abs() <= tolerance, "{name}: {value} for {expected}");
            }
        }
    }
}

#[test]
fn a_torchvision_file_fills_a_resnet18_and_its_classifier_is_left() {
    let net = with_protonet(resnet([2, 2, 2, 2], Trunk::Torchvision));
    let matching = matching(&data("resnet18.pth"), &net, &[]).unwrap();
    assert_eq!((matching.matched(), matching.prefix.as_str()), (100, ""));
    let left: Vec<_> =
        matching.left.iter().filter(|name| !name.ends_with("num_batches_tracked")).collect();
    assert_eq!(left, ["fc.bias", "fc.weight"]);
    assert_eq!(matching.left.len(), 22, "and 20 batch counters");
    follows_the_formula(&matching.load(net).unwrap(), Naming::Torchvision, "");
}

#[test]
fn a_feti_file_is_found_under_its_prefix() {
    let net = with_protonet(resnet([2, 1, 1, 1], Trunk::Feti));
    let matching = matching(&data("feti12.pt.tar"), &net, &[]).unwrap();
    assert_eq!(matching.prefix, "state_dict.module.resnet.");
    assert!(matching.left.contains(&"state_dict.module.classifier.weight".to_owned()));
    follows_the_formula(&matching.load(net).unwrap(), Naming::Torchvision, "module.resnet.");
}

#[test]
fn a_reference_checkpoint_fills_a_whole_model() {
    let backbone = BackboneSpec::conv(4, [1, 28, 28]);
    let net = net(backbone, fsct_head(Attention::Cosine, Prototypes::PerWay), 1);
    let matching = matching(&data("reference.tar"), &net, &[]).unwrap();
    assert_eq!(matching.prefix, "state.");
    assert_eq!(matching.matched(), shapes(&net).len());
    follows_the_formula(&matching.load(net).unwrap(), Naming::Reference, "");
}

#[test]
fn a_tensor_of_another_shape_is_named_unless_it_is_allowed() {
    let net = with_protonet(resnet([2, 2, 2, 2], Trunk::Feti));
    let file = data("resnet18.pth");
    let said = refusal(matching(&file, &net, &[]));
    assert!(said.contains("`conv1.weight` is [64, 3, 7, 7] and should be [64, 3, 5, 5]"), "{said}");
    assert!(said.contains("resnet18.pth"), "{said}");

    let matching = matching(&file, &net, &["conv1.*"]).unwrap();
    assert_eq!(matching.missing, ["conv1.weight"]);
    let stem = |net: &FewShotNet| read(net)[0].clone();
    let before = stem(&net);
    assert!(before.path.ends_with("stem.conv.weight"));
    assert_eq!(stem(&matching.load(net).unwrap()), before, "it keeps its initial value");
}

#[test]
fn missing_tensors_are_all_counted_unless_they_are_allowed() {
    let deeper = with_protonet(resnet([3, 4, 6, 3], Trunk::Torchvision));
    let file = data("resnet18.pth");
    let said = refusal(matching(&file, &deeper, &[]));
    assert!(said.contains("`layer1.2.conv1.weight` is missing"), "{said}");
    assert!(said.contains("and 72 more"), "{said}");
    assert!(matching(&file, &deeper, &["layer?.[2-5].*"]).is_ok());
    let said = refusal(matching(&file, &deeper, &["layer?.[2-5].*", "layer9.*"]));
    assert!(said.contains("layer9.*` names no tensor"), "{said}");
    let said = refusal(matching(&file, &deeper, &["layer["]));
    assert!(said.contains("layer[` is no pattern"), "{said}");
}

#[test]
fn what_is_no_floating_point_number_is_named() {
    let net = with_protonet(resnet([2, 1, 1, 1], Trunk::Feti));
    let said = refusal(matching(&data("feti12_int.pt.tar"), &net, &[]));
    assert!(said.contains("`layer2.0.conv2.weight` holds i64"), "{said}");
    let file = WeightsFile::open(&data("small_nan.pth")).unwrap();
    let said = file.values("a.bias").unwrap_err().to_string();
    assert!(said.contains("tensor `a.bias`: value 1 is not finite"), "{said}");
}

#[test]
fn a_file_of_another_network_says_what_it_has() {
    let net = with_protonet(resnet([2, 2, 2, 2], Trunk::Torchvision));
    let said = refusal(matching(&data("small.pth"), &net, &[]));
    assert!(said.contains("it has `a.bias`, `a.weight`"), "{said}");
    assert!(said.contains("`conv1.weight`"), "{said}");
    let said = refusal(matching(&data("no_tensors.pth"), &net, &[]));
    assert!(said.contains("no tensor in it"), "{said}");
    let said = refusal(matching(&data("nowhere.pth"), &net, &[]));
    assert!(said.contains("nowhere.pth"), "{said}");
}

#[test]
fn nothing_in_a_pickle_is_executed() {
    // The pickles run `touch fsct_was_here` in the current folder, were they executed.
    let trace = Path::new("fsct_was_here");
    assert!(!trace.exists(), "left over from elsewhere");
    for name in ["hostile.pth", "hostile_legacy.pth"] {
        let file = WeightsFile::open(&data(name)).unwrap();
        let names: Vec<_> = file.names().collect();
        assert_eq!(names, ["state_dict.a.bias", "state_dict.a.weight"], "{name}");
        file.values("state_dict.a.weight").unwrap();
    }
    assert!(WeightsFile::open(&data("hostile_root.pth")).is_err());
    assert!(!trace.exists(), "a pickle was executed");
}

/// All of a file's values, or the first thing that is wrong.
fn read_all(path: &Path) -> Result<usize, WeightsError> {
    let file = WeightsFile::open(path)?;
    let names: Vec<String> = file.names().map(str::to_owned).collect();
    for name in &names {
        if file.wrong_type(name).is_none() {
            file.values(name)?;
        }
    }
    Ok(names.len())
}

/// A file of each format.
fn one_of_each(folder: &Path) -> Vec<PathBuf> {
    let small = net(BackboneSpec::conv(4, [1, 16, 16]), HeadSpec::Protonet(Distance::Euclidean), 1);
    let exported = folder.join("net.safetensors");
    fs::write(&exported, export(&small, Names::Reference, 3).unwrap()).unwrap();
    let checkpoint = folder.join("net.ckpt");
    let optimizer = fsct::graph::optimizer(&Optimizer::default());
    write_checkpoint(&checkpoint, "", &Progress::default(), &small, &optimizer).unwrap();
    let pytorch = ["small.pth", "small_legacy.pth", "reference.tar"].map(data);
    pytorch.into_iter().chain([exported, checkpoint]).collect()
}

#[test]
fn truncated_files_are_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    for file in one_of_each(folder.path()) {
        let bytes = fs::read(&file).unwrap();
        let whole = read_all(&file).unwrap();
        let cut = folder.path().join("cut").with_extension(file.extension().unwrap());
        for share in 0..40 {
            let length = bytes.len() * share / 40;
            fs::write(&cut, &bytes[..length]).unwrap();
            let error = read_all(&cut).map(|found| assert!(found < whole)).unwrap_err();
            assert!(error.to_string().contains("cut."), "{}: {error}", file.display());
        }
    }
}

#[test]
fn damaged_files_never_bring_the_program_down() {
    let folder = tempfile::tempdir().unwrap();
    let mut rng = ChaCha8Rng::seed_from_u64(5);
    let (mut refused, mut tries) = (0, 0);
    for file in one_of_each(folder.path()) {
        let bytes = fs::read(&file).unwrap();
        let bad = folder.path().join("bad").with_extension(file.extension().unwrap());
        for _ in 0..150 {
            let mut bytes = bytes.clone();
            for _ in 0..rng.random_range(1..8) {
                let at = rng.random_range(0..bytes.len());
                bytes[at] = rng.random();
            }
            fs::write(&bad, bytes).unwrap();
            // Some bytes are padding or values: then it reads, and that is right too.
            refused += usize::from(read_all(&bad).is_err());
            tries += 1;
        }
    }
    assert!(refused > tries / 10, "only {refused} of {tries} were noticed");
}

#[test]
fn a_pointer_of_git_lfs_is_recognised() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("resnet18.pth");
    fs::write(&file, "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n").unwrap();
    let error = WeightsFile::open(&file).unwrap_err();
    assert!(error.to_string().contains("Git LFS pointer"), "{error}");
}

/// Every backbone and head that can be built.
fn every_net(seed: u64) -> Vec<(String, FewShotNet)> {
    let backbones = [
        ("conv4", BackboneSpec::conv(4, [3, 16, 16])),
        ("conv6np", BackboneSpec::conv_np(6, [1, 16, 16])),
        ("resnet18", resnet([2, 2, 2, 2], Trunk::Torchvision)),
        ("feti12", resnet([2, 1, 1, 1], Trunk::Feti)),
    ];
    let mut nets = Vec::new();
    for (name, backbone) in backbones {
        for attention in [Attention::Cosine, Attention::Softmax] {
            let alignment = Alignment::Sum;
            let heads = [
                fsct_head(attention, Prototypes::PerWay),
                fsct_head(attention, Prototypes::Shared),
                HeadSpec::Ctx(CtxSpec { attention, dim_attn: 4, alignment }),
            ];
            for head in heads {
                nets.push((format!("{name} {head:?}"), net(backbone.clone(), head, seed)));
            }
        }
    }
    nets
}

#[test]
fn an_export_with_the_references_names_is_the_whole_model() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("net.safetensors");
    for ((name, net), (_, other)) in every_net(1).into_iter().zip(every_net(2)) {
        // The reference has a row of prototype weights for each way.
        fs::write(&file, export(&net, Names::Reference, 3).unwrap()).unwrap();
        let shared = name.contains("prototypes: Shared");
        let allow: &[&str] = if shared { &["proto_weight"] } else { &[] };
        let matching = matching(&file, &other, allow).unwrap();
        let loaded = matching.load(other).unwrap();
        for (a, b) in read(&net).into_iter().zip(read(&loaded)) {
            assert_eq!(a.values.len(), b.values.len(), "{name}");
            assert_eq!(a, b, "{name}");
        }
        if shared {
            let file = WeightsFile::open(&file).unwrap();
            assert_eq!(file.shape("proto_weight"), Some(vec![3, 2, 1]), "{name}");
        }
    }
}

#[test]
fn an_export_with_torchvisions_names_is_the_backbone() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("net.safetensors");
    let net = with_protonet(resnet([2, 2, 2, 2], Trunk::Torchvision));
    fs::write(&file, export(&net, Names::Torchvision, 3).unwrap()).unwrap();
    let theirs = WeightsFile::open(&data("resnet18.pth")).unwrap();
    let ours = WeightsFile::open(&file).unwrap();
    let wanted = |name: &&str| !name.starts_with("fc.") && !name.ends_with("num_batches_tracked");
    let theirs: Vec<_> = theirs.names().filter(wanted).map(|it| (it, theirs.shape(it))).collect();
    let ours: Vec<_> = ours.names().map(|it| (it, ours.shape(it))).collect();
    assert_eq!(ours, theirs);

    let conv = with_protonet(BackboneSpec::conv(4, [3, 32, 32]));
    let said = export(&conv, Names::Torchvision, 3).unwrap_err().to_string();
    assert!(said.contains("torchvision has no name for"), "{said}");
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

#[test]
fn an_imported_model_is_tested_and_exported_again() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    fs::write(here.join("p.yaml"), PIPELINE).unwrap();
    let reference = data("reference.tar");
    let reference = reference.to_str().unwrap();
    let text = succeeds(here, &["import", reference, "p.yaml", "-o", "model.ckpt"]);
    assert!(text.contains("42 tensors loaded from under `state.`"), "{text}");
    succeeds(here, &["import", reference, "p.yaml", "-o", "runs/imported"]);
    let a = succeeds(here, &["eval", "model.ckpt"]);
    let b = succeeds(here, &["eval", "runs/imported"]);
    let accuracy = |text: &str| text.split("accuracy: ").nth(1).map(str::to_owned);
    assert!(accuracy(&a).is_some(), "{a}");
    assert_eq!(accuracy(&a), accuracy(&b));

    succeeds(here, &["export", "runs/imported", "--to", "out.safetensors"]);
    let ours = WeightsFile::open(&here.join("out.safetensors")).unwrap();
    let theirs = WeightsFile::open(&data("reference.tar")).unwrap();
    let names: Vec<String> = theirs
        .names()
        .filter(|name| !name.ends_with("num_batches_tracked"))
        .map(|name| name.strip_prefix("state.").unwrap().to_owned())
        .collect();
    assert_eq!(ours.names().collect::<Vec<_>>(), names, "what a strict load wants");
    for name in names {
        let theirs = theirs.values(&format!("state.{name}")).unwrap();
        assert_eq!(ours.values(&name).unwrap(), theirs, "{name}");
    }

    let again = fsct(here, &["import", reference, "p.yaml", "-o", "runs/imported"]);
    assert_eq!(again.status.code(), Some(2), "a run is not written over");
    let wider = ["--set", "episode.n_way=4"];
    let again =
        fsct(here, &[&["import", reference, "p.yaml", "-o", "x.ckpt"], &wider[..]].concat());
    assert!(said(&again).contains("`proto_weight` is [3, 2, 1] and should be [4, 2, 1]"));
    assert!(!here.join("x.ckpt").exists());
    let again = fsct(here, &["export", "runs/imported", "--to", "out.pth"]);
    assert!(said(&again).contains("does not end in `.safetensors`"), "{}", said(&again));
}

#[test]
fn a_run_starts_from_weights_and_needs_their_file_no_more() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    fs::copy(data("reference.tar"), here.join("start.tar")).unwrap();
    let weights = "backbone: {kind: conv4s, weights: {from: checkpoint, path: start.tar}}";
    let pipeline = PIPELINE.replace("backbone: {kind: conv4s}", weights);
    fs::write(here.join("p.yaml"), &pipeline).unwrap();
    let text = succeeds(here, &["run", "p.yaml", "--set", "optimizer.learning_rate=1e-30"]);
    assert!(text.contains("24 tensors loaded from under `state.`"), "{text}");
    assert!(text.contains("start.tar"), "{text}");
    let run = fs::read_dir(here.join("runs")).unwrap().next().unwrap().unwrap().path();
    let events = fs::read_to_string(run.join("events.jsonl")).unwrap();
    let first: serde_json::Value = events
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .find(|event: &serde_json::Value| event["event"] == "weights")
        .unwrap();
    assert_eq!(first["matched"], 24);
    assert!(first["left"].as_array().unwrap().contains(&"state.proto_weight".into()));

    // Without a learning rate to speak of, the weights are still there at the end.
    let run_path = run.to_str().unwrap();
    succeeds(here, &["export", run_path, "--to", "out.safetensors"]);
    let trained = WeightsFile::open(&here.join("out.safetensors")).unwrap();
    let name = "feature.trunk.2.C.weight";
    assert_eq!(trained.values(name).unwrap(), expected(name, &[64, 64, 3, 3]));

    // A checkpoint of ours is a source as well.
    let other = pipeline.replace("start.tar", run.join("checkpoints/last.ckpt").to_str().unwrap());
    fs::write(here.join("other.yaml"), other).unwrap();
    let text = succeeds(here, &["run", "other.yaml"]);
    assert!(text.contains("24 tensors loaded"), "{text}");

    fs::remove_file(here.join("start.tar")).unwrap();
    succeeds(here, &["eval", run_path]);
    succeeds(here, &["run", "--resume", run_path, "--set", "train.epochs=2"]);
}

#[test]
fn weights_that_do_not_fit_are_said_before_there_is_a_run() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    let file = data("resnet18.pth");
    let weights = format!("conv4s, weights: {{from: checkpoint, path: {}}}", file.display());
    fs::write(here.join("p.yaml"), PIPELINE.replace("conv4s", &weights)).unwrap();
    let output = fsct(here, &["run", "p.yaml"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(said(&output).contains("names none of the network's tensors"), "{}", said(&output));
    assert!(!here.join("runs").exists());
    let output = fsct(here, &["validate", "p.yaml"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(said(&output).contains("fsct::backbone::weights::path::unfit"), "{}", said(&output));
    succeeds(here, &["validate", "--offline", "p.yaml"]);
}

#[test]
fn a_model_whose_backbone_was_not_saved_takes_it_from_elsewhere() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    let head_only = net(
        resnet([2, 2, 2, 2], Trunk::Torchvision),
        fsct_head(Attention::Cosine, Prototypes::PerWay),
        7,
    );
    let bytes = export(&head_only, Names::Reference, 3).unwrap();
    let whole = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let head = whole.tensors().into_iter().filter(|(name, _)| !name.starts_with("feature."));
    fs::write(here.join("head.safetensors"), safetensors::serialize(head, None).unwrap()).unwrap();

    let pipeline = |weights: &str| {
        PIPELINE
            .replace("image_size: 28", "image_size: 32")
            .replace("kind: conv4s", &format!("kind: resnet18, train: false{weights}"))
    };
    let file = data("resnet18.pth");
    let weights = format!(", weights: {{from: torchvision, path: {}}}", file.display());
    fs::write(here.join("bare.yaml"), pipeline("")).unwrap();
    fs::write(here.join("full.yaml"), pipeline(&weights)).unwrap();

    let refused = fsct(here, &["import", "head.safetensors", "bare.yaml", "-o", "model.ckpt"]);
    assert!(said(&refused).contains("can come from `backbone.weights`"), "{}", said(&refused));
    let text = succeeds(here, &["import", "head.safetensors", "full.yaml", "-o", "model.ckpt"]);
    assert!(text.contains("100 tensors loaded") && text.contains("18 tensors loaded"), "{text}");
    succeeds(here, &["export", "model.ckpt", "--to", "out.safetensors"]);
    let out = WeightsFile::open(&here.join("out.safetensors")).unwrap();
    let torch = WeightsFile::open(&file).unwrap();
    let same = |name: &str, other: &str| out.values(name).unwrap() == torch.values(other).unwrap();
    assert!(same("feature.model.6.1.bn2.running_var", "layer3.1.bn2.running_var"));
    let head = WeightsFile::open(&here.join("head.safetensors")).unwrap();
    assert_eq!(out.values("FFN.1.weight").unwrap(), head.values("FFN.1.weight").unwrap());
}

/// A model of the reference, as a file of its tensors, answers as it did there.
#[test]
fn imported_models_give_the_references_logits() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["fsct_cosine", "fsct_softmax", "ctx_cosine", "ctx_softmax"] {
        let reference = Reference::open(name);
        let bytes: Vec<_> = reference
            .state()
            .into_iter()
            .map(|(key, shape, values)| {
                let bytes: Vec<u8> = values.iter().flat_map(|it| it.to_le_bytes()).collect();
                (format!("state.{key}"), shape, bytes)
            })
            .collect();
        let views = bytes.iter().map(|(key, shape, bytes)| {
            let dtype = safetensors::Dtype::F32;
            (key, safetensors::tensor::TensorView::new(dtype, shape.clone(), bytes).unwrap())
        });
        let file = folder.path().join("model.safetensors");
        fs::write(&file, safetensors::serialize(views, None).unwrap()).unwrap();

        let net = FewShotNet::new(&reference.network(), 1, &Device::flex());
        let net = matching(&file, &net, &[]).unwrap().load(net).unwrap();
        let images = reference.images(0, &Device::flex());
        let logits = to_host(net.forward(images, reference.shape, &mut Norm::Running).logits);
        let expected = reference.list(&reference.index["eval_logits_before"]);
        let error = common::max_difference(&logits, &expected) / common::max_abs(&expected);
        assert!(error < 1e-4, "{name}: {error:.1e}");
    }
}
