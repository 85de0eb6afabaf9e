//! The words of a view: where the run stands, its numbers, its notes and warnings.

use std::time::SystemTime;

use ratatui_core::buffer::Buffer;
use ratatui_core::layout::Rect;
use ratatui_core::style::{Color, Modifier, Style};

use super::place::{bottom, line, top, wrapped};
use crate::report::live::status;
use crate::report::live::watched::Watched;

/// Between two facts of a line.
const GAP: &str = "   ";

/// What the words of a view are made of.
#[derive(Debug, Clone, Copy)]
pub(super) struct Words<'a> {
    pub run: &'a Watched,
    pub now: SystemTime,
    pub colours: bool,
}

impl Words<'_> {
    /// Name, position, progress and numbers, taken from the top.
    pub fn head(self, rest: &mut Rect, buffer: &mut Buffer) {
        let Self { run, now, .. } = self;
        let bold = Style::new().add_modifier(Modifier::BOLD);
        let headline = match rest.width {
            0..40 => status::brief(&run.log),
            _ => format!("{}: {}", run.name, status::headline(&run.log)),
        };
        for text in wrapped(&headline, rest.width, "  ") {
            line(buffer, top(rest, 1), &text, bold);
        }
        self.progress(status::time(run, now), top(rest, 1), buffer);
        if let Some(problem) = &run.problem {
            for text in wrapped(problem, rest.width, "  ") {
                line(buffer, top(rest, 1), &text, warning(self.colours));
            }
        }
        for text in flow(&status::facts(run), rest.width) {
            line(buffer, top(rest, 1), &text, Style::new());
        }
    }

    /// A bar, and the time beside it.
    fn progress(self, mut time: Vec<String>, area: Rect, buffer: &mut Buffer) {
        let done = status::done(&self.run.log);
        let width = usize::from(area.width);
        let said = |time: &[String]| {
            let percent = format!("{:.0} %  {}", (100.0 * done).floor(), time.join(", "));
            percent.trim_end().to_owned()
        };
        // What comes later matters more.
        while time.len() > 1 && said(&time).chars().count() > width {
            time.remove(0);
        }
        let text = said(&time);
        let room = width.saturating_sub(text.chars().count() + 2);
        if room < 6 {
            return line(buffer, area, &text, Style::new());
        }
        let filled = (room as f64 * done) as usize;
        let bar = "━".repeat(filled);
        let style = if self.colours { Style::new().fg(Color::Cyan) } else { Style::new() };
        line(buffer, area, &bar, style);
        let after = Rect { x: area.x + filled as u16, width: area.width - filled as u16, ..area };
        let dim = Style::new().add_modifier(Modifier::DIM);
        line(buffer, after, &"─".repeat(room - filled), dim);
        let beside =
            Rect { x: area.x + room as u16 + 2, width: area.width - room as u16 - 2, ..area };
        line(buffer, beside, &text, Style::new());
    }

    /// The last notes and warnings in at most so many rows, taken from the bottom; the newest is the lowest.
    pub fn remarks(self, rest: &mut Rect, most: u16, buffer: &mut Buffer) {
        let remarks = &self.run.log.remarks;
        // One row is a rule above them.
        let room = usize::from(most.min(rest.height)).saturating_sub(1);
        if remarks.is_empty() || room == 0 {
            return;
        }
        let mut lines: Vec<(String, Style)> = Vec::new();
        for remark in remarks.iter().rev() {
            let style = match remark.kind {
                "warning" => warning(self.colours),
                _ => Style::new(),
            };
            let text = match remark.kind {
                "change" => remark.text.clone(),
                kind => format!("{kind}: {}", remark.text),
            };
            lines.extend(wrapped(&text, rest.width, "  ").into_iter().rev().map(|it| (it, style)));
            if lines.len() >= room {
                break;
            }
        }
        // A remark that has no room for all of it shows its beginning.
        lines.reverse();
        let surplus = lines.len().saturating_sub(room);
        let newest = wrapped_rows(&lines);
        match surplus {
            0 => {}
            _ if newest > room => {
                lines.drain(..lines.len() - newest);
                lines.truncate(room);
            }
            _ => drop(lines.drain(..surplus)),
        }
        let mut area = bottom(rest, lines.len() as u16 + 1);
        let title = "── notes and warnings ";
        let width = usize::from(area.width);
        let rule = "─".repeat(width.saturating_sub(title.chars().count()));
        let dim = Style::new().add_modifier(Modifier::DIM);
        line(buffer, top(&mut area, 1), &(title.to_owned() + &rule), dim);
        for (text, style) in lines {
            line(buffer, top(&mut area, 1), &text, style);
        }
    }
}

/// Facts in lines, as many in each as there is room for.
fn flow(facts: &[String], width: u16) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for fact in facts {
        let length = |text: &str| text.chars().count();
        match lines.last_mut() {
            Some(last) if length(last) + GAP.len() + length(fact) <= usize::from(width) => {
                last.push_str(GAP);
                last.push_str(fact);
            }
            _ => lines.extend(wrapped(fact, width, "  ")),
        }
    }
    lines
}

/// Rows of the newest remark: its first one and those that are indented below it.
fn wrapped_rows(lines: &[(String, Style)]) -> usize {
    let below = lines.iter().rev().take_while(|(text, _)| text.starts_with("  ")).count();
    (below + 1).min(lines.len())
}

fn warning(colours: bool) -> Style {
    if colours { Style::new().fg(Color::Yellow) } else { Style::new() }
}
