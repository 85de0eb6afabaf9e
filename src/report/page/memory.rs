//! The predicted memory over a training step, as a stack of its uses.

use super::chart::{Chart, Key, Mark, Table, Tick, path, tenth};
use super::record::Record;
use crate::report::axis::{Axis, Unit};
use crate::report::table::bytes;
use crate::run::evidence::MemoryCourse;

const WIDTH: f64 = 860.0;
const HEIGHT: f64 = 340.0;
const LEFT: f64 = 70.0;
const RIGHT: f64 = 14.0;
const TOP: f64 = 34.0;
const BOTTOM: f64 = 16.0;
/// Least width of a part whose name is written.
const NAMED: f64 = 62.0;

pub(super) fn chart(record: &Record) -> Option<Chart> {
    let course = &record.evidence.as_ref()?.memory;
    let moments = course.bytes.first().map_or(0, Vec::len);
    if moments == 0 {
        return None;
    }
    // Sums over the uses below and including each.
    let mut sums: Vec<Vec<u64>> = Vec::new();
    for held in &course.bytes {
        let below = sums.last().cloned().unwrap_or_else(|| vec![0; moments]);
        sums.push(below.iter().zip(held).map(|(below, held)| below + held).collect());
    }
    let total = sums.last()?;
    let (at, peak) = total.iter().enumerate().max_by_key(|(_, bytes)| **bytes)?;
    let budget = record.pipeline.as_ref().and_then(|it| it.memory.budget).map(|it| it.0);
    let (measured, _) = record.peak();
    let rules = [("c3", "measured peak", measured), ("c4", "budget", budget)];
    let rules = || rules.iter().filter_map(|(class, label, size)| Some((*class, *label, (*size)?)));
    // A budget far above everything would leave the picture flat.
    let rules = || rules().filter(|(.., size)| *size <= 3 * peak);
    let values = std::iter::once(0.0).chain([*peak as f64]).chain(rules().map(|it| it.2 as f64));
    let axis = Axis::of(values, Unit::Bytes, 5);
    let step = (WIDTH - LEFT - RIGHT) / moments as f64;
    let x = |moment: usize| tenth(LEFT + moment as f64 * step);
    let y = |value: u64| tenth(HEIGHT - BOTTOM - axis.at(value as f64) * (HEIGHT - TOP - BOTTOM));
    let mut marks = Vec::new();
    for (at, above) in sums.iter().enumerate() {
        let below = at.checked_sub(1).map(|at| &sums[at]);
        // A step for each moment.
        let edge = |sum: &[u64]| -> Vec<(f64, f64)> {
            let steps = sum.iter().enumerate();
            steps.flat_map(|(at, bytes)| [(x(at), y(*bytes)), (x(at + 1), y(*bytes))]).collect()
        };
        let floor = match below {
            Some(below) => edge(below),
            None => vec![(x(0), y(0)), (x(moments), y(0))],
        };
        let d = path(edge(above).into_iter().chain(floor.into_iter().rev())) + "Z";
        marks.push(Mark::Path { class: format!("stack u{at}"), d });
    }
    let mut from = 0;
    for part in &course.parts {
        let d = format!("M{} {}V{}", x(from), TOP - 16.0, HEIGHT - BOTTOM);
        marks.push(Mark::Path { class: "divider".into(), d });
        if part.moments as f64 * step > NAMED {
            let text = part.name.clone();
            marks.push(Mark::Text { class: "part".into(), x: x(from) + 4.0, y: TOP - 8.0, text });
        }
        from += part.moments;
    }
    for (class, _, size) in rules() {
        let d = format!("M{LEFT} {}H{}", y(size), WIDTH - RIGHT);
        marks.push(Mark::Path { class: format!("rule {class}"), d });
    }
    let uses = course.uses.iter().enumerate();
    let key = |class, label| Key { class, label };
    let mut legend: Vec<Key> =
        uses.map(|(at, name)| key(format!("fill u{at}"), name.clone())).collect();
    legend.extend(rules().map(|(class, label, size)| {
        key(format!("dashed {class}"), format!("{label} {}", bytes(size)))
    }));
    let part = part_of(course, at);
    let parts: Vec<String> = course
        .uses
        .iter()
        .zip(&course.bytes)
        .filter(|(_, held)| held[at] > 0)
        .map(|(name, held)| format!("{name} {}", bytes(held[at])))
        .collect();
    Some(Chart {
        id: "course".into(),
        title: "Predicted memory over one training step".into(),
        description: format!(
            "Allocation by allocation, from left to right. The peak of {} is in the part “{part}”: {}.",
            bytes(*peak),
            parts.join(", ")
        ),
        width: WIDTH,
        height: HEIGHT,
        frame: [LEFT, TOP, WIDTH - RIGHT, HEIGHT - BOTTOM],
        x_label: String::new(),
        x_ticks: Vec::new(),
        y_ticks: axis
            .ticks
            .iter()
            .map(|(value, label)| Tick { at: y(*value as u64), label: label.clone() })
            .collect(),
        marks,
        legend,
        table: table(course, total),
    })
}

/// The part that a moment belongs to.
fn part_of(course: &MemoryCourse, moment: usize) -> &str {
    let mut end = 0;
    let part = course.parts.iter().find(|part| {
        end += part.moments;
        moment < end
    });
    part.map_or("", |part| part.name.as_str())
}

/// The moment with the most bytes of each part.
fn table(course: &MemoryCourse, total: &[u64]) -> Table {
    let mut head = vec!["part".to_owned()];
    head.extend(course.uses.iter().cloned());
    head.push("sum".into());
    let (mut rows, mut from) = (Vec::new(), 0);
    for part in &course.parts {
        let most = (from..from + part.moments).max_by_key(|at| total[*at]);
        from += part.moments;
        let Some(at) = most else { continue };
        let mut row = vec![part.name.clone()];
        row.extend(course.bytes.iter().map(|held| bytes(held[at])));
        row.push(bytes(total[at]));
        rows.push(row);
    }
    Table { head, rows }
}
