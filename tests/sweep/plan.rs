//! `fsct sweep plan`, and the commands that read sweep files.

use std::fs;

use serde_json::Value;

use super::{Place, SWEEP, file_name, said, words};

/// Diagnostics of the sweep file as `fsct validate` prints them for programs.
fn found(place: &Place) -> Vec<(u64, String, String)> {
    let output = place.fsct(&["validate", "--format", "json", "s.yaml"]);
    let list: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap();
    list.iter()
        .map(|it| {
            let text = |key: &str| it[key].as_str().unwrap_or_default().to_owned();
            (it["line"].as_u64().unwrap_or(0), text("code"), text("message") + "; " + &text("help"))
        })
        .collect()
}

#[test]
fn every_fault_is_reported_at_its_line_in_the_sweep_file() {
    let place = Place::new(
        "pipeline: p.yaml
grid:
  method.kid: [fsct, ctx]
  episode.k_shot: [1, none]
  seed: [1, 2]
set:
  memory.amp: f61
",
    );
    let faults = found(&place);
    let at = |line: u64| faults.iter().filter(|it| it.0 == line).collect::<Vec<_>>();
    assert_eq!(faults.len(), 3, "each once, however many cells have it: {faults:#?}");
    assert!(at(3)[0].2.contains("did you mean `kind`?"), "{faults:#?}");
    assert_eq!(at(4)[0].1, "fsct::episode::k_shot");
    assert!(at(4)[0].2.contains("in 4 of 8 cells, such as: method.kid=fsct"), "{faults:#?}");
    assert!(at(7)[0].2.contains("`memory.amp` must be"), "{faults:#?}");
    let output = place.fsct(&["sweep", "plan", "s.yaml", "-o", "out"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(said(&output).contains("s.yaml:3:10"), "{}", said(&output));
    assert!(!place.path().join("out").exists(), "nothing is written");
}

#[test]
fn the_keys_of_the_sweep_itself_are_checked() {
    let place = Place::new(
        "version: 1
pipeline: q.yaml
gird: {}
grid:
  seed: 5
  method: {kind: [fsct]}
  method.kind: [fsct, fsct]
  episode.k_shot: []
set: {seed: 3}
exclude: [{method.kind: ctx}, {epochs: 1}]
compare: {baseline: {method.kind: ctx}, across: seeds, basline: 1}
",
    );
    let faults = found(&place);
    for (line, words) in [
        (2, "there is no file"),
        (3, "a sweep has no key `gird`"),
        (5, "write `seed: [5]`"),
        (6, "write `method.kind: [a, b]`"),
        (7, "`method` and `method.kind` of the grid overlap"),
        (7, "has `fsct` twice"),
        (8, "has no values"),
        (9, "`set.seed` is varied by `grid.seed`"),
        (10, "the grid does not vary `epochs`"),
        (10, "`grid.method.kind` has no value `ctx`"),
        (11, "`grid.method.kind` has no value `ctx`; it has `fsct`"),
        (11, "the grid does not vary `seeds`; did you mean `seed`?"),
        (11, "`compare` has no key `basline`"),
    ] {
        assert!(
            faults.iter().any(|it| it.0 == line && it.2.contains(words)),
            "{line} {words}: {faults:#?}"
        );
    }
    place.write("s.yaml", "grid: {seed: [1]}\n");
    assert_eq!(found(&place)[0].1, "fsct::missing_key");
    place.write("s.yaml", "pipeline: p.yaml\ngrid: {seed: [1]}\nexclude: [{seed: 1}]\n");
    assert!(found(&place)[0].2.contains("leaves no cell"));
    place.write("s.yaml", "pipeline: p.yaml\ngrid: {seed: [1]}\ntrain: {epochs: 1}\n");
    assert!(found(&place)[0].2.contains("belongs under `set`"));
}

#[test]
fn a_plan_is_a_line_and_a_folder_for_each_cell() {
    let place = Place::planned(SWEEP);
    let manifest = place.manifest();
    assert_eq!(manifest.len(), 12);
    for (at, (entry, cell)) in manifest.iter().zip(place.cells()).enumerate() {
        assert_eq!(entry["index"], at);
        assert!(entry["memory_bytes"].as_u64().unwrap() > 64 << 20);
        let pipeline = fs::read_to_string(cell.join("pipeline.yaml")).unwrap();
        // The test's episodes are the same in all cells.
        assert!(pipeline.contains("\n  seed: 4040\n"), "{pipeline}");
        let seed = &entry["values"]["seed"];
        assert!(pipeline.contains(&format!("\nseed: {seed}\n")), "{pipeline}");
    }
    // The first key varies slowest.
    assert_eq!(manifest[3]["values"]["episode.k_shot"], 2);
    let names: Vec<String> = place.cells().iter().map(|cell| file_name(cell)).collect();

    place.write("s.yaml", &SWEEP.replace("[1, 2, 3]", "[1, 2, 3, 4]"));
    let text = place.ok(&["sweep", "plan", "s.yaml", "-o", "out"]);
    assert!(text.contains("16 cells (4 new, 12 kept)"), "{text}");
    let grown: Vec<String> = place.cells().iter().map(|cell| file_name(cell)).collect();
    assert_eq!(names, grown[..12], "numbers of cells stay");
}

#[test]
fn cells_that_do_not_fit_or_are_the_same_are_refused() {
    let place = Place::new(SWEEP);
    let output = place.fsct(&["sweep", "plan", "s.yaml", "-o", "out", "--memory", "1MiB"]);
    assert_eq!(output.status.code(), Some(3), "{}", said(&output));
    let text = words(&output);
    assert!(text.contains("12 of 12 cells do not fit"), "{text}");
    assert!(text.contains("method.kind=fsct, episode.k_shot=1, seed=1: "), "{text}");
    place.write("s.yaml", &SWEEP.replace("compare:", "set: {memory.budget: 1MiB}\ncompare:"));
    let output = place.fsct(&["sweep", "plan", "s.yaml", "-o", "out"]);
    assert_eq!(output.status.code(), Some(3), "{}", said(&output));
    assert!(words(&output).contains("more than `memory.budget: 1MiB`"), "{}", words(&output));
    place.write("s.yaml", "pipeline: p.yaml\ngrid: {method: [{}, {kind: fsct}]}\n");
    let output = place.fsct(&["sweep", "plan", "s.yaml", "-o", "out"]);
    assert!(words(&output).contains("two cells are the same pipeline"), "{}", words(&output));
    let output = place.fsct(&["sweep", "plan", "s.yaml", "-o", "out", "--set", "method=ctx"]);
    assert!(words(&output).contains("the grid varies `method`"), "{}", words(&output));
}

#[cfg(not(debug_assertions))]
#[test]
fn a_thousand_cells_are_planned_in_five_seconds() {
    let seeds: Vec<String> = (1..=250).map(|seed| seed.to_string()).collect();
    let place = Place::new(&SWEEP.replace("1, 2, 3", &seeds.join(", ")));
    let start = std::time::Instant::now();
    let text = place.ok(&["sweep", "plan", "s.yaml", "-o", "out"]);
    let taken = start.elapsed();
    println!("1000 cells in {taken:?}");
    assert!(text.contains("1000 cells (1000 new)"), "{text}");
    assert!(taken.as_secs_f64() < 5.0, "{taken:?}");
}

#[test]
fn sweep_files_are_validated_and_explained() {
    let place = Place::new(SWEEP);
    assert!(place.ok(&["validate", "."]).contains("2 files: 2 valid"));
    let text = place.ok(&["explain", "sweep.compare.across"]);
    assert!(text.contains("repetitions"), "{text}");
    let text = place.ok(&["explain", "fsct::sweep::exclude::seed"]);
    assert!(text.starts_with("sweep.exclude"), "{text}");
    assert!(place.ok(&["explain"]).contains("sweep.grid"));
    let output = place.fsct(&["explain", "sweep.gird"]);
    assert!(said(&output).contains("did you mean `sweep.grid`?"), "{}", said(&output));
}

#[test]
fn the_schema_is_current_and_knows_sweeps() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let place = Place::new(SWEEP);
    let kept = root.join("schemas/sweep.schema.json");
    place.ok(&["schema", "sweep", "--check", kept.to_str().unwrap()]);
    let schema: Value = serde_json::from_str(&fs::read_to_string(kept).unwrap()).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let is_valid = |text: &str| {
        let value: Value = serde_yaml::from_str(text).unwrap();
        validator.is_valid(&value)
    };
    assert!(is_valid(SWEEP));
    for wrong in [
        SWEEP.replace("pipeline:", "pipelines:"),
        SWEEP.replace("[fsct, profoct]", "fsct"),
        SWEEP.replace("[fsct, profoct]", "[fsct, profct]"),
        SWEEP.replace("method.kind:", "method.kid:"),
        SWEEP.replace("across: seed", "across: seeds"),
    ] {
        assert!(!is_valid(&wrong), "{wrong}");
    }
    let mut count = 0;
    for entry in fs::read_dir(root.join("sweeps")).unwrap() {
        let path = entry.unwrap().path();
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.starts_with("# yaml-language-server: $schema=../schemas/sweep.schema.json\n"));
        assert!(is_valid(&text), "{}", path.display());
        place.ok(&["validate", "--offline", path.to_str().unwrap()]);
        count += 1;
    }
    assert!(count > 0, "sweeps are shipped");
}
