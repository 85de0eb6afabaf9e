//! The view of a run: words, charts, notes and warnings, in as much room as there is.

mod chart;
mod curves;
mod place;
mod words;

use std::time::SystemTime;

use ratatui_core::buffer::{Buffer, CellWidth};
use ratatui_core::layout::Rect;
use ratatui_core::style::{Modifier, Style};
use ratatui_core::widgets::Widget;

use super::watched::Watched;
use place::{bottom, line};
use words::Words;

/// Least size of a view that has charts.
const CHARTED: (u16, u16) = (40, 14);
/// Least rows of a row of charts.
const CHART: u16 = 6;

/// A run, as it is drawn.
#[derive(Debug, Clone, Copy)]
pub struct View<'a> {
    /// The run as it was last read.
    pub run: &'a Watched,
    /// The time now: a run that is silent for long says so.
    pub now: SystemTime,
    /// Whether curves and warnings have colours.
    pub colours: bool,
    /// A line at the bottom, such as the keys that can be pressed.
    pub hint: Option<&'a str>,
}

impl Widget for View<'_> {
    fn render(self, area: Rect, buffer: &mut Buffer) {
        let mut rest = area.intersection(buffer.area);
        if let Some(hint) = self.hint.filter(|_| rest.height > 8) {
            let style = Style::new().add_modifier(Modifier::DIM);
            line(buffer, bottom(&mut rest, 1), hint, style);
        }
        let words = Words { run: self.run, now: self.now, colours: self.colours };
        words.head(&mut rest, buffer);
        if area.width >= CHARTED.0 && area.height >= CHARTED.1 {
            let most = (rest.height / 4).max(3);
            words.remarks(&mut rest, most, buffer);
            self.charts(rest, buffer);
        } else {
            let most = rest.height;
            words.remarks(&mut rest, most, buffer);
        }
    }
}

impl View<'_> {
    /// One or two rows of charts; those that say most first.
    fn charts(self, area: Rect, buffer: &mut Buffer) {
        let columns = match area.width {
            0..60 => 1,
            60..110 => 2,
            _ => 3,
        };
        let rows = (area.height / CHART).min(2);
        let mut charts = curves::charts(self.run, self.colours).into_iter();
        for row in 0..rows {
            let (top, end) = (area.height * row / rows, area.height * (row + 1) / rows);
            for column in 0..columns {
                let Some(chart) = charts.next() else { return };
                let (left, right) =
                    (area.width * column / columns, area.width * (column + 1) / columns);
                // A column of space between two charts.
                let width = right - left - u16::from(column + 1 < columns);
                chart.render(Rect::new(area.x + left, area.y + top, width, end - top), buffer);
            }
        }
    }
}

/// A view as plain text, without spaces at the ends of its lines and without empty lines at its end.
pub fn as_text(view: View, width: u16, height: u16) -> String {
    let area = Rect::new(0, 0, width, height);
    let mut buffer = Buffer::empty(area);
    view.render(area, &mut buffer);
    let mut text = String::new();
    for row in area.rows() {
        let mut wide = 0;
        for position in row.positions() {
            let cell = &buffer[position];
            // What a wide character covers is not written.
            if wide == 0 {
                text.push_str(cell.symbol());
            }
            wide = wide.max(cell.cell_width()).saturating_sub(1);
        }
        text.truncate(text.trim_end_matches(' ').len());
        text.push('\n');
    }
    text.truncate(text.trim_end().len());
    text + "\n"
}

#[cfg(test)]
mod tests;
