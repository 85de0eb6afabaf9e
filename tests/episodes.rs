//! Episodes of other shapes in validation and test, and training episodes whose shapes vary.
#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

mod common;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use burn::prelude::*;
use common::gradients::{ByPath, by_path, norm_of_difference};
use common::workplace::{Workplace, history, result, succeeded, text};
use fsct::config::{Episode as Shape, Overrides, Pipeline, load_str};
use fsct::data::{Sampler, Split, Stream};
use fsct::model::{EpisodeShape, FewShotNet};
use fsct::stage::{Episode, StageState, StepContext};
use fsct::{data, graph, plan};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::Value;

const PIPELINE: &str = "
name: tiny
seed: 11
device: cpu
data: {format: synthetic, image_size: 16}
episode: {n_way: 3, k_shot: 2, n_query: 3}
backbone: {kind: conv4s}
method: {kind: protonet}
train: {epochs: 2, episodes_per_epoch: 10, checkpoint_every: 3}
validate: {episodes: 6, episode: {n_way: 4}}
test: {episodes: 8, episode: {n_way: 5, k_shot: 1, n_query: 4}}
";

const VARYING: &str = "episode: {n_way: {min: 2, max: 4}, k_shot: {min: 1, max: 3}, n_query: 3}";

fn varying(method: &str) -> String {
    PIPELINE
        .replace("episode: {n_way: 3, k_shot: 2, n_query: 3}", VARYING)
        .replace("kind: protonet", method)
}

fn pipeline(text: &str) -> Pipeline {
    load_str("test", text, &Overrides::default()).unwrap().pipeline
}

/// Queries of each episode in a file of predictions, and the classes that it chooses from.
fn predicted(path: &Path) -> BTreeSet<(usize, usize)> {
    let lines = fs::read_to_string(path).unwrap();
    let lines: Vec<Value> = lines.lines().map(|it| serde_json::from_str(it).unwrap()).collect();
    let queries = |episode: &Value| lines.iter().filter(|it| it["episode"] == *episode).count();
    lines
        .iter()
        .map(|it| (queries(&it["episode"]), it["classes"].as_array().unwrap().len()))
        .collect()
}

#[test]
fn validation_and_test_have_their_own_episodes() {
    for method in [
        "kind: protonet",
        "kind: ctx",
        "kind: fsct, prototypes: shared, heads: 2, dim_head: 8, mlp_dim: 16",
    ] {
        let place = Workplace::new(&PIPELINE.replace("kind: protonet", method));
        succeeded(&place.fsct(&["run", "tiny.yaml"]));
        let run = place.run_folder();
        let eval = |extra: &[&str]| {
            let arguments = ["eval", run.to_str().unwrap(), "--predictions", "out.jsonl"];
            succeeded(&place.fsct(&[&arguments, extra].concat()))
        };
        let out = place.path().join("out.jsonl");
        let said = eval(&[]);
        assert!(said.contains("8 5-way 1-shot episodes of novel"), "{said}");
        assert_eq!(predicted(&out), [(20, 5)].into());
        // The run's own test was on the same episodes.
        let novel = 100.0 * result(&run)["novel"]["mean"].as_f64().unwrap();
        assert!(said.contains(&format!("novel accuracy: {novel:.2}")), "{novel}: {said}");

        let said = eval(&["--split", "val", "--episodes", "3"]);
        assert!(said.contains("3 4-way 2-shot episodes of val"), "{said}");
        assert_eq!(predicted(&out), [(12, 4)].into());
        let said = eval(&["--set", "test.episode.k_shot=3", "--set", "test.episode.n_query=2"]);
        assert!(said.contains("8 5-way 3-shot"), "{said}");
        assert_eq!(predicted(&out), [(10, 5)].into());
    }
}

#[test]
fn another_shape_in_the_test_is_that_shape_in_the_episode() {
    let place =
        Workplace::new(&PIPELINE.replace(", episode: {n_way: 5, k_shot: 1, n_query: 4}", ""));
    succeeded(&place.fsct(&["run", "tiny.yaml"]));
    let run = place.run_folder();
    let eval = |set: &str| {
        let said = succeeded(&place.fsct(&["eval", run.to_str().unwrap(), "--set", set]));
        said.lines().last().unwrap().to_owned()
    };
    assert_eq!(eval("test.episode.n_way=6"), eval("episode.n_way=6"));
    assert_ne!(eval("test.episode.n_way=6"), eval("test.episode.n_way=2"));
    // A resumed run may be tested at another shape, and not validated at one.
    let resume = |set: &str| place.fsct(&["run", "tiny.yaml", "--resume", "--set", set]);
    let said = succeeded(&resume("test.episode.n_way=6"));
    assert!(said.contains("`test.episode.n_way`: not set → 6"), "{said}");
    let said = text(&resume("validate.episode.n_way=6").stderr);
    assert!(said.contains("`validate.episode.n_way`: 4 → 6"), "{said}");
}

#[test]
fn a_tied_model_is_not_tested_at_another_shape() {
    let tied = PIPELINE
        .replace("kind: protonet", "kind: fsct, heads: 2, dim_head: 8, mlp_dim: 16")
        .replace(", episode: {n_way: 4}", "")
        .replace(", episode: {n_way: 5, k_shot: 1, n_query: 4}", ", episode: {n_query: 5}");
    let place = Workplace::new(&tied);
    succeeded(&place.fsct(&["run", "tiny.yaml"]));
    let run = place.run_folder();
    let output = place.fsct(&["eval", run.to_str().unwrap(), "--set", "test.episode.k_shot=5"]);
    let said = text(&output.stderr).replace(['\n', '│'], " ");
    let said = said.split_whitespace().collect::<Vec<_>>().join(" ");
    assert_eq!(output.status.code(), Some(1), "{said}");
    for words in ["`test.episode.k_shot: 5`", "`episode.k_shot: 2`", "`method.prototypes: shared`"]
    {
        assert!(said.contains(words), "{words}: {said}");
    }
}

#[test]
fn each_split_is_checked_for_its_own_episodes() {
    let place = Workplace::new(PIPELINE);
    for (set, key) in [
        ("test.episode.n_way=900", "`test.episode.n_way: 900`"),
        ("validate.episode.n_way=900", "`validate.episode.n_way: 900`"),
        ("test.episode.n_query=900", "`test.episode.n_query: 900`"),
        ("validate.episode.k_shot=900", "`validate.episode.k_shot: 900` and `episode.n_query: 3`"),
        ("episode.n_way={min: 2, max: 900}", "`episode.n_way: 900`"),
    ] {
        let output = place.fsct(&["run", "tiny.yaml", "--set", set]);
        let said = text(&output.stderr).replace(['\n', '│'], " ");
        let said = said.split_whitespace().collect::<Vec<_>>().join(" ");
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains(key), "{set}: {said}");
    }
    assert!(!place.path().join("runs").exists(), "no run folder for a pipeline that cannot run");
    // The base split has 4480 images, and a test that does not happen asks for nothing.
    let sets = ["test.episodes=0", "test.episode.n_way=900"];
    succeeded(&place.fsct(&["validate", "tiny.yaml", "--set", sets[0], "--set", sets[1]]));
}

#[test]
fn shapes_vary_within_their_ranges_and_depend_on_the_number_alone() {
    let folder = tempfile::tempdir().unwrap();
    let mut pipeline = pipeline(&varying("kind: protonet"));
    pipeline.data.root = Some(folder.path().to_owned());
    let dataset = data::open(&pipeline, folder.path()).unwrap();
    let sampler = |stream, split| Sampler::of(dataset.split(split), &pipeline, stream).unwrap();
    let train = sampler(Stream::Train, Split::Base);
    let shapes: Vec<Shape> = (0..300).map(|number| train.episode(number).shape()).collect();
    let seen: BTreeSet<_> = shapes.iter().map(|it| (it.n_way, it.k_shot)).collect();
    let all = (2..=4).flat_map(|n_way| (1..=3).map(move |k_shot| (n_way, k_shot))).collect();
    assert_eq!(seen, all, "every shape, and no other");
    assert!(shapes.iter().all(|it| it.n_query == 3));
    // Each of the nine is as likely as another: 33 of 300, with a deviation of 5.4.
    for (n_way, k_shot) in seen {
        let count = shapes.iter().filter(|it| (it.n_way, it.k_shot) == (n_way, k_shot)).count();
        assert!((12..=55).contains(&count), "{n_way} ways, {k_shot} shots: {count} of 300");
    }
    assert_eq!(train.episode(77), sampler(Stream::Train, Split::Base).episode(77));
    let validated = sampler(Stream::Validate, Split::Val).episode(5).shape();
    assert_eq!((validated.n_way, validated.k_shot), (4, 3), "its own ways, the greatest shots");
}

#[test]
fn a_killed_run_of_varying_episodes_ends_as_one_that_was_not() {
    let shared = "kind: profoct, prototypes: shared, heads: 2, dim_head: 8, mlp_dim: 16";
    let text = varying(shared).replace(
        "name: tiny",
        "name: tiny\nmemory: {accumulation_steps: 2, accumulation_unit: episodes}",
    );
    let whole = Workplace::new(&text);
    let said = succeeded(&whole.fsct(&["run", "tiny.yaml"]));
    assert!(said.contains("`validate.episode: {n_way: 4, k_shot: 3, n_query: 3}`"), "{said}");
    assert!(!said.contains("`test.episode: {"), "its own numbers are all written: {said}");
    let killed = Workplace::new(&text);
    let mut child = killed.start(&["run", "tiny.yaml"]);
    killed.wait_for_step(4);
    child.kill().unwrap();
    assert!(!child.wait().unwrap().success(), "it was over before it could be killed");
    succeeded(&killed.fsct(&["run", "tiny.yaml", "--resume"]));
    assert_eq!(result(&whole.run_folder()), result(&killed.run_folder()));
    assert_eq!(history(&whole.run_folder()), history(&killed.run_folder()));
}

/// An episode of this shape, of uniform noise.
fn noise(shape: EpisodeShape, seed: u64) -> Episode {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let dims = [shape.images(), 1, 16, 16];
    let values: Vec<f32> =
        (0..dims.iter().product()).map(|_| rng.random_range(-1.7..1.7)).collect();
    Episode {
        images: Tensor::from_data(TensorData::new(values, dims), &Device::flex()),
        shape,
        labels: None,
    }
}

fn gradients(pipeline: &Pipeline, window: Vec<Episode>) -> ByPath {
    let plan = plan::compile(pipeline);
    let device = Device::flex();
    let net = FewShotNet::new(&plan.network, 7, &device.clone().autodiff());
    let mut step = graph::build(&plan, &device).step;
    let mut state = StageState::default();
    let grads = step.grads(&net, window, &mut StepContext::new(&mut state)).unwrap();
    by_path(&net, &grads.gradients)
}

/// Each episode of a window counts the same, however many queries it has.
#[test]
fn a_window_is_the_mean_of_its_episodes_whatever_their_sizes() {
    let shapes = [(2, 3, 3), (4, 1, 3)].map(|(n_way, k_shot, n_query)| EpisodeShape {
        n_way,
        k_shot,
        n_query,
    });
    for (method, memory) in [
        ("kind: protonet", ""),
        ("kind: ctx", "recompute: block"),
        ("kind: fsct, prototypes: shared", "accumulation_unit: queries, accumulation_steps: 3"),
    ] {
        let text = varying(method).replace("kind: conv4s", "kind: conv4s, batch_norm: frozen")
            + &format!("memory: {{{memory}}}\n");
        let pipeline = pipeline(&text);
        let [a, b] = [0, 1].map(|at| noise(shapes[at], at as u64));
        let both = gradients(&pipeline, vec![a.clone(), b.clone()]);
        let (a, b) = (gradients(&pipeline, vec![a]), gradients(&pipeline, vec![b]));
        let mut mean = both.clone();
        for (path, values) in &mut mean {
            for (index, value) in values.iter_mut().enumerate() {
                // An episode of fewer shots than the greatest has no gradient of their weights.
                let of = |one: &ByPath| one.get(path).map_or(0.0, |values| values[index]);
                *value = (of(&a) + of(&b)) / 2.0;
            }
        }
        let error = norm_of_difference(&mean, &both);
        assert!(error < 1e-5, "{method}: {error:.1e}");
        assert!(norm_of_difference(&mean, &a) > 1e-2, "{method}: the episodes differ");
    }
}
