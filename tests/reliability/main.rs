//! Nothing is lost and nothing is silent: divergence, resuming, forking, locks, signals, pipes.
#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

#[path = "../common/mod.rs"]
mod common;
mod divergence;
mod models;
mod resuming;
mod writing;

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;

use common::workplace::{Workplace, result, text};

const PIPELINE: &str = "
version: 1
name: tiny
seed: 11
device: cpu
data: {format: synthetic, image_size: 16}
episode: {n_way: 3, k_shot: 1, n_query: 2}
backbone: {kind: conv4s}
method: {kind: fsct, heads: 2, dim_head: 8, mlp_dim: 16}
train: {epochs: 2, episodes_per_epoch: 6}
validate: {episodes: 3}
test: {episodes: 4}
";

/// A folder with a finished run, whose folder is returned.
fn with_run(settings: &[&str]) -> (Workplace, PathBuf) {
    let place = Workplace::new(PIPELINE);
    let mut arguments = vec!["run", "tiny.yaml", "-q"];
    settings.iter().for_each(|set| arguments.extend(["--set", set]));
    let output = place.fsct(&arguments);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let run = place.run_folder();
    (place, run)
}

fn said(output: &Output) -> String {
    text(&output.stdout) + &text(&output.stderr)
}

/// Words without the frame and the line ends that a diagnostic is printed with.
fn words(output: &Output) -> String {
    said(output)
        .replace(['│', '×', '╰', '─', '▶'], " ")
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
}

fn events(run: &Path) -> Vec<Value> {
    let text = fs::read_to_string(run.join("events.jsonl")).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn name(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[cfg(unix)]
fn send(signal: &str, child: &Child) {
    let sent = Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap();
    assert!(sent.success());
}

/// Twelve small pictures a split, all different.
fn draw_data_set(root: &Path) {
    for (number, split) in ["train", "val", "test"].iter().enumerate() {
        for class in 0..3 {
            let folder = root.join(split).join(format!("{split}_{class}"));
            fs::create_dir_all(&folder).unwrap();
            for at in 0..4 {
                let shade = (number * 12 + class * 4 + at) as u8 * 7;
                let picture = image::RgbImage::from_fn(16, 16, |x, y| {
                    image::Rgb([shade, (x * 16) as u8, (y as u8 * 16) ^ shade])
                });
                picture.save(folder.join(format!("{at}.png"))).unwrap();
            }
        }
    }
}
