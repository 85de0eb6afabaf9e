//! A chart in characters: a title, numbers at an axis, and curves in dots of a quarter of a character's height.

use ratatui_core::buffer::Buffer;
use ratatui_core::layout::Rect;
use ratatui_core::style::{Color, Modifier, Style};
use ratatui_core::symbols::Marker;
use ratatui_core::widgets::Widget;
use ratatui_widgets::canvas::{Canvas, Context, Line, Points};

use super::place::line;
use crate::report::axis::{Axis, Unit};

/// Values over the steps.
#[derive(Debug)]
pub(super) struct Curve {
    /// The step and the value of each point.
    pub points: Vec<(f64, f64)>,
    pub colour: Color,
}

/// A value that all of the chart is compared with.
#[derive(Debug)]
pub(super) struct Rule {
    pub label: &'static str,
    pub value: f64,
    pub colour: Color,
}

/// Curves, points and rules that share an axis.
#[derive(Debug)]
pub(super) struct Chart {
    pub title: String,
    pub unit: Unit,
    /// The first step and the last.
    pub steps: (usize, usize),
    pub curves: Vec<Curve>,
    pub points: Curve,
    pub rules: Vec<Rule>,
}

impl Chart {
    pub fn render(&self, area: Rect, buffer: &mut Buffer) {
        line(buffer, area, &self.title, Style::new().add_modifier(Modifier::BOLD));
        let rows = area.height.saturating_sub(2);
        let axis = Axis::of(self.values(), self.unit, usize::from(rows / 2).clamp(1, 5));
        let width = axis.ticks.iter().map(|(_, label)| label.chars().count()).max().unwrap_or(0);
        let left = width as u16 + 1;
        if rows == 0 || area.width < left + 4 {
            return;
        }
        let plot = Rect::new(area.x + left, area.y + 1, area.width - left, rows);
        let row = |value: f64| {
            let from_bottom = (axis.at(value).clamp(0.0, 1.0) * f64::from(rows - 1)).round();
            plot.bottom() - 1 - from_bottom as u16
        };
        let dim = Style::new().add_modifier(Modifier::DIM);
        for y in plot.top()..plot.bottom() {
            line(buffer, Rect::new(plot.x - 1, y, 1, 1), "│", dim);
        }
        for (value, label) in &axis.ticks {
            let place = Rect::new(area.x, row(*value), left, 1);
            line(buffer, place, &format!("{label:>width$}┤"), dim);
        }
        for rule in &self.rules {
            let place = Rect { y: row(rule.value), height: 1, ..plot };
            let text = "┄".repeat(usize::from(plot.width));
            line(buffer, place, &text, Style::new().fg(rule.colour));
        }
        self.curves_into(plot, &axis, buffer);
        for rule in &self.rules {
            let length = rule.label.len() as u16;
            if plot.width > 2 * length {
                let place = Rect::new(plot.right() - length, row(rule.value), length, 1);
                line(buffer, place, rule.label, Style::new().fg(rule.colour));
            }
        }
        self.steps_below(Rect { y: plot.bottom(), height: 1, ..plot }, buffer);
    }

    fn values(&self) -> impl Iterator<Item = f64> {
        let curves = self.curves.iter().chain([&self.points]);
        let of_curves = curves.flat_map(|it| it.points.iter().map(|(_, value)| *value));
        of_curves.chain(self.rules.iter().map(|it| it.value))
    }

    fn curves_into(&self, plot: Rect, axis: &Axis, buffer: &mut Buffer) {
        let (first, last) = (self.steps.0 as f64, self.steps.1 as f64);
        let length = (last - first).max(1.0);
        let at = |(step, value): (f64, f64)| ((step - first) / length, axis.at(value));
        let paint = |context: &mut Context| {
            for curve in &self.curves {
                let places: Vec<(f64, f64)> = curve.points.iter().map(|it| at(*it)).collect();
                for pair in places.windows(2) {
                    let ((x1, y1), (x2, y2)) = (pair[0], pair[1]);
                    context.draw(&Line::new(x1, y1, x2, y2, curve.colour));
                }
                context.draw(&Points::new(&places, curve.colour));
            }
            context.marker(Marker::Dot);
            let places: Vec<(f64, f64)> = self.points.points.iter().map(|it| at(*it)).collect();
            context.draw(&Points::new(&places, self.points.colour));
        };
        let canvas = Canvas::default().x_bounds([0.0, 1.0]).y_bounds([0.0, 1.0]);
        canvas.marker(Marker::Braille).paint(paint).render(plot, buffer);
    }

    /// The first step at the left, the last at the right.
    fn steps_below(&self, place: Rect, buffer: &mut Buffer) {
        let dim = Style::new().add_modifier(Modifier::DIM);
        let (first, last) = (self.steps.0.to_string(), format!("step {}", self.steps.1));
        line(buffer, place, &first, dim);
        let length = last.len() as u16;
        if usize::from(place.width) > first.len() + last.len() {
            let end = Rect { x: place.right() - length, width: length, ..place };
            line(buffer, end, &last, dim);
        }
    }
}
