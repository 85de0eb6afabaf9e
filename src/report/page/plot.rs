//! Series of values → a chart.

use std::fmt::Write;

use super::chart::{Chart, Key, Mark, Table, Tick, path, tenth};
use crate::report::axis::{Axis, Unit, number};
use crate::report::series::Bucket;

/// Size of a chart, and the room around its plot, in units of its picture.
const WIDTH: f64 = 520.0;
const HEIGHT: f64 = 236.0;
const LEFT: f64 = 62.0;
const RIGHT: f64 = 14.0;
const TOP: f64 = 10.0;
const BOTTOM: f64 = 38.0;
/// Rows of the table of a chart's values.
const ROWS: usize = 16;

/// A chart in the making.
pub(super) struct Plot {
    id: String,
    title: String,
    unit: Unit,
    x_label: String,
    x_range: Option<[f64; 2]>,
    curves: Vec<Curve>,
    points: Vec<Points>,
    rules: Vec<Rule>,
    marked: Vec<f64>,
    marked_label: String,
}

struct Curve {
    class: String,
    label: String,
    buckets: Vec<Bucket>,
}

/// Values with intervals: x, value, half-width.
struct Points {
    class: String,
    label: String,
    values: Vec<[f64; 3]>,
}

/// A horizontal line at a value.
struct Rule {
    class: String,
    label: String,
    value: f64,
}

impl Plot {
    pub fn new(id: impl Into<String>, title: impl Into<String>, unit: Unit) -> Self {
        Self {
            id: id.into(),
            title: title.into(),
            unit,
            x_label: "step".into(),
            x_range: None,
            curves: Vec::new(),
            points: Vec::new(),
            rules: Vec::new(),
            marked: Vec::new(),
            marked_label: String::new(),
        }
    }

    /// The label and the ends of the horizontal axis.
    pub fn x(mut self, label: &str, low: f64, high: f64) -> Self {
        self.x_label = label.into();
        self.x_range = Some([low, high]);
        self
    }

    /// Adds a curve; one without points is left out.
    pub fn curve(mut self, class: &str, label: &str, buckets: Vec<Bucket>) -> Self {
        if !buckets.is_empty() {
            self.curves.push(Curve { class: class.into(), label: label.into(), buckets });
        }
        self
    }

    /// Adds values with intervals, joined by a line.
    pub fn points(mut self, class: &str, label: &str, values: Vec<[f64; 3]>) -> Self {
        if !values.is_empty() {
            self.points.push(Points { class: class.into(), label: label.into(), values });
        }
        self
    }

    /// Adds a horizontal line.
    pub fn rule(mut self, class: &str, label: String, value: Option<f64>) -> Self {
        let rule = |value| Rule { class: class.into(), label, value };
        self.rules.extend(value.map(rule));
        self
    }

    /// Marks places of the horizontal axis.
    pub fn marked(mut self, label: &str, places: Vec<f64>) -> Self {
        self.marked = places;
        self.marked_label = label.into();
        self
    }

    /// The chart; `None` where nothing is drawn.
    pub fn finish(self) -> Option<Chart> {
        if self.curves.is_empty() && self.points.is_empty() {
            return None;
        }
        let [low, high] = self.x_range.unwrap_or_else(|| self.x_ends());
        let x_axis = Axis::exactly(low, high, Unit::Number, 5);
        let y_axis = Axis::of(self.values(), self.unit, 4);
        let x = |value: f64| tenth(LEFT + x_axis.at(value) * (WIDTH - LEFT - RIGHT));
        let y = |value: f64| tenth(HEIGHT - BOTTOM - y_axis.at(value) * (HEIGHT - TOP - BOTTOM));
        let mut marks = Vec::new();
        for place in &self.marked {
            let d = format!("M{} {TOP}V{}", x(*place), HEIGHT - BOTTOM);
            marks.push(Mark::Path { class: "marked".into(), d });
        }
        for Curve { class, buckets, .. } in &self.curves {
            if buckets.iter().any(|it| it.high > it.low) {
                let high = buckets.iter().map(|it| (x(it.x), y(it.high)));
                let low = buckets.iter().rev().map(|it| (x(it.x), y(it.low)));
                let d = path(high.chain(low)) + "Z";
                marks.push(Mark::Path { class: format!("band {class}"), d });
            }
        }
        for Curve { class, buckets, .. } in &self.curves {
            let d = path(buckets.iter().map(|it| (x(it.x), y(it.mean))));
            marks.push(Mark::Path { class: format!("line {class}"), d });
        }
        for Points { class, label, values } in &self.points {
            let d = path(values.iter().map(|[at, value, _]| (x(*at), y(*value))));
            marks.push(Mark::Path { class: format!("line {class}"), d });
            let whiskers = values.iter().filter(|[_, _, half]| *half > 0.0);
            let d: String = whiskers
                .map(|[at, value, half]| {
                    format!("M{} {}V{}", x(*at), y(value - half), y(value + half))
                })
                .collect();
            marks.push(Mark::Path { class: format!("whisker {class}"), d });
            marks.extend(values.iter().map(|[at, value, half]| {
                let interval = match *half > 0.0 {
                    true => format!(" ± {}", self.unit.text(*half)),
                    false => String::new(),
                };
                let title = format!(
                    "{label}, {} {}: {}{interval}",
                    self.x_label,
                    number(*at),
                    self.unit.text(*value)
                );
                Mark::Dot { class: class.clone(), x: x(*at), y: y(*value), title }
            }));
        }
        for Rule { class, value, .. } in &self.rules {
            let d = format!("M{LEFT} {}H{}", y(*value), WIDTH - RIGHT);
            marks.push(Mark::Path { class: format!("rule {class}"), d });
        }
        let tick = |at: f64, label: &String| Tick { at, label: label.clone() };
        Some(Chart {
            description: self.description(),
            legend: self.legend(),
            table: self.table(),
            id: self.id,
            title: self.title,
            width: WIDTH,
            height: HEIGHT,
            frame: [LEFT, TOP, WIDTH - RIGHT, HEIGHT - BOTTOM],
            x_ticks: x_axis.ticks.iter().map(|(at, label)| tick(x(*at), label)).collect(),
            y_ticks: y_axis.ticks.iter().map(|(at, label)| tick(y(*at), label)).collect(),
            x_label: self.x_label,
            marks,
        })
    }

    fn x_ends(&self) -> [f64; 2] {
        let of_curves = self.curves.iter().flat_map(|it| &it.buckets).map(|it| it.x);
        let of_points = self.points.iter().flat_map(|it| &it.values).map(|it| it[0]);
        of_curves
            .chain(of_points)
            .fold([f64::INFINITY, f64::NEG_INFINITY], |[low, high], it| [low.min(it), high.max(it)])
    }

    fn values(&self) -> impl Iterator<Item = f64> {
        let of_curves =
            self.curves.iter().flat_map(|it| &it.buckets).flat_map(|it| [it.low, it.high]);
        let of_points = self.points.iter().flat_map(|it| &it.values);
        of_curves
            .chain(of_points.flat_map(|[_, value, half]| [value - half, value + half]))
            .chain(self.rules.iter().map(|it| it.value))
    }

    fn legend(&self) -> Vec<Key> {
        let key =
            |class: &String, label: &String| Key { class: class.clone(), label: label.clone() };
        let curves = self.curves.iter().map(|it| key(&it.class, &it.label));
        let points = self.points.iter().map(|it| key(&it.class, &it.label));
        let rules = self.rules.iter().map(|it| key(&format!("dashed {}", it.class), &it.label));
        let mut keys: Vec<Key> = curves.chain(points).chain(rules).collect();
        if !self.marked.is_empty() {
            keys.push(Key { class: "tick".into(), label: self.marked_label.clone() });
        }
        // A single one has the name of the chart.
        if keys.len() == 1 { Vec::new() } else { keys }
    }

    fn description(&self) -> String {
        let mut text = String::new();
        let of_curves = self.curves.iter().map(|it| {
            let ends = (it.buckets.first(), it.buckets.last());
            let least = it.buckets.iter().map(|it| it.low).fold(f64::INFINITY, f64::min);
            let most = it.buckets.iter().map(|it| it.high).fold(f64::NEG_INFINITY, f64::max);
            (
                &it.label,
                ends.0.map(|it| (it.x, it.mean)),
                ends.1.map(|it| (it.x, it.mean)),
                least,
                most,
            )
        });
        let of_points = self.points.iter().map(|it| {
            let values = || it.values.iter().map(|it| it[1]);
            let end = |it: Option<&[f64; 3]>| it.map(|it| (it[0], it[1]));
            let (least, most) = (f64::INFINITY, f64::NEG_INFINITY);
            let (least, most) = (values().fold(least, f64::min), values().fold(most, f64::max));
            (&it.label, end(it.values.first()), end(it.values.last()), least, most)
        });
        for (label, first, last, least, most) in of_curves.chain(of_points) {
            let (Some(first), Some(last)) = (first, last) else { continue };
            let _ = write!(
                text,
                "{label}: {} at {x} {}, {} at {x} {}; from {} to {}. ",
                self.unit.text(first.1),
                number(first.0),
                self.unit.text(last.1),
                number(last.0),
                self.unit.text(least),
                self.unit.text(most),
                x = self.x_label,
            );
        }
        for Rule { label, value, .. } in &self.rules {
            let _ = write!(text, "{label}: {}. ", self.unit.text(*value));
        }
        if !self.marked.is_empty() {
            let _ = write!(text, "{} {}. ", self.marked.len(), self.marked_label);
        }
        text.trim_end().to_owned()
    }

    /// Values at a few places of each curve, or all of few.
    fn table(&self) -> Table {
        let longest = self.curves.iter().max_by_key(|it| it.buckets.len());
        let mut head = vec![self.x_label.clone()];
        let mut rows = Vec::new();
        if let Some(longest) = longest {
            head.extend(self.curves.iter().map(|it| it.label.clone()));
            let count = longest.buckets.len();
            let shown = count.min(ROWS);
            for row in 0..shown {
                let x = longest.buckets[(row * (count - 1)) / (shown - 1).max(1)].x;
                let near = |curve: &Curve| {
                    let at = curve.buckets.partition_point(|it| it.x < x);
                    let bucket = curve.buckets.get(at).or(curve.buckets.last());
                    bucket.map_or(String::new(), |it| self.unit.text(it.mean))
                };
                rows.push(std::iter::once(number(x)).chain(self.curves.iter().map(near)).collect());
            }
        }
        for points in &self.points {
            let every = points.values.len().div_ceil(2 * ROWS);
            for [x, value, half] in points.values.iter().step_by(every.max(1)) {
                let mut row = vec![String::new(); head.len()];
                row[0] = number(*x);
                row.push(format!("{} ± {}", self.unit.text(*value), self.unit.text(*half)));
                rows.push(row);
            }
            rows.iter_mut().for_each(|row| row.resize(head.len() + 1, String::new()));
            head.push(points.label.clone());
        }
        Table { head, rows }
    }
}
