//! Tables for people.

use crate::run::calibration::Calibrated;
use crate::run::events::Finished;
use crate::run::folder::RunFolder;
use crate::run::score::{ClassScore, Scores};

/// Classes that are listed one by one.
const CLASSES: usize = 20;

/// The table that a run ends with.
pub fn finished(finished: &Finished) -> String {
    let result = &finished.metrics.result;
    let cost = &finished.metrics.cost;
    let mut rows = Vec::new();
    if let Some(before) = &result.pretraining {
        let accuracy = before.train_accuracy.unwrap_or(f64::NAN);
        let trained = format!("{}, accuracy {:.2} %", epochs(before.epochs), 100.0 * accuracy);
        let chosen = before.best_validation.as_ref().filter(|_| before.checkpoint == "best");
        let chosen = chosen.map_or_else(
            || "; the last backbone is used".to_owned(),
            |best| format!("; validation by class means {} (epoch {})", best.accuracy, best.epoch),
        );
        rows.push(("pretraining", trained + &chosen));
    }
    rows.push(("training episodes", result.train_episodes.to_string()));
    if let (Some(loss), Some(accuracy)) = (result.train_loss, result.train_accuracy) {
        rows.push(("last epoch", format!("loss {loss:.4}, accuracy {:.2} %", 100.0 * accuracy)));
    }
    if let Some(epoch) = result.stopped_early {
        rows.push(("stopped early", format!("after epoch {epoch}")));
    }
    if let Some(best) = &result.best_validation {
        rows.push(("best validation", format!("{} (epoch {})", best.accuracy, best.epoch)));
    }
    if let (Some(novel), Some(tested)) = (&result.novel, &result.tested) {
        rows.push((
            "novel accuracy",
            format!("{novel} ({} episodes, {tested} checkpoint)", novel.episodes),
        ));
    }
    if let Some(scores) = &result.scores {
        rows.push(("calibration error", calibration(scores)));
    }
    if result.skipped_steps > 0 {
        let all = result.skipped_steps == result.steps;
        let nothing = if all { ": nothing was learnt" } else { "" };
        let skipped = format!("{} of {}{nothing}", result.skipped_steps, result.steps);
        rows.push(("skipped steps", skipped));
    }
    rows.push(("time", duration(cost.seconds)));
    if result.steps > 0 || result.pretraining.is_some() {
        rows.push(("speed", format!("{:.0} images/s in training", cost.train_images_per_second)));
    }
    let predicted = match cost.predicted_peak_bytes {
        0 => String::new(),
        predicted => format!(" ({} predicted)", bytes(predicted)),
    };
    rows.push(("peak memory", bytes(cost.peak_bytes) + &predicted));
    rows.push(("run", finished.folder.display().to_string()));
    let page = RunFolder::open(&finished.folder).report();
    if page.is_file() {
        rows.push(("report", page.display().to_string()));
    }

    let width = rows.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    rows.iter().map(|(name, value)| format!("  {name:<width$}  {value}\n")).collect()
}

/// Scores by class, the least recognised first, and the calibration.
pub fn scores(scores: &Scores) -> String {
    let mut classes: Vec<(&String, &ClassScore)> = scores.classes.iter().collect();
    classes.sort_by(|a, b| a.1.f1.total_cmp(&b.1.f1));
    let shown = &classes[..classes.len().min(CLASSES)];
    let width = shown.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0).max(5);
    let percent = |value: f64| format!("{:.1}", 100.0 * value);
    let mut text = format!("  {:<width$}  queries  precision  recall     F1\n", "class");
    for (name, score) in shown {
        text += &format!(
            "  {name:<width$}  {:>7}  {:>9}  {:>6}  {:>5}\n",
            score.queries,
            score.precision.map_or("–".into(), percent),
            percent(score.recall),
            percent(score.f1),
        );
    }
    if shown.len() < classes.len() {
        let more = classes.len() - shown.len();
        text +=
            &format!("  and {more} classes that are recognised better (`--metrics` writes all)\n");
    }
    text + &format!("  expected calibration error {}\n", calibration(scores))
}

/// The expected calibration error, as it is and at the temperature of the validation.
fn calibration(scores: &Scores) -> String {
    let plain = format!("{:.2} %", 100.0 * scores.ece);
    scores.calibrated.map_or(plain.clone(), |Calibrated { temperature, ece }| {
        format!("{plain}, {:.2} % at temperature {temperature:.2}", 100.0 * ece)
    })
}

/// `1 epoch`, `7 epochs`.
pub(super) fn epochs(count: usize) -> String {
    if count == 1 { "1 epoch".to_owned() } else { format!("{count} epochs") }
}

/// `512 B`, `3.42 MiB`.
pub fn bytes(count: u64) -> String {
    indicatif::HumanBytes(count).to_string()
}

/// `8.4 s`, `3 min 20 s`, `2 h 05 min`.
pub fn duration(seconds: f64) -> String {
    let whole = seconds.round() as u64;
    match whole {
        0..60 => format!("{seconds:.1} s"),
        60..3600 => format!("{} min {:02} s", whole / 60, whole % 60),
        _ => format!("{} h {:02} min", whole / 3600, whole / 60 % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_times_are_for_people() {
        assert_eq!(bytes(512), "512 B");
        assert_eq!(bytes(1536), "1.50 KiB");
        assert_eq!(bytes(2_518_000_000), "2.35 GiB");
        assert_eq!(duration(8.43), "8.4 s");
        assert_eq!(duration(200.2), "3 min 20 s");
        assert_eq!(duration(7500.0), "2 h 05 min");
    }
}
