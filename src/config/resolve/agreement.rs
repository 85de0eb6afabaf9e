//! Layers that are merged equal a file that was written merged: any two of them, right or wrong.

use std::path::Path;

use proptest::{prelude::*, sample::select, test_runner::TestCaseResult};
use serde_json::{Map, Value as Json, json};

use super::{
    load::{load, load_str},
    loaded::Loaded,
    overrides::Overrides,
    shape::{Shape, join, shape},
};
use crate::config::text::diagnostic::Diagnostics;

/// Every key of a pipeline with values for it: right ones, and a few that are not. Numbers for texts
/// are left out: a shell, which has no quotes, may write them, and a file may not.
fn candidates() -> Vec<(String, Vec<Json>)> {
    fn values(shape: &Shape) -> Vec<Json> {
        match shape {
            Shape::Map(_) => vec![json!({})],
            Shape::List(item, length) => {
                let item = values(item).into_iter().next().unwrap_or_default();
                vec![vec![item; length.unwrap_or(1)].into(), json!([])]
            }
            Shape::Int(_) => vec![json!(2), json!(3), json!(32)],
            Shape::Float(_) => vec![json!(0.5), json!(1), json!(1e-3)],
            Shape::Bool => vec![json!(true), json!(false)],
            Shape::Choice(words) => words.iter().map(|word| json!(word)).collect(),
            Shape::Text(Some(format)) if format == "device" => vec![json!("cpu"), json!("cuda:1")],
            Shape::Text(Some(format)) if format == "byte-size" => vec![json!("8GiB")],
            Shape::Text(_) => vec![json!("one"), json!("two")],
            Shape::Null => Vec::new(),
            Shape::Any(shapes) => shapes.iter().flat_map(values).collect(),
        }
    }
    fn visit(shape: &Shape, path: &str, found: &mut Vec<(String, Vec<Json>)>) {
        for field in shape.fields().unwrap_or_default() {
            let path = join(path, &field.name);
            let mut candidates = values(&field.shape);
            candidates.extend([Json::Null, json!("zzz"), json!(["zzz"]), json!({"zzz": "zzz"})]);
            found.push((path.clone(), candidates));
            visit(&field.shape, &path, found);
        }
    }
    let mut found = Vec::new();
    visit(shape(), "", &mut found);
    found.retain(|(key, _)| key != "extends" && key != "version");
    found
}

/// A part of a pipeline: up to eight keys with values.
fn layer() -> impl Strategy<Value = Json> {
    let entry = select(candidates()).prop_flat_map(|(key, values)| (Just(key), select(values)));
    proptest::collection::vec(entry, 0..8).prop_map(|entries| {
        let mut layer = Json::Object(Map::new());
        for (key, value) in entries {
            let mut at = &mut layer;
            for name in key.split('.') {
                if !at.is_object() {
                    *at = Json::Object(Map::new());
                }
                at = &mut at[name];
            }
            *at = value;
        }
        layer
    })
}

/// Most layers lie over a pipeline that is valid, so that merging is what decides.
fn over_a_pipeline() -> impl Strategy<Value = Json> {
    let whole = json!({
        "data": {"format": "synthetic", "image_size": 32},
        "backbone": {"kind": "resnet18", "weights": {"from": "torchvision", "path": "a.pth"}},
        "method": {"kind": "profoct", "vic": {"preset": "reference"}},
        "optimizer": {"schedule": {"kind": "cosine"}},
    });
    prop_oneof![
        1 => layer(),
        4 => layer().prop_map(move |layer| merge(&whole, &layer)),
    ]
}

/// The definition of merging: mappings by key, anything else is replaced.
fn merge(below: &Json, above: &Json) -> Json {
    let (Json::Object(below), Json::Object(above)) = (below, above) else { return above.clone() };
    let mut merged = below.clone();
    for (key, value) in above {
        let value = below.get(key).map_or_else(|| value.clone(), |below| merge(below, value));
        merged.insert(key.clone(), value);
    }
    Json::Object(merged)
}

/// A layer as `--set` texts, or as pairs for the environment.
fn leaves(layer: &Json, path: &str, found: &mut Vec<(String, String)>) {
    match layer {
        Json::Object(entries) if !entries.is_empty() || path.is_empty() => {
            entries.iter().for_each(|(key, value)| leaves(value, &join(path, key), found));
        }
        value => found.push((path.to_owned(), value.to_string())),
    }
}

fn agree(
    merged: Result<Loaded, Diagnostics>,
    written: Result<Loaded, Diagnostics>,
) -> TestCaseResult {
    // A path that was typed in a shell is absolute: the same file in other words.
    let here =
        std::env::current_dir().map_or_else(|_| String::new(), |it| format!("{}/", it.display()));
    let say = |diagnostics: Diagnostics| {
        let mut said: Vec<_> = diagnostics
            .into_iter()
            .map(|it| (it.code(), it.path, it.message.replace(&here, "")))
            .collect();
        said.sort();
        said
    };
    match (merged, written) {
        (Ok(merged), Ok(written)) => {
            prop_assert_eq!(merged.absolute(), written.absolute());
            prop_assert_eq!(say(merged.warnings), say(written.warnings));
        }
        (Err(merged), Err(written)) => prop_assert_eq!(say(merged), say(written)),
        (merged, written) => {
            let said = |it: Result<Loaded, Diagnostics>| it.map(|it| it.pipeline);
            prop_assert!(false, "{:?}\nand written merged\n{:?}", said(merged), said(written));
        }
    }
    Ok(())
}

fn file(folder: &Path, name: &str, text: &str) -> Result<(), TestCaseError> {
    std::fs::write(folder.join(name), text).map_err(|error| TestCaseError::fail(error.to_string()))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn a_shell_over_a_file_is_a_file_that_was_written_merged(
        below in over_a_pipeline(),
        above in layer(),
        in_the_environment in any::<bool>(),
    ) {
        let mut pairs = Vec::new();
        leaves(&above, "", &mut pairs);
        let shell = match in_the_environment {
            true => Overrides {
                set: Vec::new(),
                environment: pairs
                    .into_iter()
                    .map(|(key, value)| (format!("FSCT_{}", key.to_uppercase().replace('.', "__")), value))
                    .collect(),
            },
            false => Overrides {
                set: pairs.into_iter().map(|(key, value)| format!("{key}={value}")).collect(),
                environment: Vec::new(),
            },
        };
        let merged = load_str("x", &below.to_string(), &shell);
        let written = load_str("x", &merge(&below, &above).to_string(), &Overrides::default());
        agree(merged, written)?;
    }

    #[test]
    fn a_file_over_a_file_is_a_file_that_was_written_merged(
        below in over_a_pipeline(),
        above in layer(),
    ) {
        let folder = tempfile::tempdir().map_err(|error| TestCaseError::fail(error.to_string()))?;
        let extends = json!({"extends": "below.yaml"});
        file(folder.path(), "below.yaml", &below.to_string())?;
        file(folder.path(), "above.yaml", &merge(&extends, &above).to_string())?;
        file(folder.path(), "written.yaml", &merge(&below, &above).to_string())?;
        let load = |name: &str| load(&folder.path().join(name), &Overrides::default());
        agree(load("above.yaml"), load("written.yaml"))?;
    }
}

#[test]
fn a_part_of_an_optional_mapping_changes_that_part_alone() -> Result<(), Diagnostics> {
    let file = "data: {format: synthetic, image_size: 32, normalize: {mean: [0.5], std: [0.2]}}\n\
                backbone: {kind: resnet18, weights: {from: torchvision, path: a.pth}}\n\
                method: {kind: fsct}\n";
    let set = |texts: &[&str]| Overrides {
        set: texts.iter().map(|&text| text.to_owned()).collect(),
        environment: Vec::new(),
    };
    let loaded = load_str("x", file, &set(&["backbone.weights.path=b.pth"]))?;
    let weights = loaded.absolute().backbone.weights.unwrap_or_else(|| panic!("no weights"));
    assert!(weights.path.ends_with("b.pth"), "{}", weights.path.display());
    assert_eq!(weights.from, crate::config::WeightsSource::Torchvision);

    let loaded = load_str("x", file, &set(&["backbone.weights.allow_missing=[fc.*]"]))?;
    let weights = loaded.pipeline.backbone.weights.unwrap_or_else(|| panic!("no weights"));
    assert!(weights.path.ends_with("a.pth"), "the weights of the file stay");
    assert_eq!(weights.allow_missing, ["fc.*"]);

    let environment = vec![("FSCT_DATA__NORMALIZE__STD".to_owned(), "[0.1, 0.2, 0.3]".to_owned())];
    let loaded = load_str("x", file, &Overrides { set: Vec::new(), environment })?;
    let crate::config::Normalize::Custom(moments) = loaded.pipeline.data.normalize else {
        panic!("the file's mapping stays");
    };
    assert_eq!((moments.mean, moments.std), (vec![0.5], vec![0.1, 0.2, 0.3]));
    Ok(())
}
