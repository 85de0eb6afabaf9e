//! The page of one run.

use serde::Serialize;

use super::chart::Chart;
use super::features::{self, Features};
use super::memory;
use super::novel::{self, Novel, percent};
use super::record::Record;
use super::training;
use crate::report::log::Remark;
use crate::report::table::{bytes, duration};

/// Everything on the page.
#[derive(Debug, Serialize)]
pub(super) struct One {
    name: String,
    title: String,
    /// The model and the episodes, in words.
    subtitle: String,
    facts: Vec<Fact>,
    gaps: Vec<String>,
    charts: Vec<Chart>,
    novel: Option<Novel>,
    features: Option<Features>,
    memory: Option<Chart>,
    remarks: Vec<Remark>,
    pipeline: String,
}

/// A number that matters.
#[derive(Debug, Serialize)]
struct Fact {
    label: &'static str,
    value: String,
    detail: String,
    is_first: bool,
}

pub(super) fn section(record: &Record) -> One {
    let title = match &record.pipeline {
        Some(pipeline) => pipeline.name.clone(),
        None => record.name.clone(),
    };
    let mut gaps = record.gaps.clone();
    if record.evidence.is_none() {
        gaps.push(
            "without report.json there are no images, no features and no memory over a step".into(),
        );
    }
    One {
        name: record.name.clone(),
        title,
        subtitle: subtitle(record),
        facts: facts(record),
        gaps,
        charts: training::charts(record),
        novel: novel::section(record),
        features: record
            .evidence
            .as_ref()
            .and_then(|it| it.features.as_ref())
            .map(features::section),
        memory: memory::chart(record),
        remarks: record.log.remarks.clone(),
        pipeline: record.text.clone(),
    }
}

/// `profoct on resnet18, 5-way 5-shot, seed 4040, cpu, fsct 0.1.0`
fn subtitle(record: &Record) -> String {
    let mut parts = Vec::new();
    if let Some(pipeline) = &record.pipeline {
        let word = |value: serde_json::Result<serde_json::Value>| {
            value.ok().and_then(|it| it.as_str().map(str::to_owned)).unwrap_or_default()
        };
        let method = word(serde_json::to_value(pipeline.method.kind));
        let backbone = word(serde_json::to_value(pipeline.backbone.kind));
        let episode = pipeline.test_episode();
        parts.push(format!("{method} on {backbone}, {} px", pipeline.data.image_size));
        parts.push(format!("{}-way {}-shot", episode.n_way, episode.k_shot));
        parts.push(format!("seed {}", pipeline.seed));
    }
    if let Some(started) = &record.log.started {
        parts.push(started.device.clone());
        parts.push(format!("fsct {}", started.version));
    }
    parts.join(" · ")
}

fn facts(record: &Record) -> Vec<Fact> {
    let mut facts = Vec::new();
    let mut fact = |label, value: String, detail: String| {
        let is_first = facts.is_empty();
        facts.push(Fact { label, value, detail, is_first });
    };
    if let Some(novel) = record.novel() {
        let tested = record.metrics.as_ref().and_then(|it| it.result.tested.clone());
        let tested = tested.or_else(|| record.test().map(|it| it.checkpoint.clone()));
        let tested = tested.map_or(String::new(), |it| format!(", {it} checkpoint"));
        let value = format!("{:.2} ± {:.2} %", 100.0 * novel.mean, 100.0 * novel.ci95);
        fact("novel accuracy", value, format!("{} episodes{tested}", novel.episodes));
    }
    let result = record.metrics.as_ref().map(|it| &it.result);
    if let Some(best) = result.and_then(|it| it.best_validation.as_ref()) {
        fact("best validation", best.accuracy.to_string(), format!("epoch {}", best.epoch));
    }
    if let Some(result) = result
        && let (Some(loss), Some(accuracy)) = (result.train_loss, result.train_accuracy)
    {
        let detail = format!("{} in training", percent(accuracy));
        fact("loss of the last epoch", format!("{loss:.4}"), detail);
    }
    if let Some(scores) = record.scores() {
        let at = scores.calibrated.map_or(String::new(), |it| {
            format!("{:.2} % at temperature {:.2}", 100.0 * it.ece, it.temperature)
        });
        fact("calibration error", format!("{:.2} %", 100.0 * scores.ece), at);
    }
    if let (Some(peak), predicted) = record.peak() {
        let detail = predicted.map_or(String::new(), |it| format!("{} predicted", bytes(it)));
        fact("peak memory", bytes(peak), detail);
    }
    if let Some(cost) = record.metrics.as_ref().map(|it| it.cost) {
        let detail = format!("{:.0} images/s in training", cost.train_images_per_second);
        fact("time", duration(cost.seconds), detail);
    }
    let steps = record.log.steps.len();
    let skipped = record.log.steps.iter().filter(|it| it.skipped).count();
    if steps > 0 {
        let detail = match skipped {
            0 => "none skipped".to_owned(),
            count => format!("{count} skipped"),
        };
        fact("steps", steps.to_string(), detail);
    }
    if let Some(started) = &record.log.started {
        fact("trained parameters", grouped(started.parameters), String::new());
    }
    facts
}

/// `1 234 567`, with narrow spaces.
fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let first = digits.len() % 3;
    let (start, rest) = digits.split_at(first);
    let groups = rest.as_bytes().chunks(3).map(|it| String::from_utf8_lossy(it).into_owned());
    let all = Some(start.to_owned()).filter(|it| !it.is_empty()).into_iter().chain(groups);
    all.collect::<Vec<_>>().join("\u{202f}")
}

#[cfg(test)]
mod tests {
    use super::grouped;

    #[test]
    fn long_numbers_are_grouped() {
        let all = [7, 123, 1234, 1_234_567].map(grouped);
        assert_eq!(all, ["7", "123", "1\u{202f}234", "1\u{202f}234\u{202f}567"]);
    }
}
