//! The test on novel classes: scores by class, confusions, and images of what went wrong.

use std::collections::BTreeSet;

use serde::Serialize;

use super::chart::tenth;
use super::record::Record;
use crate::run::evidence::{Mistake, TakenFor, WorstClass};
use crate::run::score::{ClassScore, Scores};

/// Classes of the table, and of the picture of confusions.
const ROWS: usize = 20;
const CLASSES: usize = 30;

/// What a page says about the test.
#[derive(Debug, Serialize)]
pub(super) struct Novel {
    classes: usize,
    rows: Vec<Row>,
    matrix: Option<Matrix>,
    worst: Vec<Worst>,
    mistakes: Vec<Wrong>,
    calibration: String,
}

/// Scores of a class, as text.
#[derive(Debug, Serialize)]
struct Row {
    class: String,
    queries: usize,
    precision: String,
    recall: String,
    f1: String,
}

/// The picture of confusions: a row for each true class, a column for each predicted one.
#[derive(Debug, Serialize)]
struct Matrix {
    /// Classes that are drawn, in the order of the rows.
    classes: Vec<String>,
    /// Whether these are the most confused of more.
    is_part: bool,
    width: f64,
    height: f64,
    left: f64,
    top: f64,
    side: f64,
    cells: Vec<Cell>,
    /// The pairs that are confused most, in words: true class, predicted class, queries, share.
    pairs: Vec<[String; 4]>,
}

#[derive(Debug, Serialize)]
struct Cell {
    x: f64,
    y: f64,
    /// From 0 to 1.
    shade: f64,
    is_right: bool,
    title: String,
}

#[derive(Debug, Serialize)]
struct Worst {
    class: WorstClass,
    recall: String,
    f1: String,
    /// `12 of 80 queries`
    taken_for: Option<(TakenFor, String)>,
}

#[derive(Debug, Serialize)]
struct Wrong {
    mistake: Mistake,
    probability: String,
    times: String,
}

/// The section, of a run that was tested.
pub(super) fn section(record: &Record) -> Option<Novel> {
    let scores = record.scores()?;
    let mut classes: Vec<(&String, &ClassScore)> = scores.classes.iter().collect();
    classes.sort_by(|a, b| a.1.f1.total_cmp(&b.1.f1));
    let rows = classes.iter().take(ROWS).map(|(name, score)| Row {
        class: (*name).clone(),
        queries: score.queries,
        precision: score.precision.map_or("–".into(), percent),
        recall: percent(score.recall),
        f1: percent(score.f1),
    });
    let test = record.test();
    let worst = test.into_iter().flat_map(|it| &it.worst).filter_map(|worst| {
        let score = scores.classes.get(&worst.class)?;
        let taken_for = worst.taken_for.clone().map(|it| {
            let text = format!("{} of {} queries", it.queries, score.queries);
            (it, text)
        });
        let (recall, f1) = (percent(score.recall), percent(score.f1));
        Some(Worst { class: worst.clone(), recall, f1, taken_for })
    });
    let mistakes = test.into_iter().flat_map(|it| &it.mistakes).map(|mistake| Wrong {
        mistake: mistake.clone(),
        probability: percent(mistake.probability),
        times: match mistake.times {
            1 => "in one episode".into(),
            times => format!("in {times} episodes"),
        },
    });
    let calibrated = scores.calibrated.map_or(String::new(), |it| {
        format!(", {} at temperature {:.2}", percent(it.ece), it.temperature)
    });
    Some(Novel {
        classes: scores.classes.len(),
        rows: rows.collect(),
        matrix: matrix(scores),
        worst: worst.collect(),
        mistakes: mistakes.collect(),
        calibration: percent(scores.ece) + &calibrated,
    })
}

pub(super) fn percent(share: f64) -> String {
    format!("{:.1} %", 100.0 * share)
}

/// Queries of each pair of classes, the most confused first.
fn confused(scores: &Scores) -> Vec<(&str, &str, usize, f64)> {
    let mut pairs: Vec<_> = scores
        .confusion
        .iter()
        .flat_map(|(truth, row)| {
            let all: usize = row.values().sum();
            let others = row.iter().filter(move |(guess, _)| *guess != truth);
            others.map(move |(guess, count)| {
                (truth.as_str(), guess.as_str(), *count, *count as f64 / all.max(1) as f64)
            })
        })
        .collect();
    pairs.sort_by(|a, b| b.3.total_cmp(&a.3).then(b.2.cmp(&a.2)));
    pairs
}

fn matrix(scores: &Scores) -> Option<Matrix> {
    let pairs = confused(scores);
    let all: Vec<&str> = scores.classes.keys().map(String::as_str).collect();
    if all.len() < 2 {
        return None;
    }
    let is_part = all.len() > CLASSES;
    let classes: Vec<&str> = if is_part {
        let mut most = BTreeSet::new();
        for (truth, guess, ..) in &pairs {
            for class in [*truth, *guess] {
                if most.len() < CLASSES {
                    most.insert(class);
                }
            }
        }
        most.into_iter().collect()
    } else {
        all
    };
    if classes.is_empty() {
        return None;
    }
    let side = tenth((420.0 / classes.len() as f64).clamp(11.0, 30.0));
    let (left, top) = (192.0, 20.0);
    let mut cells = Vec::new();
    for (row, truth) in classes.iter().enumerate() {
        let Some(found) = scores.confusion.get(*truth) else { continue };
        let queries: usize = found.values().sum();
        for (column, guess) in classes.iter().enumerate() {
            let Some(count) = found.get(*guess).filter(|count| **count > 0) else { continue };
            let share = *count as f64 / queries.max(1) as f64;
            cells.push(Cell {
                x: tenth(left + column as f64 * side),
                y: tenth(top + row as f64 * side),
                // Rare confusions are seen as well.
                shade: (100.0 * (0.1 + 0.9 * share.sqrt())).round() / 100.0,
                is_right: row == column,
                title: format!(
                    "{truth} taken for {guess}: {count} of {queries}, {}",
                    percent(share)
                ),
            });
        }
    }
    let words = |(truth, guess, count, share): &(&str, &str, usize, f64)| {
        [(*truth).to_owned(), (*guess).to_owned(), count.to_string(), percent(*share)]
    };
    let extent = side * classes.len() as f64;
    Some(Matrix {
        is_part,
        width: tenth(left + extent + 2.0),
        height: tenth(top + extent + 4.0),
        left,
        top,
        side,
        cells,
        pairs: pairs.iter().take(ROWS).map(words).collect(),
        classes: classes.into_iter().map(Into::into).collect(),
    })
}
