//! A table in the formats of people, papers and programs.

use std::fmt::Write;

use super::grid::{Grid, grid};
use super::missing;
use super::{Collected, Difference, Table};
use crate::sweep::manifest::{label, word};

/// How a table is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Format {
    /// Columns for a terminal
    #[default]
    Text,
    /// Numbers, one line a row
    Csv,
    /// One object with everything
    Json,
    /// A `tabular` with booktabs' rules
    Latex,
    /// A table for GitHub
    Markdown,
}

/// Writes a table in a format.
pub fn write(table: &Collected, format: Format) -> String {
    match format {
        Format::Text => text(&shown(table, "±"), &notes(table)),
        Format::Csv => csv(table),
        Format::Json => format!("{:#}\n", serde_json::to_value(table).unwrap_or_default()),
        Format::Latex => latex(&shown(table, "\\pm"), &notes(table)),
        Format::Markdown => markdown(&shown(table, "±"), &notes(table)),
    }
}

fn shown(table: &Collected, sign: &str) -> Grid {
    match table {
        Collected::Grid(table) => grid(table, sign),
        Collected::Search(table) => table.grid(sign),
    }
}

fn notes(table: &Collected) -> String {
    match table {
        Collected::Grid(table) => remarks(table),
        Collected::Search(table) => table.remarks(),
    }
}

fn text(Grid { heading, words, rows }: &Grid, notes: &str) -> String {
    let all = || std::iter::once(heading).chain(rows);
    let width = |column: usize| all().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..heading.len()).map(width).collect();
    let mut text = String::new();
    for row in all() {
        let cells = row.iter().zip(&widths).enumerate().map(|(column, (cell, width))| {
            match column < *words {
                true => format!("{cell:<width$}"),
                false => format!("{cell:>width$}"),
            }
        });
        text += cells.collect::<Vec<_>>().join("  ").trim_end();
        text.push('\n');
    }
    text + notes
}

/// What the numbers are, what is best, and what is missing.
fn remarks(table: &Table) -> String {
    let mut text = String::from("\n");
    let over = table.across.join(", ");
    if !over.is_empty() {
        let _ = writeln!(text, "mean over {over} ± 95 % of Student's t");
    }
    if !table.baseline.is_empty() {
        let _ = writeln!(
            text,
            "difference from {} in percentage points, on the same episodes; 95 %: bootstrap over {} \
             and episodes",
            label(&table.baseline),
            if over.is_empty() { "runs" } else { &over },
        );
    }
    for row in &table.rows {
        if let Some(Difference::Unknown { reason }) = &row.difference {
            let _ = writeln!(text, "{}: not compared, {reason}", label(&row.values));
        }
    }
    if let Some(best) = &table.best {
        let _ = writeln!(
            text,
            "best in validation: {} ({:.2} %); best cell: {} ({:.2} %), {}",
            label(&best.values),
            100.0 * best.validation,
            label(&best.cell),
            100.0 * best.cell_validation,
            best.run.display(),
        );
    }
    let mut sources: Vec<&str> = Vec::new();
    for reported in table.rows.iter().filter_map(|row| row.published.as_ref()) {
        if !sources.contains(&reported.source.as_str()) {
            sources.push(&reported.source);
        }
    }
    for source in sources {
        let _ = writeln!(text, "published: {source}");
    }
    text + &missing::lines(&table.missing, table.cells)
}

fn csv(table: &Collected) -> String {
    let records = match table {
        Collected::Grid(table) => records(table),
        Collected::Search(table) => table.records(),
    };
    let mut writer = csv::Writer::from_writer(Vec::new());
    for record in records {
        // Writing to memory does not fail.
        let _ = writer.write_record(&record);
    }
    String::from_utf8(writer.into_inner().unwrap_or_default()).unwrap_or_default()
}

/// Heading and records of numbers.
fn records(table: &Table) -> Vec<Vec<String>> {
    let mut heading = table.keys.clone();
    heading.extend(
        [
            "accuracy",
            "accuracy_ci95",
            "validation",
            "validation_ci95",
            "seconds",
            "done",
            "cells",
            "difference",
            "difference_low",
            "difference_high",
            "p",
            "holm_p",
            "published",
            "published_ci95",
            "published_source",
        ]
        .map(str::to_owned),
    );
    let number = |value: Option<f64>| value.map(|it| it.to_string()).unwrap_or_default();
    let mut records = vec![heading];
    for row in &table.rows {
        let measured = match &row.difference {
            Some(Difference::Measured { repeated, holm_p }) => Some((repeated, *holm_p)),
            _ => None,
        };
        let mut record: Vec<String> = table
            .keys
            .iter()
            .map(|key| row.values.get(key).map(word).unwrap_or_default())
            .collect();
        record.extend([
            number(row.accuracy.map(|it| it.mean)),
            number(row.accuracy.and_then(|it| it.ci95)),
            number(row.validation.map(|it| it.mean)),
            number(row.validation.and_then(|it| it.ci95)),
            number(row.seconds.map(|it| it.mean)),
            row.seconds.map_or(0, |it| it.count).to_string(),
            row.cells.to_string(),
            number(measured.map(|(it, _)| it.difference)),
            number(measured.map(|(it, _)| it.bootstrap95[0])),
            number(measured.map(|(it, _)| it.bootstrap95[1])),
            number(measured.map(|(it, _)| it.p)),
            number(measured.map(|(_, holm_p)| holm_p)),
        ]);
        let published = row.published.as_ref();
        record.extend([
            number(published.map(|it| it.accuracy)),
            number(published.and_then(|it| it.ci95)),
            published.map(|it| it.source.clone()).unwrap_or_default(),
        ]);
        records.push(record);
    }
    records
}

fn markdown(Grid { heading, words, rows }: &Grid, notes: &str) -> String {
    let line = |cells: &[String]| {
        format!(
            "| {} |\n",
            cells.iter().map(|it| it.replace('|', "\\|")).collect::<Vec<_>>().join(" | ")
        )
    };
    let rule: Vec<&str> =
        (0..heading.len()).map(|column| if column < *words { "---" } else { "---:" }).collect();
    let mut text = line(heading) + &format!("|{}|\n", rule.join("|"));
    rows.iter().for_each(|row| text += &line(row));
    text + notes
}

fn latex(Grid { heading, words, rows }: &Grid, notes: &str) -> String {
    let columns = "l".repeat(*words) + &"r".repeat(heading.len() - words);
    let name = |cell: &String| escaped(cell);
    let line = |cells: Vec<String>| format!("    {} \\\\\n", cells.join(" & "));
    let mut text = format!("\\begin{{tabular}}{{{columns}}}\n    \\toprule\n");
    text += &line(heading.iter().map(name).collect());
    text += "    \\midrule\n";
    for row in rows {
        let cells = row.iter().enumerate().map(|(column, cell)| {
            let is_number = column >= *words && cell.contains(|c: char| c.is_ascii_digit());
            match is_number {
                true if cell.contains(" to ") => format!("${}$", cell.replace(" to ", "$ to $")),
                true => format!("${cell}$"),
                false => escaped(cell).replace('–', "--"),
            }
        });
        text += &line(cells.collect());
    }
    text += "    \\bottomrule\n\\end{tabular}\n";
    let notes = notes.lines().filter(|line| !line.is_empty()).map(|line| format!("% {line}\n"));
    text + &notes.collect::<String>()
}

/// A text with the characters that mean something to TeX escaped.
fn escaped(text: &str) -> String {
    let mut escaped = String::new();
    for c in text.chars() {
        match c {
            '\\' => escaped.push_str("\\textbackslash{}"),
            '~' => escaped.push_str("\\textasciitilde{}"),
            '^' => escaped.push_str("\\textasciicircum{}"),
            '_' | '%' | '&' | '#' | '$' | '{' | '}' => {
                escaped.push('\\');
                escaped.push(c);
            }
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_escaped_for_tex() {
        assert_eq!(escaped("episode.k_shot {5} 50%"), "episode.k\\_shot \\{5\\} 50\\%");
    }
}
