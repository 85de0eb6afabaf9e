//! The cells of a table as text: what all formats for people share.

use super::{Difference, Row, Table};
use crate::sweep::manifest::word;
use crate::sweep::student::Mean;

/// A table of texts, with its heading.
pub struct Grid {
    /// Names of the columns.
    pub heading: Vec<String>,
    /// Columns that hold words rather than numbers.
    pub words: usize,
    /// Rows, each with as many texts as the heading.
    pub rows: Vec<Vec<String>>,
}

/// `63.41 ± 0.52`, in percent; without an interval where there is one value.
pub fn percent(mean: Option<Mean>, sign: &str) -> String {
    mean.map_or("–".into(), |Mean { mean, ci95, .. }| match ci95 {
        Some(ci95) => format!("{:.2} {sign} {:.2}", 100.0 * mean, 100.0 * ci95),
        None => format!("{:.2}", 100.0 * mean),
    })
}

/// `0.012`, `< 0.001`.
fn probability(p: f64) -> String {
    if p < 0.001 { "< 0.001".into() } else { format!("{p:.3}") }
}

/// The texts of a table; `sign` stands between a mean and its interval.
pub fn grid(table: &Table, sign: &str) -> Grid {
    let compares = !table.baseline.is_empty();
    let mut heading = table.keys.clone();
    let words = heading.len();
    heading.extend(["accuracy %", "validation %", "cells"].map(str::to_owned));
    if compares {
        heading.extend(["difference", "95 %", "p (Holm)"].map(str::to_owned));
    }
    let reports = table.rows.iter().any(|row| row.published.is_some());
    if reports {
        heading.push("published %".into());
    }
    let texts = |row: &Row| {
        let mut texts: Vec<String> = table
            .keys
            .iter()
            .map(|key| row.values.get(key).map(word).unwrap_or_default())
            .collect();
        texts.push(percent(row.accuracy, sign));
        texts.push(percent(row.validation, sign));
        let done = row.seconds.map_or(0, |it| it.count);
        texts.push(if done == row.cells {
            done.to_string()
        } else {
            format!("{done}/{}", row.cells)
        });
        if compares {
            texts.extend(match &row.difference {
                None => ["baseline".to_owned(), String::new(), String::new()],
                Some(Difference::Unknown { .. }) => ["–".into(), String::new(), String::new()],
                Some(Difference::Measured { repeated, holm_p }) => {
                    let [low, high] = repeated.bootstrap95;
                    [
                        format!("{:+.2}", 100.0 * repeated.difference),
                        format!("{:+.2} to {:+.2}", 100.0 * low, 100.0 * high),
                        probability(*holm_p),
                    ]
                }
            });
        }
        if reports {
            texts.push(row.published.as_ref().map_or(String::new(), |it| {
                percent(Some(Mean { mean: it.accuracy, ci95: it.ci95, count: 1 }), sign)
            }));
        }
        texts
    };
    Grid { heading, words, rows: table.rows.iter().map(texts).collect() }
}
