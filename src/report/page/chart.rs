//! A chart: the marks of an SVG picture, its description, and a table of its values.

use std::fmt::Write;

use serde::Serialize;

/// A picture, its words and its table, as the template draws it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Chart {
    pub id: String,
    pub title: String,
    /// What the picture shows, in words.
    pub description: String,
    pub width: f64,
    pub height: f64,
    /// The rectangle of the plot: left, top, right, bottom.
    pub frame: [f64; 4],
    pub x_label: String,
    pub x_ticks: Vec<Tick>,
    pub y_ticks: Vec<Tick>,
    pub marks: Vec<Mark>,
    pub legend: Vec<Key>,
    pub table: Table,
}

/// A number at an axis.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Tick {
    pub at: f64,
    pub label: String,
}

/// A colour and what it means.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Key {
    pub class: String,
    pub label: String,
}

/// What is drawn, from back to front.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(super) enum Mark {
    /// A line or an area, as its class says.
    Path {
        class: String,
        d: String,
    },
    Dot {
        class: String,
        x: f64,
        y: f64,
        title: String,
    },
    Text {
        class: String,
        x: f64,
        y: f64,
        text: String,
    },
}

/// The values of a picture, for those who cannot see it.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub(super) struct Table {
    pub head: Vec<String>,
    pub rows: Vec<Vec<String>>,
}

/// A path through points.
pub(super) fn path(points: impl Iterator<Item = (f64, f64)>) -> String {
    let mut d = String::new();
    for (at, (x, y)) in points.enumerate() {
        let _ = write!(d, "{}{x} {y}", if at == 0 { "M" } else { "L" });
    }
    d
}

/// A tenth of a unit is less than a pixel.
pub(super) fn tenth(value: f64) -> f64 {
    (10.0 * value).round() / 10.0
}
