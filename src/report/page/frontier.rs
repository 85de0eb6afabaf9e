//! A picture of the time that each amount of memory costs, as SVG that needs nothing else.

use minijinja::value::Serde;
use minijinja::{Environment, Value, context};
use serde::Serialize;

use super::chart::tenth;
use crate::report::axis::{Axis, Unit};
use crate::report::table::bytes;

const WIDTH: f64 = 760.0;
const LEFT: f64 = 64.0;
const RIGHT: f64 = 24.0;
const TOP: f64 = 52.0;
const PLOT: f64 = 260.0;
/// From the plot to the first line of the list below it, and from line to line.
const GAP: f64 = 66.0;
const LINE: f64 = 20.0;

/// A setting in the picture.
#[derive(Debug, Clone, PartialEq)]
pub struct Point {
    /// The setting in words.
    pub label: String,
    /// Peak memory in bytes.
    pub bytes: u64,
    /// Time of a step, of the first setting's.
    pub time: f64,
    /// Whether it rounds more than the pipeline does.
    pub rounds: bool,
}

#[derive(Debug, Serialize)]
struct Drawn {
    number: usize,
    x: f64,
    y: f64,
    /// Where its number stands: below the dot where a dot is close above.
    number_y: f64,
    line_y: f64,
    class: &'static str,
    label: String,
    bytes: String,
    time: String,
}

/// Draws settings from the largest to the smallest.
///
/// # Errors
/// Never with the template that is part of the program.
pub fn picture(title: &str, points: &[Point]) -> Result<String, minijinja::Error> {
    let bottom = TOP + PLOT;
    let sizes = || points.iter().map(|point| point.bytes as f64);
    let x_axis = Axis::of(sizes().chain([0.0]), Unit::Bytes, 6);
    let y_axis = Axis::of(points.iter().map(|point| point.time).chain([0.0]), Unit::Number, 5);
    let x = |at: f64| tenth(LEFT + x_axis.at(at) * (WIDTH - LEFT - RIGHT));
    let y = |at: f64| tenth(bottom - y_axis.at(at) * PLOT);
    let drawn: Vec<Drawn> = points
        .iter()
        .enumerate()
        .map(|(at, point)| {
            let (dot_x, dot_y) = (x(point.bytes as f64), y(point.time));
            let is_close_above = |other: &Point| {
                let apart = dot_y - y(other.time);
                (x(other.bytes as f64) - dot_x).abs() < 14.0 && (2.0..26.0).contains(&apart)
            };
            let is_below = points.iter().any(is_close_above);
            Drawn {
                number: at + 1,
                x: dot_x,
                y: dot_y,
                number_y: tenth(dot_y + if is_below { 19.0 } else { -10.0 }),
                line_y: bottom + GAP + LINE * at as f64,
                class: if point.rounds { "rounds" } else { "exact" },
                label: point.label.clone(),
                bytes: bytes(point.bytes),
                time: format!("{:.2}×", point.time),
            }
        })
        .collect();
    let path = |rounds: bool| -> String {
        let of = drawn.iter().zip(points).filter(|(_, point)| point.rounds == rounds);
        let part = |(at, (it, _)): (usize, (&Drawn, _))| match at {
            0 => format!("M{} {}", it.x, it.y),
            // More memory than this setting takes buys nothing before the next one.
            _ => format!("V{}H{}", it.y, it.x),
        };
        of.enumerate().map(part).collect()
    };
    let ticks = |axis: &Axis, place: &dyn Fn(f64) -> f64| -> Vec<(f64, String)> {
        axis.ticks.iter().map(|(at, label)| (place(*at), label.clone())).collect()
    };
    let mut templates = Environment::new();
    // Named so that its text is escaped, as in HTML.
    templates.add_template("frontier.html", include_str!("templates/frontier.svg"))?;
    templates.get_template("frontier.html")?.render(context! {
        title,
        width => WIDTH,
        height => bottom + GAP + LINE * points.len() as f64,
        left => LEFT,
        right => WIDTH - RIGHT,
        top => TOP,
        bottom,
        x_ticks => ticks(&x_axis, &x),
        y_ticks => ticks(&y_axis, &y),
        exact => path(false),
        rounding => path(true),
        points => Value::from(Serde(drawn)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(label: &str, bytes: u64, time: f64, rounds: bool) -> Point {
        Point { label: label.into(), bytes, time, rounds }
    }

    #[test]
    fn every_setting_is_drawn_and_listed() {
        let points = [
            point("plain", 3 << 30, 1.0, false),
            point("recompute <block>", 2 << 30, 1.36, false),
            point("activations int8", 1 << 30, 1.08, true),
        ];
        let svg = picture("a & b", &points).unwrap();
        assert_eq!(svg.matches("<circle class=\"exact").count(), 2);
        assert_eq!(svg.matches("<circle class=\"rounds").count(), 1);
        assert!(svg.contains("recompute &lt;block&gt;") && svg.contains("a &amp; b"), "{svg}");
        assert!(svg.contains("1.36×") && svg.contains("2.00 GiB"), "{svg}");
        // The largest lies right of the smallest, and the slowest above the fastest.
        let of = |attribute: &str| -> Vec<f64> {
            let values = svg.split("<circle").skip(1).map(|it| it.split(attribute).nth(1).unwrap());
            values.map(|it| it.split('"').next().unwrap().parse().unwrap()).collect()
        };
        let (x, y) = (of(" cx=\""), of(" cy=\""));
        assert!(x[0] > x[1] && x[1] > x[2], "{x:?}");
        assert!(y[1] < y[2] && y[2] < y[0], "{y:?}");
    }
}
