//! What may be asked of a trained model.

use super::*;

#[test]
fn a_test_changes_nothing_that_the_model_fixes() {
    let (place, run) = with_run(&["train.epochs=1"]);
    for set in [
        "data.image_size=32",
        "backbone.kind=conv4",
        "backbone.kind=conv6s",
        "method.heads=4",
        "method.depth=2",
        "method.attention=softmax",
        "method.kind=profoct",
        "method.classifier=cosine",
        "episode.k_shot=2",
        "episode.n_way=4",
    ] {
        let output = place.fsct(&["eval", name(&run), "-q", "--set", set]);
        let text = words(&output);
        let key = set.split('=').next().unwrap();
        assert_eq!(output.status.code(), Some(1), "{set}: {text}");
        assert!(text.contains(key) && !text.contains("panicked"), "{set}: {text}");
    }
    // What it does not depend on is said; what it does depend on is used.
    let output = place.fsct(&["eval", name(&run), "--set", "optimizer.learning_rate=1"]);
    assert_eq!(output.status.code(), Some(0));
    assert!(
        words(&output).contains("`optimizer.learning_rate` does not affect"),
        "{}",
        said(&output)
    );
    let output = place.fsct(&["eval", name(&run), "-q", "--set", "episode.n_query=3"]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
}

#[test]
fn a_rehearsal_that_is_not_understood_is_an_error() {
    let place = Workplace::new(PIPELINE);
    let output =
        place.command(&["run", "tiny.yaml"]).env("OOM_REHEARSAL", "much@7").output().unwrap();
    let text = words(&output);
    assert_eq!(output.status.code(), Some(2), "{text}");
    assert!(text.contains("OOM_REHEARSAL=much@7") && text.contains("BYTES@STEP"), "{text}");
}

#[test]
fn export_replaces_no_file_unless_it_is_told_to() {
    let (place, run) = with_run(&["train.epochs=1"]);
    let path = place.path().join("m.safetensors");
    fs::write(&path, "precious").unwrap();
    let export = ["export", name(&run), "--to", "m.safetensors"];
    let output = place.fsct(&export);
    assert_eq!(output.status.code(), Some(2), "{}", said(&output));
    assert!(words(&output).contains("--force"), "{}", said(&output));
    assert_eq!(fs::read(&path).unwrap(), b"precious");
    let output = place.fsct(&[&export[..], &["--force"]].concat());
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
}

#[test]
fn runs_that_cannot_be_compared_say_how_they_differ() {
    let (place, a) = with_run(&["train.epochs=1"]);
    let other = place.fsct(&[
        "run",
        "tiny.yaml",
        "-q",
        "--set",
        "train.epochs=1",
        "--set",
        "episode.n_way=4",
    ]);
    assert_eq!(other.status.code(), Some(0), "{}", said(&other));
    let b = place.runs().into_iter().find(|it| *it != a).unwrap();
    let output = place.fsct(&["compare", name(&a), name(&b)]);
    let text = words(&output);
    assert_eq!(output.status.code(), Some(2), "{text}");
    assert!(text.contains("3-way 1-shot") && text.contains("4-way 1-shot"), "{text}");

    let output = place.fsct(&["compare", name(&a), name(&a), name(&a), "--json", "c.json"]);
    let text = words(&output);
    assert_eq!(output.status.code(), Some(0), "{text}");
    assert!(text.contains("Holm p = 1.00e0"), "{text}");
    let pairs: Value =
        serde_json::from_str(&fs::read_to_string(place.path().join("c.json")).unwrap()).unwrap();
    assert_eq!(pairs.as_array().unwrap().len(), 3);
}
