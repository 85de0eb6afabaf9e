//! What the memory stages save at the size that users train at, and that the plan says so: a step of
//! ResNet18 and ResNet34 at 224 px, 5-way 5-shot 16-query, and of every pipeline in `pipelines/`.
//!
//! Alone in its program, and one test at a time, as they read the program's memory.
#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]
#![cfg(feature = "counting-allocator")]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Mutex;

use fsct::config::{Allocator, DeviceSpec, Memory, Overrides, Pipeline, Recompute, load_str};
use fsct::device::select;
use fsct::plan::footprint::Environment;
use fsct::plan::{Footprint, compile};
use fsct::run::bench::{Row, measure, settings};

const GIB: u64 = 1 << 30;

static ALONE: Mutex<()> = Mutex::new(());

fn pipeline(backbone: &str, memory: &str) -> Pipeline {
    let text = format!(
        "data: {{format: synthetic, image_size: 224}}\nepisode: {{k_shot: 5, n_query: 16}}\n\
         backbone: {{kind: {backbone}}}\nmethod: {{kind: profoct}}\nmemory: {{{memory}}}\n"
    );
    load_str("test", &text, &Overrides::default()).unwrap().pipeline
}

/// One setting, over two steps: the second has what the optimizer remembers of the first.
fn row(
    pipeline: &Pipeline,
    (name, memory): (&str, Memory),
    plain: &mut Option<BTreeMap<String, Vec<f32>>>,
) -> Row {
    let device = select(DeviceSpec::Cpu, Allocator::Pooled).unwrap();
    let row = measure(pipeline, (name.into(), memory), &device, 1, plain).unwrap();
    println!("{row:?}");
    row
}

/// Bytes that the machine can spare, where it says.
fn available() -> Option<u64> {
    let text = fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    Some(line.trim().strip_suffix(" kB")?.parse::<u64>().ok()? << 10)
}

#[test]
fn stages_save_what_they_are_to_save() {
    let _alone = ALONE.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let pipeline = pipeline("resnet18", "");
    let mut gradients = None;
    let rows: Vec<Row> = settings(&pipeline)
        .into_iter()
        .filter(|(_, memory)| memory.recompute != Recompute::Stage)
        .map(|(name, memory)| row(&pipeline, (&name, memory), &mut gradients))
        .collect();
    let [plain, recompute, queries, f16, all] = &rows[..] else { panic!("{rows:?}") };
    assert!(plain.peak_bytes <= 44 * GIB / 10, "{plain:?}");
    let share = |row: &Row| row.activation_bytes as f64 / plain.activation_bytes as f64;
    assert!(share(recompute) <= 0.45, "{:.3}", share(recompute));
    assert!(recompute.max_gradient_difference <= 1e-5, "{recompute:?}");
    assert!(share(queries) <= 0.45, "{:.3}", share(queries));
    assert!(share(f16) <= 0.60, "{:.3}", share(f16));
    assert!(share(all) <= 0.20, "{:.3}", share(all));
}

#[test]
fn resnet34_trains_under_4_gib() {
    let _alone = ALONE.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let pipeline = pipeline("resnet34", "recompute: block, budget: 4GiB");
    let row = row(&pipeline, ("recompute", pipeline.memory.clone()), &mut None);
    assert!(row.peak_bytes <= 4 * GIB, "{row:?}");
}

#[test]
fn every_shipped_pipeline_takes_what_its_plan_says() {
    let _alone = ALONE.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("pipelines");
    let mut off = Vec::new();
    let mut count = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|it| it != "yaml") {
            continue;
        }
        let text = fs::read_to_string(&path).unwrap();
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let pipeline = load_str(&name, &text, &Overrides::default()).unwrap().pipeline;
        let needed = Footprint::of(&compile(&pipeline), Environment::detect()).peak.total();
        if available().is_some_and(|available| available < needed * 3 / 2) {
            eprintln!("skipped: {name} needs {needed} bytes, more than this machine has to spare");
            count += 1;
            continue;
        }
        let row = row(&pipeline, (&name, pipeline.memory.clone()), &mut None);
        let ratio = row.predicted_peak_bytes as f64 / row.peak_bytes as f64;
        println!("{name}: {ratio:.3}");
        if !(0.9..=1.1).contains(&ratio) {
            off.push(format!("{name}: {ratio:.3}"));
        }
        count += 1;
    }
    assert!(count >= 6, "{count} pipelines");
    assert!(off.is_empty(), "{off:?}");
}
