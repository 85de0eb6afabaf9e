use super::*;

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
    let again = fsct(here, &["export", "runs/imported", "--to", "out.bin"]);
    assert!(said(&again).contains("has no suffix that names a format"), "{}", said(&again));

    // And back in the reference's own form.
    succeeds(here, &["export", "runs/imported", "--to", "out.tar"]);
    let ours = WeightsFile::open(&here.join("out.tar")).unwrap();
    let names: Vec<&str> =
        theirs.names().filter(|name| !name.ends_with("num_batches_tracked")).collect();
    assert_eq!(ours.names().collect::<Vec<_>>(), names);
    for name in names {
        assert_eq!(ours.values(name).unwrap(), theirs.values(name).unwrap(), "{name}");
    }
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
    let bytes = Exported::new(&head_only, Names::Reference, 3).unwrap().to_safetensors().unwrap();
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
        let state = reference.state();
        let file = folder.path().join("model.safetensors");
        let tensors = state.iter();
        write_tensors(
            &file,
            tensors.map(|(name, shape, values)| {
                (format!("state.{name}"), shape.as_slice(), values.as_slice())
            }),
        );
        let net = FewShotNet::new(&reference.network(), 1, &Device::flex());
        let net = matching(&file, &net, &[]).unwrap().load(net).unwrap();
        let images = reference.images(0, &Device::flex());
        let logits = to_host(net.forward(images, reference.shape, &mut Norm::Running).logits);
        let expected = reference.list(&reference.index["eval_logits_before"]);
        let error = common::max_difference(&logits, &expected) / common::max_abs(&expected);
        assert!(error < 1e-4, "{name}: {error:.1e}");
    }
}

#[test]
fn what_differs_from_the_reference_and_what_no_file_shows_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    let reference = data("reference.tar");
    let import = |pipeline: &str| {
        fs::write(here.join("p.yaml"), pipeline).unwrap();
        let output = fsct(here, &["import", reference.to_str().unwrap(), "p.yaml", "-o", "x.ckpt"]);
        (output.status.success(), said(&output))
    };
    let (done, text) = import(PIPELINE);
    assert!(done, "{text}");
    assert!(text.contains("warning: train_test.py normalises every image"), "{text}");
    assert!(text.contains("train_test.py has `method.heads: 8`; the pipeline has 2"), "{text}");
    assert!(text.contains("the pipeline has 28 px, `normalize: none`"), "{text}");
    let alike = PIPELINE.replace("image_size: 28", "image_size: 28, normalize: imagenet");
    let (_, text) = import(&alike);
    assert!(!text.contains("normalises every image"), "{text}");
    let (_, text) = import(&PIPELINE.replace("kind: conv4s", "kind: conv4s, batch_norm: episode"));
    assert!(text.contains("test.py, which never calls eval()"), "{text}");

    // Names show the attention of FSCT and the method.
    let (done, text) = import(&PIPELINE.replace("kind: fsct,", "kind: fsct, attention: softmax,"));
    assert!(!done && text.contains("`method.attention: cosine`"), "{text}");
    let (done, text) = import(&PIPELINE.replace("fsct, heads: 2, dim_head: 8, mlp_dim: 16", "ctx"));
    assert!(!done && text.contains("`method.kind: fsct`"), "{text}");
}

#[test]
fn the_attention_of_ctx_is_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    let alignment = Alignment::Sum;
    let ctx = CtxSpec { attention: Attention::Cosine, dim_attn: 128, alignment };
    let model = net(BackboneSpec::conv(4, [1, 28, 28]), HeadSpec::Ctx(ctx), 1);
    let exported = Exported::new(&model, Names::Reference, 3).unwrap();
    fs::write(here.join("ctx.tar"), exported.to_reference_checkpoint(0).unwrap()).unwrap();
    let pipeline =
        PIPELINE.replace("fsct, heads: 2, dim_head: 8, mlp_dim: 16", "ctx, attention: softmax");
    fs::write(here.join("p.yaml"), pipeline).unwrap();
    let text = succeeds(here, &["import", "ctx.tar", "p.yaml", "-o", "x.ckpt"]);
    assert!(
        text.contains("check that `method.attention: softmax` is the one it was trained with"),
        "{text}"
    );
}
