//! The candidates of a search as text: what all formats for people share, and the records of CSV.

use std::fmt::Write;

use super::grid::{Grid, percent};
use super::missing;
use super::search::{Candidate, Over, SearchTable};
use crate::sweep::manifest::{label, word};
use crate::sweep::student::Mean;

impl SearchTable {
    fn words(&self, row: &Candidate) -> Vec<String> {
        let grid = self.keys.iter().map(|key| row.values.get(key));
        let drawn = self.drawn.iter().map(|key| row.drawn.get(key));
        let text = |value: Option<&serde_json::Value>| value.map(word).unwrap_or_default();
        let number = [row.rank.to_string(), row.candidate.to_string()];
        grid.map(text).chain(number).chain(drawn.map(text)).collect()
    }

    fn heading(&self) -> Vec<String> {
        let number = ["rank", "candidate"].map(str::to_owned);
        self.keys.iter().cloned().chain(number).chain(self.drawn.iter().cloned()).collect()
    }

    /// The texts of the table; `sign` stands between a mean and its interval.
    pub fn grid(&self, sign: &str) -> Grid {
        let mut heading = self.heading();
        let words = heading.len();
        let halves = !self.rungs.is_empty();
        if halves {
            heading.push("epochs".into());
        }
        heading.extend(["validation %", "test %", "cells"].map(str::to_owned));
        let texts = |row: &Candidate| {
            let mut texts = self.words(row);
            if halves {
                texts.push(row.epochs.map_or("–".into(), |it| it.to_string()));
            }
            texts.push(percent(row.validation, sign));
            let test = row.test.as_ref();
            texts.push(test.map_or(String::new(), |it| {
                percent(Some(Mean { mean: it.mean, ci95: it.ci95, count: 1 }), sign)
            }));
            texts.push(match row.done == row.cells {
                true => row.done.to_string(),
                false => format!("{}/{}", row.done, row.cells),
            });
            texts
        };
        Grid { heading, words, rows: self.rows.iter().map(texts).collect() }
    }

    /// What was searched, what is best, and what is missing.
    pub fn remarks(&self) -> String {
        let mut text = String::from("\n");
        let over = self.across.join(", ");
        let means = match over.is_empty() {
            true => String::new(),
            false => format!(", a mean over {over} ± 95 % of Student's t"),
        };
        let _ = match self.rungs.is_empty() {
            true => writeln!(text, "random search: candidates by validation accuracy{means}"),
            false => {
                let rungs = self.rungs.iter();
                let rungs: Vec<String> =
                    rungs.map(|it| format!("{} to epoch {}", it.candidates, it.epochs)).collect();
                writeln!(
                    text,
                    "successive halving, {}: candidates by the epochs that they came to, then by \
                     validation accuracy{means}",
                    rungs.join(", ")
                )
            }
        };
        for row in self.rows.iter().filter(|row| row.rank == 1) {
            text += &self.best(row);
        }
        if self.rows.iter().any(|row| row.test.is_some()) {
            text += "the validation accuracy of the best chose it, and so is too high; the test \
                     episodes chose nothing\n";
        }
        text + &missing::lines(&self.missing, self.cells)
    }

    fn best(&self, row: &Candidate) -> String {
        let Some(validation) = row.validation else { return String::new() };
        let of = match row.values.is_empty() {
            true => String::new(),
            false => format!(" of {}", label(&row.values)),
        };
        let so_far = if self.missing.is_empty() { "" } else { " so far" };
        let mut text = format!(
            "best{so_far}{of}: candidate {} ({}), {:.2} % in validation",
            row.candidate,
            label(&row.drawn),
            100.0 * validation.mean
        );
        if let Some(test) = &row.test {
            let over = match test.over {
                Over::Repetitions => over_words(&self.across),
                Over::Episodes => "over the episodes".into(),
            };
            let interval = test.ci95.map(|it| format!(" ± {:.2} % (95 %, {over})", 100.0 * it));
            let interval = interval.unwrap_or_else(|| " %".into());
            let runs: Vec<String> = test.runs.iter().map(|it| it.display().to_string()).collect();
            let _ = write!(
                text,
                "; {:.2}{interval} in the test; {}",
                100.0 * test.mean,
                runs.join(", ")
            );
        }
        text + "\n"
    }

    /// Heading and records of numbers.
    pub fn records(&self) -> Vec<Vec<String>> {
        let number = |value: Option<f64>| value.map(|it| it.to_string()).unwrap_or_default();
        let mut heading = self.heading();
        heading.extend(
            ["epochs", "validation", "validation_ci95", "done", "cells", "test", "test_ci95"]
                .map(str::to_owned),
        );
        let record = |row: &Candidate| {
            let mut record = self.words(row);
            record.extend([
                row.epochs.map(|it| it.to_string()).unwrap_or_default(),
                number(row.validation.map(|it| it.mean)),
                number(row.validation.and_then(|it| it.ci95)),
                row.done.to_string(),
                row.cells.to_string(),
                number(row.test.as_ref().map(|it| it.mean)),
                number(row.test.as_ref().and_then(|it| it.ci95)),
            ]);
            record
        };
        std::iter::once(heading).chain(self.rows.iter().map(record)).collect()
    }
}

fn over_words(across: &[String]) -> String {
    match across {
        [] => "over the runs".into(),
        keys => format!("over {}", keys.join(", ")),
    }
}
