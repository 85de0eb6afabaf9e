//! Probabilities: those of the test, calibrated, by any support.

use super::*;

/// Predictions of the first episode of a test, once by `eval` and once by `predict`: the classes' numbers, and
/// the probabilities by query.
fn both(place: &Workplace, root: &str) -> (Vec<Vec<f64>>, Vec<Vec<f64>>) {
    let run = place.run_folder();
    let run = run.to_str().unwrap();
    let files = ["--write-episodes", "e.jsonl", "--predictions", "p.jsonl"];
    succeeded(&place.fsct(&[&["eval", run, "--episodes", "1"], &files[..]].concat()));
    let read = |name: &str| json(&fs::read_to_string(place.path().join(name)).unwrap());
    let [episode] = &read("e.jsonl")[..] else { panic!("one episode") };
    // In folders that sort as the episode's classes do.
    for (part, folder) in [("support", "examples"), ("query", "queries")] {
        for (class, images) in episode[part].as_array().unwrap().iter().enumerate() {
            let folder = place.path().join(folder).join(format!("c{class}"));
            fs::create_dir_all(&folder).unwrap();
            for (number, image) in images.as_array().unwrap().iter().enumerate() {
                let image = place.path().join(root).join(image.as_str().unwrap());
                fs::copy(image, folder.join(format!("{number}.png"))).unwrap();
            }
        }
    }
    let checkpoint: Value = {
        let file = fs::File::open(Path::new(run).join("checkpoints/best.ckpt")).unwrap();
        let mut zip = zip::ZipArchive::new(file).unwrap();
        serde_json::from_reader(zip.by_name("state.json").unwrap()).unwrap()
    };
    let temperature = checkpoint["progress"]["temperature"].as_f64().unwrap();
    let softmax = |line: &Value| {
        let logits = line["logits"].as_array().unwrap().iter().map(|it| it.as_f64().unwrap());
        let powers: Vec<f64> = logits.map(|it| (it / temperature).exp()).collect();
        let sum: f64 = powers.iter().sum();
        powers.iter().map(|it| it / sum).collect()
    };
    let expected = read("p.jsonl").iter().map(softmax).collect();
    let arguments = [&["--support", "examples", "queries"], &ALL_AS_JSON[..]].concat();
    let (code, out, err) = said(&predict(place, &arguments));
    assert_eq!(code, Some(0), "{err}");
    (expected, by_class(&out))
}

fn assert_same((expected, found): (Vec<Vec<f64>>, Vec<Vec<f64>>)) {
    assert_eq!(expected.len(), 9);
    assert_eq!(found.len(), 9);
    for (expected, found) in expected.iter().flatten().zip(found.iter().flatten()) {
        assert!((expected - found).abs() < 1e-5, "{expected} {found}");
    }
}

#[test]
fn probabilities_are_those_of_the_test_at_the_fitted_temperature() {
    let place = trained(PIPELINE);
    assert_same(both(&place, "shapes/test"));
}

/// Dark ink is 1 to the network, and the prototypes have a weight for each shot of each way.
#[test]
fn drawings_are_read_as_in_the_test() {
    let pipeline = PIPELINE
        .replace("format: folder, root: shapes", "format: synthetic, root: drawings")
        .replace(", normalize: imagenet", "")
        .replace("conv4", "conv4s")
        .replace("kind: protonet", "kind: fsct, heads: 2, dim_head: 8, mlp_dim: 16");
    let place = Workplace::new(&pipeline);
    succeeded(&place.fsct(&["-q", "run", "tiny.yaml"]));
    assert_same(both(&place, "drawings/glyphs-v1/novel"));

    // The model is tied to three ways and two shots.
    let examples = place.path().join("examples");
    fs::copy(examples.join("c0/0.png"), examples.join("c0/2.png")).unwrap();
    let (code, out, err) = said(&predict(&place, &["--support", "examples", "queries"]));
    assert_eq!(code, Some(0), "{err}");
    assert_eq!(out.lines().count(), 9);
    assert!(err.contains("note: of class `c0` the first 2 of 3 images are used"), "{err}");
    fs::remove_file(examples.join("c1/0.png")).unwrap();
    let (code, _, err) = said(&predict(&place, &["--support", "examples", "queries"]));
    assert_eq!(code, Some(2));
    let err = flat(&err);
    assert!(err.contains("class `c1` has 1 image") && err.contains("k_shot: 1"), "{err}");
    fs::remove_dir_all(examples.join("c1")).unwrap();
    let (code, _, err) = said(&predict(&place, &["--support", "examples", "queries"]));
    assert_eq!(code, Some(2));
    let err = flat(&err);
    assert!(err.contains("has 2 classes") && err.contains("per_way"), "{err}");
    assert!(err.contains("method.prototypes: shared") && err.contains("n_way: 2"), "{err}");
}

#[test]
fn classes_may_have_different_numbers_of_examples() {
    let place = trained(PIPELINE);
    draw(&place.path().join("support/disk"), "disk", 30..34);
    let rows = place.path().join("support/rows");
    fs::remove_file(rows.join("rows10.png")).unwrap();
    let ask = || {
        let (code, out, err) =
            said(&predict(&place, &[&["--support", "support", "new"], &ALL_AS_JSON[..]].concat()));
        assert_eq!(code, Some(0), "{err}");
        assert!(!err.contains("are used"), "all are used: {err}");
        out
    };
    let found = ask();
    for line in json(&found) {
        assert_eq!(line["class"], shape_of(line["file"].as_str().unwrap()), "{line}");
    }
    // The same examples as often as it takes to have as many of each class: the same prototypes.
    for (shape, copies) in [("rows", 6), ("columns", 3), ("disk", 1)] {
        let folder = place.path().join("support").join(shape);
        for file in fs::read_dir(&folder).unwrap().map(|it| it.unwrap().path()).collect::<Vec<_>>()
        {
            for copy in 1..copies {
                fs::copy(&file, file.with_extension(format!("{copy}.png"))).unwrap();
            }
        }
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 6);
    }
    for (a, b) in by_class(&found).iter().flatten().zip(by_class(&ask()).iter().flatten()) {
        assert!((a - b).abs() < 1e-5, "{a} {b}");
    }
}

#[test]
fn a_method_that_reads_every_example_takes_as_many_of_each_class() {
    let place = trained(&PIPELINE.replace("kind: protonet", "kind: ctx, attention: softmax"));
    fs::remove_file(place.path().join("support/rows/rows10.png")).unwrap();
    let ask = || {
        let (code, out, err) =
            said(&predict(&place, &[&["--support", "support", "new"], &ALL_AS_JSON[..]].concat()));
        assert_eq!(code, Some(0), "{err}");
        (out, err)
    };
    let (found, err) = ask();
    assert!(err.contains("note: of class `disk` the first 1 of 2 images are used"), "{err}");
    for shape in ["disk", "columns"] {
        fs::remove_file(place.path().join(format!("support/{shape}/{shape}11.png"))).unwrap();
    }
    assert_eq!(ask().0, found);
}

#[test]
fn the_library_gives_what_the_command_prints() {
    let place = trained(PIPELINE);
    let arguments = [&["--support", "support", "new"], &ALL_AS_JSON[..]].concat();
    let (code, out, err) = said(&predict(&place, &arguments));
    assert_eq!(code, Some(0), "{err}");
    let predictor = Predictor::open(&place.run_folder()).unwrap();
    let support = predictor.support(&place.path().join("support")).unwrap();
    assert_eq!(support.classes(), ["columns", "disk", "rows"]);
    assert_eq!(support.shots(), [2, 2, 2]);
    let lines = json(&out);
    let images = lines.iter().map(|line| {
        let path = place.path().join(line["file"].as_str().unwrap());
        Item::new(Split::Novel, "", line["file"].to_string(), ItemFile::Path(path))
    });
    let mut found = Vec::new();
    predictor
        .predict(&support, images.collect(), &mut |number, prediction| -> Result<(), fsct::Error> {
            assert_eq!(number, found.len());
            let mut ranking = prediction.unwrap().ranking;
            ranking.sort_by_key(|guess| guess.class);
            found.push(ranking.iter().map(|guess| guess.probability).collect::<Vec<_>>());
            Ok(())
        })
        .unwrap();
    assert_eq!(found, by_class(&out));
}

/// With its own statistics an episode is embedded as a whole; other images must not matter all the same.
#[test]
fn a_prediction_does_not_depend_on_the_other_images() {
    let pipeline = PIPELINE.replace("kind: conv4}", "kind: conv4, batch_norm: episode}");
    let place = trained(&pipeline);
    let arguments = ["--support", "support", "--format", "json"];
    let ask = |image: &str| {
        let (code, out, err) = said(&predict(&place, &[&arguments[..], &[image]].concat()));
        assert_eq!(code, Some(0), "{err}");
        json(&out)
    };
    let all = ask("new");
    assert_eq!(all.len(), 9);
    for line in &all {
        assert_eq!(&ask(line["file"].as_str().unwrap())[0], line);
    }
}

#[test]
fn a_saved_support_gives_the_same_predictions() {
    let place = trained(PIPELINE);
    draw(&place.path().join("support/disk"), "disk", 30..34);
    let json = ["new", "--format", "json"];
    let expected =
        succeeded(&predict(&place, &[&["-q", "--support", "support"], &json[..]].concat()));
    let out = predict(&place, &["--support", "support", "--save-support", "saved.fsct"]);
    let (code, out, err) = said(&out);
    assert_eq!((code, out.as_str()), (Some(0), ""), "{err}");
    assert!(err.contains("wrote saved.fsct"), "{err}");
    fs::remove_dir_all(place.path().join("support")).unwrap();
    let ask = || said(&predict(&place, &[&["-q", "--support", "saved.fsct"], &json[..]].concat()));
    assert_eq!(ask(), (Some(0), expected, String::new()));

    // Damaged, and of another kind.
    let path = place.path().join("saved.fsct");
    let whole = fs::read(&path).unwrap();
    let fails = |bytes: &[u8], part: &str| {
        fs::write(&path, bytes).unwrap();
        let (code, out, err) = ask();
        assert_eq!((code, out.as_str()), (Some(2), ""));
        assert!(flat(&err).contains(part), "{err}");
    };
    let mut flipped = whole.clone();
    *flipped.last_mut().unwrap() ^= 1;
    fails(&flipped, "its checksum is wrong");
    fails(&whole[..whole.len() - 4], "is not a support file that fits");
    fails(b"no support", "neither a folder nor a file of embedded examples");
    // Of another model.
    fs::write(&path, whole).unwrap();
    succeeded(&place.fsct(&["-q", "run", "tiny.yaml", "--set", "seed=12", "--runs", "other"]));
    let other = fs::read_dir(place.path().join("other")).unwrap().next().unwrap().unwrap().path();
    let output =
        place.fsct(&["predict", other.to_str().unwrap(), "--support", "saved.fsct", "new"]);
    let (code, _, err) = said(&output);
    assert_eq!(code, Some(2));
    assert!(flat(&err).contains("another model made it"), "{err}");
}

#[test]
fn the_temperature_is_fitted_in_validation_and_reported() {
    let place = trained(PIPELINE);
    let run = place.run_folder();
    let said = succeeded(&place.fsct(&["eval", run.to_str().unwrap(), "--metrics", "m.json"]));
    assert!(said.contains(" % at temperature "), "{said}");
    let read = |path: &Path| -> Value {
        serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
    };
    let of_run = read(&run.join("metrics.json"));
    let calibrated = &of_run["result"]["scores"]["calibrated"];
    assert_eq!(calibrated, &read(&place.path().join("m.json"))["scores"]["calibrated"]);
    assert_eq!(calibrated["temperature"], of_run["result"]["best_validation"]["temperature"]);
    assert!(calibrated["ece"].as_f64().unwrap() < 1.0);

    // Without a validation there is none, and predictions say so.
    let place = trained(&PIPELINE.replace("validate: {episodes: 10}", "validate: {episodes: 0}"));
    let output = predict(&place, &["--support", "support", "new"]);
    let said = succeeded(&output);
    assert!(said.contains("note: the probabilities are not calibrated"), "{said}");
}
