//! Features of novel images: maps and health.

use serde::Serialize;

use super::chart::{Chart, Mark, Table, path, tenth};
use super::novel::percent;
use super::plot::Plot;
use crate::report::axis::{Axis, Unit, number};
use crate::report::series::shorten;
use crate::run::evidence::{FeatureEvidence, FeatureHealth};

/// What a page says about features.
#[derive(Debug, Serialize)]
pub(super) struct Features {
    images: usize,
    classes: Vec<Class>,
    maps: Vec<Chart>,
    spectrum: Option<Chart>,
    health: Vec<Fact>,
}

#[derive(Debug, Serialize)]
struct Class {
    name: String,
    colour: String,
    /// The mark of the class, drawn around 8, 8.
    d: String,
}

/// A number, and what it means.
#[derive(Debug, Serialize)]
struct Fact {
    name: &'static str,
    value: String,
    meaning: &'static str,
}

const SIDE: f64 = 380.0;
const ROOM: f64 = 14.0;

pub(super) fn section(features: &FeatureEvidence) -> Features {
    let shares = features.pca_shares.map(percent);
    let pca = format!("Principal components ({} and {} of the variance)", shares[0], shares[1]);
    let mut maps = vec![map("pca", &pca, features, &features.pca)];
    if !features.tsne.is_empty() {
        maps.push(map(
            "tsne",
            "t-SNE (distances between groups mean little)",
            features,
            &features.tsne,
        ));
    }
    let classes = features.classes.iter().enumerate().map(|(at, name)| Class {
        name: name.clone(),
        colour: format!("c{at}"),
        d: mark(at, 8.0, 8.0),
    });
    let spectrum = features.health.spectrum.iter().enumerate();
    let spectrum = shorten(spectrum.map(|(at, share)| (at as f64 + 1.0, *share)));
    let count = features.health.spectrum.len().max(2) as f64;
    Features {
        images: features.labels.len(),
        classes: classes.collect(),
        maps,
        spectrum: Plot::new("spectrum", "Share of the variance by component", Unit::Share)
            .x("component", 1.0, count)
            .curve("c0", "share of the variance", spectrum)
            .finish(),
        health: health(&features.health),
    }
}

fn health(health: &FeatureHealth) -> Vec<Fact> {
    let ratio = match health.between > 0.0 {
        true => number(health.within / health.between),
        false => "–".into(),
    };
    vec![
        Fact {
            name: "dead dimensions",
            value: format!("{} of {}", percent(health.dead), health.dimensions),
            meaning: "hardly vary between images; the variance term is against them",
        },
        Fact {
            name: "effective rank",
            value: format!("{:.1} of {}", health.effective_rank, health.greatest_rank),
            meaning: "directions that features use; the covariance term raises it",
        },
        Fact {
            name: "distance within a class",
            value: number(health.within),
            meaning: "of an image to the mean of its class; the invariance term lowers it",
        },
        Fact {
            name: "distance between classes",
            value: number(health.between),
            meaning: "of the means of two classes",
        },
        Fact {
            name: "within / between",
            value: ratio,
            meaning: "lower is easier to classify, whatever the scale of the features",
        },
    ]
}

/// A mark around a point: another shape for every class beside its colour.
fn mark(class: usize, x: f64, y: f64) -> String {
    let at = |dx: f64, dy: f64| (tenth(x + dx), tenth(y + dy));
    match class % 5 {
        0 => {
            let (left, top) = at(-3.5, 0.0);
            format!("M{left} {top}a3.5 3.5 0 1 0 7 0a3.5 3.5 0 1 0 -7 0Z")
        }
        1 => path([at(0.0, -4.4), at(4.1, 3.0), at(-4.1, 3.0)].into_iter()) + "Z",
        2 => path([at(-3.2, -3.2), at(3.2, -3.2), at(3.2, 3.2), at(-3.2, 3.2)].into_iter()) + "Z",
        3 => path([at(0.0, -4.6), at(4.6, 0.0), at(0.0, 4.6), at(-4.6, 0.0)].into_iter()) + "Z",
        _ => path([at(-4.1, -3.0), at(4.1, -3.0), at(0.0, 4.4)].into_iter()) + "Z",
    }
}

fn map(id: &str, title: &str, features: &FeatureEvidence, points: &[[f64; 2]]) -> Chart {
    let axis = |at: usize| {
        let ends = points.iter().map(|it| it[at]).filter(|it| it.is_finite());
        let [low, high] = ends.fold([f64::INFINITY, f64::NEG_INFINITY], |[low, high], it| {
            [low.min(it), high.max(it)]
        });
        Axis::exactly(low, high, Unit::Number, 4)
    };
    let (x_axis, y_axis) = (axis(0), axis(1));
    let place = |axis: &Axis, value: f64| ROOM + axis.at(value) * (SIDE - 2.0 * ROOM);
    // A path a class: one point alone would take ten times the bytes.
    let marks = (0..features.classes.len()).map(|class| {
        let own = points.iter().zip(&features.labels).filter(|(_, label)| **label == class);
        let d = own
            .map(|([x, y], _)| mark(class, place(&x_axis, *x), SIDE - place(&y_axis, *y)))
            .collect();
        Mark::Path { class: format!("mark c{class}"), d }
    });
    let rows = features.classes.iter().enumerate().map(|(class, name)| {
        let own: Vec<&[f64; 2]> = points
            .iter()
            .zip(&features.labels)
            .filter(|(_, label)| **label == class)
            .map(|(point, _)| point)
            .collect();
        let mean = |at: usize| own.iter().map(|it| it[at]).sum::<f64>() / own.len().max(1) as f64;
        vec![name.clone(), own.len().to_string(), number(mean(0)), number(mean(1))]
    });
    let head = ["class", "images", "mean x", "mean y"].map(Into::into).to_vec();
    Chart {
        id: id.into(),
        title: title.into(),
        description: format!(
            "{} images of {} novel classes as points; images of one class have one colour and one shape.",
            points.len(),
            features.classes.len()
        ),
        width: SIDE,
        height: SIDE,
        frame: [0.5, 0.5, SIDE - 0.5, SIDE - 0.5],
        x_label: String::new(),
        x_ticks: Vec::new(),
        y_ticks: Vec::new(),
        marks: marks.collect(),
        legend: Vec::new(),
        table: Table { head, rows: rows.collect() },
    }
}
