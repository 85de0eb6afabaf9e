//! One image → one line of the output.

use serde::Serialize;

use crate::data::DataError;
use crate::run::predict::{Guess, Prediction};

/// Format of the output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// For people: `FILE: CLASS 93.1 %, then CLASS 4.2 %`
    Text,
    /// One JSON object per line
    Json,
    /// With a header line
    Csv,
}

/// Writes predictions in a format.
pub(super) struct Writer<'a> {
    pub(super) format: Format,
    pub(super) classes: &'a [String],
    /// Most probable classes that are written.
    pub(super) top: usize,
    /// A most probable class below this is no answer.
    pub(super) reject: f64,
}

#[derive(Serialize)]
struct Line<'a> {
    file: &'a str,
    class: Option<&'a str>,
    probability: f64,
    top: Vec<Top<'a>>,
}

#[derive(Serialize)]
struct Top<'a> {
    class: &'a str,
    probability: f64,
}

#[derive(Serialize)]
struct Unreadable<'a> {
    file: &'a str,
    error: &'a str,
}

impl Writer<'_> {
    /// The first line; empty where the format has none.
    pub(super) fn header(&self) -> String {
        if self.format != Format::Csv {
            return String::new();
        }
        let top =
            (1..=self.top()).flat_map(|at| [format!("class_{at}"), format!("probability_{at}")]);
        let names = ["file".to_owned(), "class".to_owned()].into_iter().chain(top);
        row(names.chain(["error".to_owned()]))
    }

    /// The class of an image, if it is probable enough.
    pub(super) fn class(&self, prediction: &Prediction) -> Option<&str> {
        let Guess { class, probability } = prediction.best();
        (probability >= self.reject).then(|| self.classes[class].as_str())
    }

    /// The line of an image that was classified.
    pub(super) fn line(&self, file: &str, prediction: &Prediction) -> String {
        let class = self.class(prediction);
        let top = prediction.ranking.iter().take(self.top());
        let top = top
            .map(|guess| Top { class: &self.classes[guess.class], probability: guess.probability });
        match self.format {
            Format::Text => {
                let of = |it: Top| format!("{} {:.1} %", it.class, 100.0 * it.probability);
                let top = top.map(of).collect::<Vec<_>>().join(", then ");
                match class {
                    Some(_) => format!("{file}: {top}\n"),
                    None => format!("{file}: none of these ({top})\n"),
                }
            }
            Format::Json => {
                let probability = prediction.best().probability;
                json(&Line { file, class, probability, top: top.collect() })
            }
            Format::Csv => {
                let top = top.flat_map(|it| [it.class.to_owned(), it.probability.to_string()]);
                let start = [file.to_owned(), class.unwrap_or_default().to_owned()];
                row(start.into_iter().chain(top).chain([String::new()]))
            }
        }
    }

    /// The line of an image that cannot be read; the text format has it on standard error.
    pub(super) fn unreadable(&self, file: &str, error: &DataError) -> Option<String> {
        let text = error.to_string();
        let error = match error {
            DataError::Image { reason, .. } => reason,
            _ => &text,
        };
        match self.format {
            Format::Text => None,
            Format::Json => Some(json(&Unreadable { file, error })),
            Format::Csv => {
                let empty = std::iter::repeat_n(String::new(), 1 + 2 * self.top());
                Some(row([file.to_owned()].into_iter().chain(empty).chain([error.to_owned()])))
            }
        }
    }

    fn top(&self) -> usize {
        self.top.min(self.classes.len())
    }
}

fn json(line: &impl Serialize) -> String {
    serde_json::to_string(line).unwrap_or_default() + "\n"
}

/// A line of CSV, with quotes where they are needed.
fn row(fields: impl Iterator<Item = String>) -> String {
    let mut writer = csv::Writer::from_writer(Vec::new());
    // Writing to memory does not fail.
    let _ = writer.write_record(fields);
    String::from_utf8(writer.into_inner().unwrap_or_default()).unwrap_or_default()
}
