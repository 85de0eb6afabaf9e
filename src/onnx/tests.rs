use std::collections::{BTreeMap, BTreeSet};

use burn::tensor::Device;
use prost::Message;

use super::*;
use crate::config::{Overrides, load_str};
use crate::model::FewShotNet;
use crate::model::names::reference_name;
use crate::model::weights::read;
use crate::network::{
    Alignment, Attention, BackboneSpec, Classifier, CtxSpec, Distance, EpisodeShape, FeatSpec,
    FinetuneSpec, FsctSpec, HeadSpec, KnnSpec, Prototypes, RelationSpec, Transform, Trunk, VitSize,
};
use proto::{NodeProto, ValueInfoProto};

const EPISODE: EpisodeShape = EpisodeShape { n_way: 3, k_shot: 2, n_query: 4 };

fn fsct(attention: Attention, prototypes: Prototypes, depth: usize) -> HeadSpec {
    let classifier = Classifier::Reference;
    let (heads, dim_head, mlp_dim) = (2, 4, 8);
    HeadSpec::Fsct(FsctSpec { attention, depth, heads, dim_head, mlp_dim, classifier, prototypes })
}

fn ctx(attention: Attention) -> HeadSpec {
    HeadSpec::Ctx(CtxSpec { attention, dim_attn: 16, alignment: Alignment::Mean })
}

fn backbones() -> Vec<BackboneSpec> {
    let image = [3, 40, 40];
    vec![
        BackboneSpec::conv(4, [1, 40, 40]),
        BackboneSpec::conv(6, image),
        BackboneSpec::conv_np(6, image),
        BackboneSpec::resnet([2, 1, 1, 1], Trunk::Feti, image),
        BackboneSpec::resnet([2, 2, 2, 2], Trunk::Torchvision, image),
        BackboneSpec::resnet12_wide(image),
        BackboneSpec::vit(VitSize { width: 24, depth: 2, heads: 3 }, 10, 0, image),
        BackboneSpec::vit(VitSize { width: 24, depth: 2, heads: 3 }, 10, 4, image),
    ]
}

fn heads() -> Vec<HeadSpec> {
    vec![
        fsct(Attention::Cosine, Prototypes::PerWay, 1),
        fsct(Attention::Cosine, Prototypes::Shared, 2),
        fsct(Attention::Softmax, Prototypes::PerWay, 1),
        ctx(Attention::Cosine),
        ctx(Attention::Softmax),
        HeadSpec::Protonet(Distance::Euclidean),
        HeadSpec::Protonet(Distance::Cosine),
        HeadSpec::Protonet(Distance::ScaledCosine),
        HeadSpec::Protonet(Distance::Mahalanobis),
        HeadSpec::Matching(100.0),
        HeadSpec::SimpleShot(Transform::None),
        HeadSpec::SimpleShot(Transform::L2),
        HeadSpec::SimpleShot(Transform::CenteredL2),
        HeadSpec::Relation(RelationSpec { batch_norm: BatchNormMode::Running }),
        HeadSpec::Feat(FeatSpec { temperature: 64.0, contrast: true }),
    ]
}

fn files(network: &Network, norm: BatchNormMode) -> (Vec<NamedTensor>, [ModelProto; 2]) {
    let net = FewShotNet::new(network, 7, &Device::flex());
    let tensors = read(&net);
    let entries = vec![("fsct.image.size".to_owned(), "40".to_owned())];
    let model = OnnxModel::new(network, norm, tensors.clone(), entries).unwrap();
    let files = [model.backbone().unwrap(), model.head().unwrap().unwrap()];
    (tensors, files.map(|bytes| ModelProto::decode(bytes.as_slice()).unwrap()))
}

/// Dimensions as `batch` or `3`.
fn dims(value: &ValueInfoProto) -> Vec<String> {
    let tensor = value.r#type.as_ref().and_then(|it| it.tensor_type.as_ref()).unwrap();
    assert_eq!(tensor.elem_type, Some(proto::data_type::FLOAT));
    let dims = &tensor.shape.as_ref().unwrap().dim;
    let text = |dim: &proto::DimensionProto| match (&dim.dim_value, &dim.dim_param) {
        (Some(side), None) => side.to_string(),
        (None, Some(name)) => name.clone(),
        other => panic!("{other:?}"),
    };
    dims.iter().map(text).collect()
}

/// Each value is computed once, before it is used; none is left over.
fn assert_sound(graph: &GraphProto) {
    let inputs = graph.input.iter().map(|it| &it.name);
    let initializers = graph.initializer.iter().map(|it| &it.name);
    let mut known = BTreeSet::new();
    for name in inputs.chain(initializers) {
        assert!(known.insert(name), "{name} twice");
    }
    let mut used = BTreeSet::new();
    for NodeProto { input, output, op_type, .. } in &graph.node {
        for name in input {
            assert!(
                known.contains(name),
                "{op_type} reads {name}, which is not computed before it"
            );
            used.insert(name);
        }
        for name in output {
            assert!(known.insert(name), "{name} twice");
        }
    }
    used.extend(graph.output.iter().map(|it| &it.name));
    let unused: Vec<_> = known.difference(&used).collect();
    assert!(unused.is_empty(), "never used: {unused:?}");
}

/// The trained tensors of a graph are those with these paths, to the bit.
fn assert_weights<'a>(graph: &GraphProto, tensors: impl Iterator<Item = &'a NamedTensor>) {
    let mut found: BTreeMap<&str, _> = graph
        .initializer
        .iter()
        .filter(|it| !it.name.starts_with("constant_"))
        .map(|it| (it.name.as_str(), it))
        .collect();
    for tensor in tensors {
        let name = reference_name(&tensor.path).unwrap();
        let chained = crate::model::names::Naming::ReferenceChain.name(&tensor.path).unwrap();
        let written = found.remove(name.as_str()).or_else(|| found.remove(chained.as_str()));
        let written = written.unwrap_or_else(|| panic!("{name} is missing"));
        let shape: Vec<usize> = written.dims.iter().map(|side| *side as usize).collect();
        assert_eq!(shape, tensor.shape, "{name}");
        let bytes: Vec<u8> = tensor.values.iter().flat_map(|it| it.to_le_bytes()).collect();
        assert!(written.raw_data == bytes, "{name} has other values");
    }
    assert!(found.is_empty(), "no tensors of the network: {:?}", found.keys());
}

#[test]
fn every_backbone_has_its_shapes_and_its_weights() {
    for backbone in backbones() {
        let head = HeadSpec::Protonet(Distance::Euclidean);
        let network = Network { backbone, head, episode: EPISODE };
        let (tensors, [file, _]) = files(&network, BatchNormMode::Running);
        assert_eq!(file.opset_import[0].version, Some(OPSET));
        assert_eq!(file.metadata_props[0].key, "fsct.image.size");
        let graph = file.graph.unwrap();
        assert_sound(&graph);
        assert_weights(&graph, tensors.iter().filter(|it| it.path.starts_with("backbone.")));
        let map = |map: [usize; 3]| {
            std::iter::once("batch".into()).chain(map.map(|it| it.to_string())).collect::<Vec<_>>()
        };
        assert_eq!(dims(&graph.input[0]), map(network.backbone.image()));
        assert_eq!(dims(&graph.output[0]), map(network.backbone.features()));
        let blocks = || network.backbone.blocks().iter();
        let norms: usize = blocks().map(|it| it.layers().len()).sum();
        let convs: usize = blocks().map(|it| it.convs().len()).sum();
        let of_kind = |kind: &str| graph.node.iter().filter(|it| it.op_type == kind).count();
        assert_eq!([of_kind("BatchNormalization"), of_kind("Conv")], [norms, convs]);
    }
}

#[test]
fn norms_of_the_episode_read_no_running_statistics() {
    let backbone = backbones().swap_remove(0);
    let head = HeadSpec::Protonet(Distance::Euclidean);
    let network = Network { backbone, head, episode: EPISODE };
    let (tensors, [file, _]) = files(&network, BatchNormMode::Episode);
    let graph = file.graph.unwrap();
    assert_sound(&graph);
    let used = tensors.iter().filter(|it| !it.path.contains("running"));
    assert_weights(&graph, used.filter(|it| it.path.starts_with("backbone.")));
    assert!(graph.node.iter().all(|node| node.op_type != "BatchNormalization"));
}

#[test]
fn every_head_has_its_shapes_and_its_weights() {
    for head in heads() {
        // A relation module needs a larger map.
        let place = if matches!(head, HeadSpec::Relation(_)) { 2 } else { 0 };
        let backbone = backbones().swap_remove(place);
        let network = Network { backbone, head, episode: EPISODE };
        let (tensors, [_, file]) = files(&network, BatchNormMode::Running);
        let graph = file.graph.unwrap();
        assert_sound(&graph);
        assert_weights(&graph, tensors.iter().filter(|it| it.path.starts_with("head.")));
        let tied =
            matches!(&network.head, HeadSpec::Fsct(it) if it.prototypes == Prototypes::PerWay);
        let (ways, shots) = if tied { ("3", "2") } else { ("n_way", "k_shot") };
        let map = network.backbone.features().map(|side| side.to_string());
        let [channels, height, width] = map.each_ref().map(String::as_str);
        assert_eq!(dims(&graph.input[0]), [ways, shots, channels, height, width]);
        assert_eq!(dims(&graph.input[1]), ["queries", channels, height, width]);
        assert_eq!(dims(&graph.output[0]), ["queries", ways]);
    }
}

/// Nothing that other programs would take for the method is written.
#[test]
fn a_head_that_is_solved_for_each_support_has_no_graph() {
    let distance = Distance::Cosine;
    for head in [
        HeadSpec::Logistic,
        HeadSpec::Knn(KnnSpec { neighbors: 1, distance }),
        HeadSpec::FinetunedProtonet(FinetuneSpec { distance, steps: 5, learning_rate: 0.1 }),
    ] {
        let backbone = backbones().swap_remove(0);
        let network = Network { backbone, head, episode: EPISODE };
        let tensors = read(&FewShotNet::new(&network, 7, &Device::flex()));
        let model = OnnxModel::new(&network, BatchNormMode::Running, tensors, Vec::new()).unwrap();
        assert!(model.backbone().is_ok());
        assert_eq!(model.head().unwrap(), None);
    }
}

#[test]
fn the_metadata_says_how_images_are_read() {
    let text = "data: {format: folder, root: x, image_size: 84, normalize: imagenet}\n\
                backbone: {kind: conv4}\nmethod: {kind: protonet, distance: cosine}\n";
    let pipeline = load_str("test", text, &Overrides::default()).unwrap().pipeline;
    let entries: BTreeMap<_, _> = metadata(&pipeline, Some(false), Some(1.5)).into_iter().collect();
    for (key, value) in [
        ("image.size", "84"),
        ("image.mode", "RGB"),
        ("image.mean", "0.485,0.456,0.406"),
        ("image.std", "0.229,0.224,0.225"),
        ("image.invert", "false"),
        ("method", "protonet cosine"),
        ("n_way", "any"),
        ("batch_norm", "running"),
        ("temperature", "1.5"),
    ] {
        assert_eq!(entries[&format!("fsct.{key}")], value, "{key}");
    }
    let text = "data: {format: synthetic, image_size: 28}\nbackbone: {kind: conv4s}\nmethod: {kind: fsct}\n";
    let pipeline = load_str("test", text, &Overrides::default()).unwrap().pipeline;
    let entries: BTreeMap<_, _> = metadata(&pipeline, None, None).into_iter().collect();
    assert_eq!(entries["fsct.image.mode"], "L");
    assert_eq!([&entries["fsct.image.mean"], &entries["fsct.image.std"]], ["0", "1"]);
    assert_eq!(entries["fsct.image.invert"], "unknown");
    assert_eq!(entries["fsct.n_way"], pipeline.episode.largest().n_way.to_string());
}
