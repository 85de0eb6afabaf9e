use super::*;

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
fn validate_finds_bad_values_deeper_networks_and_two_models() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    let net = |depth| {
        net(BackboneSpec::conv(depth, [1, 28, 28]), HeadSpec::Protonet(Distance::Euclidean), 1)
    };
    let write = |name: &str, prefixes: &[&str], net: &FewShotNet, value: Option<f32>| {
        let tensors: Vec<_> = prefixes
            .iter()
            .flat_map(|prefix| read(net).into_iter().map(move |it| (prefix, it)))
            .map(|(prefix, mut it)| {
                if let Some(value) = value {
                    it.values[0] = value;
                }
                (format!("{prefix}{}", Naming::Reference.name(&it.path).unwrap()), it)
            })
            .collect();
        let tensors = tensors.iter();
        write_tensors(
            &here.join(name),
            tensors.map(|(name, it)| (name.clone(), &it.shape[..], &it.values[..])),
        );
    };
    write("good.safetensors", &[""], &net(4), None);
    write("inf.safetensors", &[""], &net(4), Some(f32::INFINITY));
    write("deep.safetensors", &[""], &net(6), None);
    write("two.safetensors", &["model.", "ema."], &net(4), None);
    let validate = |file: &str, more: &str| {
        let weights =
            format!("conv4s, weights: {{from: checkpoint, path: {file}.safetensors{more}}}");
        fs::write(here.join("p.yaml"), PIPELINE.replace("conv4s", &weights)).unwrap();
        let output = fsct(here, &["validate", "p.yaml"]);
        (output.status.code(), said(&output))
    };
    assert_eq!(validate("good", "").0, Some(0));
    for (file, expected) in [
        ("inf", "value 0 is not finite"),
        ("deep", "of a deeper network"),
        ("two", "backbone.weights.prefix: model."),
    ] {
        let (code, text) = validate(file, "");
        assert_eq!(code, Some(1), "{file}: {text}");
        assert!(text.contains(expected), "{file}: {text}");
    }
    assert_eq!(validate("two", ", prefix: ema").0, Some(0));
}
