//! Which charts a view has.

use ratatui_core::style::Color;

use super::chart::{Chart, Curve, Rule};
use crate::report::axis::Unit;
use crate::report::live::watched::Watched;
use crate::report::log::StepLine;
use crate::report::series::shorten;

/// A line that is further from the curves than this factor would leave them flat; its number is in the words.
const FAR: f64 = 3.0;

/// The charts of a run, those that say most first.
pub(super) fn charts(run: &Watched, colours: bool) -> Vec<Chart> {
    let steps = run.log.current().steps;
    let (Some(first), Some(last)) = (steps.first(), steps.last()) else { return Vec::new() };
    let colour = |it| if colours { it } else { Color::Reset };
    let (blue, green, yellow, red) =
        (colour(Color::Cyan), colour(Color::Green), colour(Color::Yellow), colour(Color::Red));
    let curve = |value: fn(&StepLine) -> Option<f64>, colour| {
        let points = steps.iter().filter_map(|it| Some((it.step as f64, value(it)?)));
        Curve { points: shorten(points).iter().map(|it| (it.x, it.mean)).collect(), colour }
    };
    let chart = |title: &str, unit, curves| Chart {
        title: title.to_owned(),
        unit,
        steps: (first.step, last.step),
        curves,
        points: Curve { points: Vec::new(), colour: green },
        rules: Vec::new(),
    };
    let peak = steps.iter().filter_map(|it| it.peak_bytes).fold(0.0, f64::max);
    let rules = [("predicted", run.predicted(), yellow), ("budget", run.budget, red)];
    let rules = rules.into_iter().filter_map(|(label, size, colour)| {
        let value = size? as f64;
        (value <= FAR * peak).then_some(Rule { label, value, colour })
    });
    let validated = validations(run);
    let title = if validated.is_empty() { "accuracy" } else { "accuracy, • in validation" };
    vec![
        chart("loss", Unit::Number, vec![curve(|it| it.loss, blue)]),
        Chart {
            points: Curve { points: validated, colour: green },
            ..chart(title, Unit::Share, vec![curve(|it| it.accuracy, blue)])
        },
        Chart {
            rules: rules.collect(),
            ..chart("memory in use", Unit::Bytes, vec![curve(|it| it.current_bytes, blue)])
        },
        chart("images per second", Unit::Number, vec![curve(|it| it.images_per_second, blue)]),
        chart("learning rate", Unit::Number, vec![curve(|it| it.learning_rate, blue)]),
        chart("gradient norm", Unit::Number, vec![curve(|it| it.gradient_norm, blue)]),
    ]
}

/// Validations at the steps that their epochs end with.
fn validations(run: &Watched) -> Vec<(f64, f64)> {
    let current = run.log.current();
    let a_epoch = current.length.map_or(1, |[_, steps]| steps);
    let validated = current.validated.iter();
    validated.map(|it| ((it.epoch * a_epoch) as f64, it.accuracy.mean)).collect()
}
