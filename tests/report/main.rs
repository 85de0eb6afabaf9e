//! `report.html`: what a run writes at its end, and what `fsct report` makes of one run or of several.
#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

#[path = "../common/mod.rs"]
mod common;
mod long;

use std::fs;
use std::path::Path;

use serde_json::Value;

use common::workplace::{Workplace, result, succeeded, text};

const PIPELINE: &str = "
version: 1
name: tiny <one>
seed: 11
device: cpu
data: {format: synthetic, root: glyphs, image_size: 16}
episode: {n_way: 3, k_shot: 1, n_query: 3}
backbone: {kind: conv4s}
method: {kind: profoct, heads: 2, dim_head: 8, mlp_dim: 16}
memory: {budget: 2GiB, amp: f16}
train: {epochs: 1, episodes_per_epoch: 12}
validate: {episodes: 5}
test: {episodes: 20}
";

fn page(path: impl AsRef<Path>) -> String {
    fs::read_to_string(path).unwrap()
}

/// Every `<NAME …>` of a page.
fn tags<'a>(page: &'a str, name: &str) -> Vec<&'a str> {
    let open = format!("<{name}");
    let tags = page.split(open.as_str()).skip(1);
    let is_whole = |it: &&str| it.starts_with([' ', '>']);
    tags.filter(is_whole).map(|it| it.split('>').next().unwrap()).collect()
}

/// Whether the page loads nothing, and says in words what its pictures show.
fn is_sound(page: &str) {
    for outside in ["http://", "https://", "<script", "<link", "@import", "url(h", "{{", "{%"] {
        assert!(!page.contains(outside), "{outside}");
    }
    for image in tags(page, "img") {
        let described = image.contains("alt=\"") && !image.contains("alt=\"\"");
        assert!(image.contains("src=\"data:image/") && described, "{image}");
    }
    for picture in tags(page, "svg") {
        let named = picture.contains("role=\"img\"") && picture.contains("aria-labelledby=");
        assert!(named || picture.contains("aria-hidden"), "{picture}");
    }
    for name in page.split("aria-labelledby=\"").skip(1) {
        for id in name.split('"').next().unwrap().split(' ') {
            assert_eq!(page.matches(&format!(" id=\"{id}\"")).count(), 1, "{id}");
        }
    }
    for tag in
        ["section", "figure", "svg", "div", "details", "table", "dl", "ul", "article", "p", "g"]
    {
        let closed = page.matches(&format!("</{tag}>")).count();
        assert_eq!(tags(page, tag).len(), closed, "{tag}");
    }
    assert!(page.contains("prefers-color-scheme:dark") && page.contains("@media print"));
    assert!(page.contains("<html lang=\"en\">") && page.contains("name=\"viewport\""));
}

#[test]
fn a_run_writes_its_page_unless_it_is_told_not_to() {
    let place = Workplace::new(PIPELINE);
    let said = succeeded(&place.fsct(&["run", "tiny.yaml"]));
    let run = place.run_folder();
    let last = said.lines().last().unwrap();
    assert!(last.starts_with("  report ") && last.ends_with("report.html"), "{said}");
    let page = page(run.join("report.html"));
    is_sound(&page);
    assert!(page.len() < 600_000, "{} bytes", page.len());
    assert!(page.contains("tiny &lt;one&gt;"), "names are escaped");
    let novel = result(&run)["novel"].clone();
    let percent = format!("{:.2} ±", 100.0 * novel["mean"].as_f64().unwrap());
    assert!(page.contains(&percent), "{percent}");
    for chart in [
        "loss", "accuracy", "vic", "weights", "rate", "norm", "scale", "memory", "speed", "loader",
        "matrix", "pca", "tsne", "spectrum", "course",
    ] {
        assert!(page.contains(&format!("id=\"{chart}-t\"")), "{chart}");
    }
    for word in
        ["budget 2.00 GiB", "predicted", "Surest mistakes", "effective rank", "head and loss"]
    {
        assert!(page.contains(word), "{word}");
    }
    assert!(tags(&page, "img").len() > 20);
    assert!(page.contains("backbone:") && page.contains("kind: conv4s"), "the pipeline");

    let evidence: Value =
        serde_json::from_str(&fs::read_to_string(run.join("report.json")).unwrap()).unwrap();
    let right: usize = evidence["test"]["right"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it.as_str().unwrap().matches('1').count())
        .sum();
    let accuracy = right as f64 / (20.0 * 9.0);
    assert!((accuracy - novel["mean"].as_f64().unwrap()).abs() < 1e-9);

    let said = succeeded(&place.fsct(&["run", "tiny.yaml", "--set", "report=false"]));
    assert!(!said.contains("report.html"), "{said}");
    let silent = place.run_folder();
    assert!(silent != run && !silent.join("report.html").exists());
    assert!(!silent.join("report.json").exists());

    // What such a run did not keep is computed from its checkpoint, and is the same.
    let made = succeeded(&place.fsct(&["report", silent.to_str().unwrap(), "-o", "late.html"]));
    assert!(made.contains("no report.json") && made.contains("late.html"), "{made}");
    let late = self::page(place.path().join("late.html"));
    is_sound(&late);
    let part = |page: &str| {
        let part = page.split("<section id=\"novel\">").nth(1).unwrap();
        part.split("<section id=\"step-memory\">").next().unwrap().to_owned()
    };
    assert_eq!(part(&late), part(&page), "the test and the features");

    // Both together, which were asked the same and answered the same.
    let runs = [run.to_str().unwrap(), silent.to_str().unwrap()];
    succeeded(&place.fsct(&["-q", "report", runs[0], runs[1], "-o", "both.html"]));
    let both = self::page(place.path().join("both.html"));
    is_sound(&both);
    assert!(both.contains("2 runs") && both.contains("+0.00 ± 0.00 %"), "the paired test");
    assert!(both.contains("report</th>") && both.contains("<td>false</td>"), "what differs");
}

#[test]
fn what_cannot_be_shown_is_said_and_what_is_no_run_is_an_error() {
    let short = PIPELINE.replace("amp: f16", "").replace("budget: 2GiB, ", "budget: 2GiB");
    let place = Workplace::new(&short);
    succeeded(&place.fsct(&["run", "tiny.yaml"]));
    let run = place.run_folder();
    let report = |arguments: &[&str]| place.fsct(&[&["report"], arguments].concat());
    let folder = run.to_str().unwrap();

    // A folder of nothing, a file that is none, an output that is a folder.
    fs::create_dir(place.path().join("empty")).unwrap();
    for (arguments, word) in [
        (&["empty"][..], "not the folder of a run"),
        (&["absent"], "not the folder of a run"),
        (&[folder, "-o", "empty"], "is a folder"),
        (&[folder, "empty"], "not the folder of a run"),
    ] {
        let output = report(arguments);
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains(word), "{word}: {said}");
    }
    assert_eq!(fs::read_dir(place.path().join("empty")).unwrap().count(), 0);

    // A disk that is full.
    let full = Path::new("/dev/full");
    if full.exists() {
        let output = report(&[folder, "-o", "/dev/full"]);
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains("/dev/full"), "{said}");
    }

    // A killed run: its last line is cut, and there is neither a result nor what it kept for the page.
    let events = fs::read(run.join("events.jsonl")).unwrap();
    let lines: Vec<&[u8]> = events.split_inclusive(|it| *it == b'\n').collect();
    let steps = lines.iter().position(|it| it.starts_with(b"{\"event\":\"step\"")).unwrap() + 5;
    let cut = [&lines[..steps].concat()[..], b"garbage\n", &lines[steps][..40]].concat();
    fs::write(run.join("events.jsonl"), cut).unwrap();
    for name in ["metrics.json", "report.json", "report.html"] {
        fs::remove_file(run.join(name)).unwrap();
    }
    succeeded(&report(&[folder]));
    let page = self::page(run.join("report.html"));
    is_sound(&page);
    for gap in ["1 lines of events.jsonl", "is incomplete", "has not finished"] {
        assert!(page.contains(gap), "{gap}");
    }
    assert!(page.contains("Surest mistakes"), "its checkpoint was tested");

    // Without its data, and without a checkpoint.
    fs::rename(place.path().join("glyphs"), place.path().join("moved")).unwrap();
    fs::write(place.path().join("glyphs"), "in the way").unwrap();
    succeeded(&report(&[folder, "-o", "without_data.html"]));
    let page = self::page(place.path().join("without_data.html"));
    assert!(page.contains("the test and the features are missing:"), "why");
    fs::remove_dir_all(run.join("checkpoints")).unwrap();
    fs::write(run.join("metrics.json"), "{\"result\": 1}").unwrap();
    fs::write(run.join("report.json"), "{\"version\": 99}").unwrap();
    succeeded(&report(&[folder, "-o", "bare.html"]));
    let page = self::page(place.path().join("bare.html"));
    is_sound(&page);
    for gap in ["no checkpoint", "metrics.json cannot be read", "report.json cannot be read"] {
        assert!(page.contains(gap), "{gap}");
    }
    assert!(page.contains("id=\"loss-t\""), "the curves are there");
}
