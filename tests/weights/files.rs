use super::*;

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
fn what_is_no_floating_point_number_is_named() {
    let net = with_protonet(resnet([2, 1, 1, 1], Trunk::Feti));
    let said = refusal(matching(&data("feti12_int.pt.tar"), &net, &[]));
    assert!(said.contains("`layer2.0.conv2.weight` holds i64"), "{said}");
    let file = WeightsFile::open(&data("small_nan.pth")).unwrap();
    let said = file.values("a.bias").unwrap_err().to_string();
    assert!(said.contains("tensor `a.bias`: value 1 is not finite"), "{said}");
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
    fs::write(
        &exported,
        Exported::new(&small, Names::Reference, 3).unwrap().to_safetensors().unwrap(),
    )
    .unwrap();
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

#[test]
fn a_whole_pickled_module_is_read_by_the_names_of_its_state_dict() {
    let file = WeightsFile::open(&data("whole_model.pth")).unwrap();
    assert_eq!(file.names().collect::<Vec<_>>(), ["0.bias", "0.weight"]);
}

#[test]
fn files_without_a_state_dict_say_what_to_save_instead() {
    let folder = tempfile::tempdir().unwrap();
    let other = folder.path().join("other.pkl");
    // A list of two numbers.
    fs::write(&other, b"\x80\x04\x95\x09\0\0\0\0\0\0\0]\x94(K\x01K\x02e.").unwrap();
    for (file, reason, help) in [
        (
            data("own_class.pth"),
            "the class `make_weights.OwnClass`",
            "torch.save(model.state_dict()",
        ),
        (data("script.pt"), "a TorchScript archive", "torch.save(model.state_dict()"),
        (data("arrays.pkl"), "a pickle of numpy arrays", "torch.save({name:"),
        (other, "a pickle that `torch.save` did not write", "torch.save({name:"),
    ] {
        let error = WeightsFile::open(&file).unwrap_err();
        let said = format!("{error} {}", miette::Diagnostic::help(&error).unwrap());
        assert!(said.contains(reason) && said.contains(help), "{said}");
    }
}
