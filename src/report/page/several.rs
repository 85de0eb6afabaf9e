//! Several runs side by side.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::chart::{Chart, Key, Mark, Table, Tick, tenth};
use super::novel::percent;
use super::pairs::{answers, pairs};
use super::plot::Plot;
use super::record::Record;
use super::training::curve;
use crate::config::Pipeline;
use crate::report::axis::{Axis, Unit};
use crate::report::series::Bucket;
use crate::report::table::{bytes, duration};
use crate::run::changes::changes;
use crate::run::evidence::TestEvidence;
use crate::run::statistics::Accuracy;

/// Keys that differ and have a column, and runs that have a colour.
const KEYS: usize = 8;
const COLOURS: usize = 10;

/// What is kept of a run for a comparison: not its steps.
#[derive(Debug)]
pub struct Overview {
    name: String,
    gaps: Vec<String>,
    text: String,
    pipeline: Option<Pipeline>,
    novel: Option<Accuracy>,
    validation: Option<String>,
    validations: Vec<[f64; 3]>,
    loss: Vec<Bucket>,
    last_loss: Option<f64>,
    seconds: Option<f64>,
    speed: Option<f64>,
    peak: (Option<u64>, Option<u64>),
    skipped: Option<usize>,
    answers: Option<(String, Vec<String>)>,
}

impl Overview {
    /// Keeps what a comparison shows.
    pub fn of(record: Record) -> Self {
        let result = record.metrics.as_ref().map(|it| &it.result);
        let best = result.and_then(|it| it.best_validation.as_ref());
        let cost = record.metrics.as_ref().map(|it| it.cost);
        let answers = |test: &TestEvidence| (test.asked.clone(), test.right.clone());
        Self {
            novel: record.novel(),
            validation: best.map(|it| format!("{} (epoch {})", it.accuracy, it.epoch)),
            validations: record
                .log
                .validated
                .iter()
                .map(|it| [it.epoch as f64, it.accuracy.mean, it.accuracy.ci95])
                .collect(),
            loss: curve(&record.log.steps, |it| it.loss),
            last_loss: result.and_then(|it| it.train_loss),
            seconds: cost.map(|it| it.seconds),
            speed: cost.map(|it| it.train_images_per_second),
            peak: record.peak(),
            skipped: result.map(|it| it.skipped_steps),
            answers: record.test().map(answers),
            name: record.name,
            gaps: record.gaps,
            text: record.text,
            pipeline: record.pipeline,
        }
    }
}

/// What a page says about several runs.
#[derive(Debug, Serialize)]
pub(super) struct Several {
    count: usize,
    summary: String,
    gaps: Vec<String>,
    /// Name and text of each.
    pipelines: Vec<[String; 2]>,
    table: Table,
    accuracies: Option<Chart>,
    curves: Vec<Chart>,
    /// Rows of the paired test: what is compared, difference, interval, bootstrap, McNemar, Holm.
    pairs: Vec<[String; 6]>,
    /// What the rows are, or why there are none.
    pairs_note: String,
    keys_note: String,
}

pub(super) fn section(runs: &[Overview]) -> Several {
    let ranked = ranking(runs).into_iter().map(|at| &runs[at]);
    let kept = ranked.filter_map(|run| {
        let (asked, right) = run.answers.as_ref()?;
        answers(&run.name, asked, right)
    });
    let (pairs, pairs_note) = pairs(&kept.collect::<Vec<_>>());
    let (table, keys_note) = table(runs);
    let gaps = runs.iter().flat_map(|run| run.gaps.iter().map(|it| format!("{}: {it}", run.name)));
    Several {
        count: runs.len(),
        summary: summary(runs),
        gaps: gaps.collect(),
        pipelines: runs.iter().map(|it| [it.name.clone(), it.text.clone()]).collect(),
        table,
        accuracies: accuracies(runs),
        curves: curves(runs),
        pairs,
        pairs_note,
        keys_note,
    }
}

/// Indices of the runs, the most accurate first.
fn ranking(runs: &[Overview]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..runs.len()).collect();
    let mean = |at: &usize| runs[*at].novel.map_or(-1.0, |it| it.mean);
    order.sort_by(|a, b| mean(b).total_cmp(&mean(a)));
    order
}

/// A row a run, with the keys in which they differ.
fn table(runs: &[Overview]) -> (Table, String) {
    let first = runs.iter().find_map(|it| it.pipeline.as_ref());
    let mut values: Vec<BTreeMap<String, String>> = Vec::new();
    let mut keys = BTreeSet::new();
    for run in runs {
        let differing = match (first, &run.pipeline) {
            (Some(first), Some(own)) => changes(first, own),
            _ => Vec::new(),
        };
        keys.extend(differing.iter().map(|it| it.key.clone()));
        values.push(differing.into_iter().map(|it| (it.key, word(&it.now))).collect());
    }
    // A run's own name tells runs apart already.
    keys.remove("name");
    let of_first: BTreeMap<String, String> = first
        .into_iter()
        .flat_map(|first| {
            runs.iter().filter_map(|it| it.pipeline.as_ref()).flat_map(|it| changes(first, it))
        })
        .map(|it| (it.key, word(&it.was)))
        .collect();
    let shown: Vec<&String> = keys.iter().take(KEYS).collect();
    let mut head = vec!["run".to_owned(), "novel accuracy".into()];
    head.extend(shown.iter().map(|it| (*it).clone()));
    head.extend(
        ["best validation", "last loss", "skipped", "time", "images/s", "peak", "predicted"]
            .map(Into::into),
    );
    let rows = ranking(runs).into_iter().map(|at| {
        let run = &runs[at];
        let or_dash = |text: Option<String>| text.unwrap_or_else(|| "–".into());
        let mut row = vec![run.name.clone(), or_dash(run.novel.map(|it| it.to_string()))];
        row.extend(shown.iter().map(|key| {
            let own = values[at].get(*key).or_else(|| of_first.get(*key));
            or_dash(own.cloned().filter(|_| run.pipeline.is_some()))
        }));
        row.extend([
            or_dash(run.validation.clone()),
            or_dash(run.last_loss.map(|it| format!("{it:.4}"))),
            or_dash(run.skipped.map(|it| it.to_string())),
            or_dash(run.seconds.map(duration)),
            or_dash(run.speed.map(|it| format!("{it:.0}"))),
            or_dash(run.peak.0.map(bytes)),
            or_dash(run.peak.1.map(bytes)),
        ]);
        row
    });
    let rows = rows.collect();
    let note = match keys.len().saturating_sub(KEYS) {
        0 => String::new(),
        more => {
            let rest: Vec<&str> = keys.iter().skip(KEYS).map(String::as_str).collect();
            format!("{more} more keys differ: {}.", rest.join(", "))
        }
    };
    (Table { head, rows }, note)
}

fn word(value: &serde_json::Value) -> String {
    match value {
        serde_json::Value::Null => "not set".into(),
        serde_json::Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// Accuracies with their intervals, a row each.
fn accuracies(runs: &[Overview]) -> Option<Chart> {
    let ranked: Vec<(&str, Accuracy)> = ranking(runs)
        .into_iter()
        .filter_map(|at| Some((runs[at].name.as_str(), runs[at].novel?)))
        .collect();
    if ranked.is_empty() {
        return None;
    }
    const ROW: f64 = 22.0;
    const WIDTH: f64 = 640.0;
    const LEFT: f64 = 230.0;
    let height = ROW * ranked.len() as f64 + 40.0;
    let ends = ranked.iter().flat_map(|(_, it)| [it.mean - it.ci95, it.mean + it.ci95]);
    let [low, high] = ends
        .fold([f64::INFINITY, f64::NEG_INFINITY], |[low, high], it| [low.min(it), high.max(it)]);
    let room = 0.08 * (high - low).max(0.01);
    let axis = Axis::exactly(low - room, high + room, Unit::Share, 5);
    let x = |value: f64| tenth(LEFT + axis.at(value) * (WIDTH - LEFT - 16.0));
    let mut marks = Vec::new();
    for (row, (name, accuracy)) in ranked.iter().enumerate() {
        let y = 12.0 + ROW * (row as f64 + 0.5);
        let (from, to) = (x(accuracy.mean - accuracy.ci95), x(accuracy.mean + accuracy.ci95));
        let text = shortened(name, 34);
        marks.push(Mark::Text { class: "row".into(), x: LEFT - 10.0, y: y + 4.0, text });
        marks.push(Mark::Path { class: "whisker c0".into(), d: format!("M{from} {y}H{to}") });
        let title = format!("{name}: {accuracy}");
        marks.push(Mark::Dot { class: "c0".into(), x: x(accuracy.mean), y, title });
    }
    let best = ranked[0];
    let rows = ranked.iter().map(|(name, it)| vec![(*name).to_owned(), it.to_string()]).collect();
    Some(Chart {
        id: "accuracies".into(),
        title: "Accuracy on novel classes, with 95 % intervals".into(),
        description: format!(
            "{} runs; the most accurate is {} with {}.",
            ranked.len(),
            best.0,
            best.1
        ),
        width: WIDTH,
        height,
        frame: [LEFT, 8.0, WIDTH - 16.0, height - 28.0],
        x_label: String::new(),
        x_ticks: axis
            .ticks
            .iter()
            .map(|(value, label)| Tick { at: x(*value), label: label.clone() })
            .collect(),
        y_ticks: Vec::new(),
        marks,
        legend: Vec::new(),
        table: Table { head: vec!["run".into(), "novel accuracy".into()], rows },
    })
}

/// A text with its middle left out where it is longer than `most`: the ends tell runs apart.
fn shortened(text: &str, most: usize) -> String {
    let letters: Vec<char> = text.chars().collect();
    if letters.len() <= most {
        return text.to_owned();
    }
    let (start, end) = ((most - 1) / 2, most / 2);
    let end = &letters[letters.len() - end..];
    letters[..start].iter().chain(['…'].iter()).chain(end).collect()
}

/// Loss and validation of all runs. The most accurate have colours, the others are grey.
fn curves(runs: &[Overview]) -> Vec<Chart> {
    let ranked = ranking(runs);
    let class = |rank: usize| if rank < COLOURS { format!("c{rank}") } else { "other".into() };
    let mut loss = Plot::new("losses", "Loss", Unit::Number);
    let mut validation = Plot::new("validations", "Validation accuracy", Unit::Share);
    let epochs = runs.iter().flat_map(|it| &it.validations).map(|it| it[0]).fold(1.0, f64::max);
    validation = validation.x("epoch", 1.0, epochs.max(2.0));
    // The best is drawn last, in front of the others.
    for (rank, at) in ranked.iter().enumerate().rev() {
        let run = &runs[*at];
        // Bands of several runs would hide each other.
        let line =
            run.loss.iter().map(|it| Bucket { low: it.mean, high: it.mean, ..*it }).collect();
        loss = loss.curve(&class(rank), &run.name, line);
        let means = run.validations.iter().map(|[x, mean, _]| {
            let (x, mean) = (*x, *mean);
            Bucket { x, mean, low: mean, high: mean }
        });
        validation = validation.curve(&class(rank), &run.name, means.collect());
    }
    let charts = [validation.finish(), loss.finish()];
    charts.into_iter().flatten().map(tidy).collect()
}

/// The legend from the best to the worst, and the grey ones as one.
fn tidy(mut chart: Chart) -> Chart {
    chart.legend.reverse();
    let grey = chart.legend.iter().filter(|it| it.class == "other").count();
    chart.legend.retain(|it| it.class != "other");
    if grey > 0 {
        chart
            .legend
            .push(Key { class: "other".into(), label: format!("{grey} less accurate runs") });
    }
    // A column a run would be no table any more.
    if chart.table.head.len() > COLOURS + 1 {
        chart.table = Table::default();
        chart.description =
            format!("Curves of {} runs.", chart.legend.len() - usize::from(grey > 0) + grey);
    }
    chart
}

/// The most accurate run, in words.
fn summary(runs: &[Overview]) -> String {
    let best = ranking(runs).into_iter().find_map(|at| Some((&runs[at].name, runs[at].novel?)));
    best.map_or(String::new(), |(name, accuracy)| {
        format!("The most accurate is {name} with {}.", percent(accuracy.mean))
    })
}
