use super::*;

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
        fs::write(
            &file,
            Exported::new(&net, Names::Reference, 3).unwrap().to_safetensors().unwrap(),
        )
        .unwrap();
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
    fs::write(&file, Exported::new(&net, Names::Torchvision, 3).unwrap().to_safetensors().unwrap())
        .unwrap();
    let theirs = WeightsFile::open(&data("resnet18.pth")).unwrap();
    let ours = WeightsFile::open(&file).unwrap();
    let wanted = |name: &&str| !name.starts_with("fc.") && !name.ends_with("num_batches_tracked");
    let theirs: Vec<_> = theirs.names().filter(wanted).map(|it| (it, theirs.shape(it))).collect();
    let ours: Vec<_> = ours.names().map(|it| (it, ours.shape(it))).collect();
    assert_eq!(ours, theirs);

    let conv = with_protonet(BackboneSpec::conv(4, [3, 32, 32]));
    let said = Exported::new(&conv, Names::Torchvision, 3).unwrap_err().to_string();
    assert!(said.contains("torchvision has no name for"), "{said}");
}

/// Names, shapes and values of a file under a prefix.
fn contents(file: &Path, prefix: &str) -> Vec<(String, Vec<usize>, Vec<f32>)> {
    let file = WeightsFile::open(file).unwrap();
    file.names()
        .map(|full| {
            let name = full.strip_prefix(prefix).unwrap().to_owned();
            (name, file.shape(full).unwrap(), file.values(full).unwrap())
        })
        .collect()
}

#[test]
fn files_for_pytorch_hold_what_the_safetensors_file_holds() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    for (name, net) in every_net(3) {
        let exported = Exported::new(&net, Names::Reference, 3).unwrap();
        fs::write(at("a.safetensors"), exported.to_safetensors().unwrap()).unwrap();
        fs::write(at("a.pth"), exported.to_state_dict().unwrap()).unwrap();
        fs::write(at("a.tar"), exported.to_reference_checkpoint(300).unwrap()).unwrap();
        let expected = contents(&at("a.safetensors"), "");
        assert_eq!(contents(&at("a.pth"), ""), expected, "{name}");
        assert_eq!(contents(&at("a.tar"), "state."), expected, "{name}");
    }
}

#[test]
fn the_published_code_keeps_an_imagenet_resnet_outside_its_model() {
    for (name, net) in every_net(4) {
        let published = Exported::new(&net, Names::Published, 3).unwrap();
        let whole = Exported::new(&net, Names::Reference, 3).unwrap();
        let expected: Vec<&str> = whole
            .names()
            .filter(|it| !name.starts_with("resnet18") || !it.starts_with("feature."))
            .collect();
        assert_eq!(published.names().collect::<Vec<_>>(), expected, "{name}");
    }
}

#[test]
fn an_onnx_export_is_two_files_and_replaces_none() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    fs::write(here.join("p.yaml"), PIPELINE).unwrap();
    succeeds(here, &["run", "p.yaml", "--set", "test.episodes=1"]);
    let run = fs::read_dir(here.join("runs")).unwrap().next().unwrap().unwrap().path();
    let export = ["export", run.to_str().unwrap(), "--to", "m.onnx"];
    let named = fsct(here, &[&export[..], &["--names", "reference"]].concat());
    assert_eq!(named.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&named.stderr).contains("leave `--names` out"), "{named:?}");

    // One of the files exists: neither is written.
    fs::write(here.join("m.head.onnx"), "mine").unwrap();
    let again = fsct(here, &export);
    assert_eq!(again.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&again.stderr).contains("m.head.onnx exists"), "{again:?}");
    assert!(!here.join("m.onnx").exists());
    assert_eq!(fs::read(here.join("m.head.onnx")).unwrap(), b"mine");

    succeeds(here, &[&export[..], &["--force"]].concat());
    for (file, output) in [("m.onnx", "features"), ("m.head.onnx", "logits")] {
        let bytes = fs::read(here.join(file)).unwrap();
        // Field 1, the version of the format; then the producer.
        assert_eq!(bytes[..8], *b"\x08\x08\x12\x04fsct", "{file}");
        assert!(bytes.windows(output.len()).any(|it| it == output.as_bytes()), "{file}");
    }
}

#[test]
fn a_run_of_profoct_exports_the_weights_of_its_terms() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    let pipeline = PIPELINE.replace("kind: fsct,", "kind: profoct, vic: {preset: reference},");
    fs::write(here.join("p.yaml"), pipeline).unwrap();
    succeeds(here, &["run", "p.yaml", "--set", "test.episodes=1"]);
    let run = fs::read_dir(here.join("runs")).unwrap().next().unwrap().unwrap().path();
    succeeds(here, &["export", run.to_str().unwrap(), "--to", "model.tar"]);
    let tensors = contents(&here.join("model.tar"), "state.");
    let scalar = |name: &str| {
        let (_, shape, values) = tensors.iter().find(|(it, ..)| it == name).unwrap();
        assert!(shape.is_empty(), "{name}");
        values[0]
    };
    // Dynamic weights leave their start of 0.5, 9 and 0.5; the term of the covariance rises.
    assert!(scalar("vic_gamma") > 0.5 && scalar("vic_gamma") < 2.5);
    assert!(scalar("vic_beta") < 9.0);
    for term in ["alpha", "beta", "gamma"] {
        assert_eq!(scalar(&format!("vic_{term}")), scalar(&format!("{term}_ema")));
    }
}
