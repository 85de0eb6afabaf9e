use super::*;

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
    assert!(said.contains("layer[` is not a pattern"), "{said}");
}

#[test]
fn a_file_of_another_network_says_what_it_has() {
    let net = with_protonet(resnet([2, 2, 2, 2], Trunk::Torchvision));
    let said = refusal(matching(&data("small.pth"), &net, &[]));
    assert!(said.contains("it has `a.bias`, `a.weight`"), "{said}");
    assert!(said.contains("`conv1.weight`"), "{said}");
    let said = refusal(matching(&data("no_tensors.pth"), &net, &[]));
    assert!(said.contains("it has no tensors"), "{said}");
    let said = refusal(matching(&data("nowhere.pth"), &net, &[]));
    assert!(said.contains("nowhere.pth"), "{said}");
}

/// A file of several models, each under its prefix.
fn models(file: &Path, models: &[(&str, &FewShotNet)]) {
    let tensors: Vec<_> = models
        .iter()
        .flat_map(|(prefix, net)| {
            read(*net).into_iter().map(move |tensor| {
                let name = Naming::Reference.name(&tensor.path).unwrap();
                (format!("{prefix}{name}"), tensor)
            })
        })
        .collect();
    let tensors = tensors.iter();
    write_tensors(
        file,
        tensors.map(|(name, it)| (name.clone(), it.shape.as_slice(), it.values.as_slice())),
    );
}

fn conv(depth: usize, seed: u64) -> FewShotNet {
    net(BackboneSpec::conv(depth, [1, 16, 16]), HeadSpec::Protonet(Distance::Euclidean), seed)
}

#[test]
fn of_two_models_that_fit_one_must_be_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("two.safetensors");
    let (model, ema, other) = (conv(4, 1), conv(4, 2), conv(4, 3));
    models(&file, &[("model.", &model), ("ema.module.", &ema)]);
    let said = refusal(matching(&file, &other, &[]));
    assert!(said.contains("2 models in it fit the network: `ema.module.` and `model.`"), "{said}");
    for (prefix, chosen) in [("model", &model), ("ema", &ema), ("ema.module.", &ema)] {
        let matching = matching_under(&file, &other, &[], Some(prefix)).unwrap();
        let loaded = matching.load(other.clone()).unwrap();
        assert_eq!(read(&loaded), read(chosen), "{prefix}");
    }
    let said = refusal(matching_under(&file, &other, &[], Some("student")));
    assert!(said.contains("prefix `student`: the file has `ema.`, `model.`"), "{said}");

    // A copy that lacks a tensor is no second model.
    let whole = read_tensors(&file);
    let kept = whole.iter().filter(|(name, _)| *name != "ema.module.feature.trunk.1.C.bias");
    let kept = kept.map(|(name, (shape, values))| (name.clone(), &shape[..], &values[..]));
    write_tensors(&file, kept);
    assert_eq!(matching(&file, &other, &[]).unwrap().prefix, "model.");
}

#[test]
fn a_student_and_a_deeper_teacher_are_two_models_that_fit() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("two.safetensors");
    models(&file, &[("student.", &conv(4, 1)), ("teacher.", &conv(6, 2))]);
    let said = refusal(matching(&file, &conv(4, 3), &[]));
    assert!(said.contains("`student.` and `teacher.`"), "{said}");
}

#[test]
fn weights_of_a_deeper_network_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("deep.safetensors");
    models(&file, &[("", &conv(6, 1))]);
    let said = refusal(matching(&file, &conv(4, 2), &[]));
    assert!(said.contains("a deeper network, which has `feature.trunk.4.BN.bias`"), "{said}");
    assert!(said.contains("and 11 more tensors"), "{said}");

    let resnet34 = with_protonet(resnet([3, 4, 6, 3], Trunk::Torchvision));
    models(&file, &[("", &resnet34)]);
    let said =
        refusal(matching(&file, &with_protonet(resnet([2, 2, 2, 2], Trunk::Torchvision)), &[]));
    assert!(said.contains("`layer1.2.bn1.bias`") || said.contains("feature.layer1.2"), "{said}");
}

#[test]
fn values_that_are_not_finite_are_found_without_loading() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("nan.safetensors");
    let good = conv(4, 1);
    models(&file, &[("", &good)]);
    matching(&file, &good, &[]).unwrap().check_values().unwrap();
    let mut tensors = read_tensors(&file);
    for name in ["feature.trunk.0.C.bias", "feature.trunk.2.BN.running_var"] {
        tensors.get_mut(name).unwrap().1[3] = f32::NAN;
    }
    let tensors = tensors.iter();
    write_tensors(
        &file,
        tensors.map(|(name, (shape, values))| (name.clone(), &shape[..], &values[..])),
    );
    let said = matching(&file, &good, &[]).unwrap().check_values().unwrap_err().to_string();
    assert!(said.contains("`feature.trunk.0.C.bias`: value 3 is not finite"), "{said}");
    assert!(said.contains("`feature.trunk.2.BN.running_var`"), "{said}");
}
