//! Where a run stands, in words.

use std::time::SystemTime;

use super::watched::Watched;
use crate::config::TrainingPhase;
use crate::report::axis::number;
use crate::report::log::{Log, Phase, StepLine};
use crate::report::smoothed::Smoothed;
use crate::report::table::{bytes, duration};

/// Steps whose mean is the present pace.
const RECENT: usize = 50;
/// Seconds without an event that are worth a word.
const SILENT: f64 = 10.0;

/// What the run does, in a word or a few.
fn phase(log: &Log) -> &'static str {
    match log.phase {
        Phase::Starting => "starting: no event yet",
        Phase::Training if log.part == TrainingPhase::Pretraining => "pretraining",
        Phase::Training => "training",
        Phase::Validating => "validating",
        Phase::Testing => "testing",
        Phase::Finished => "finished",
    }
}

/// `training 123/500`, where there is little room.
pub(super) fn brief(log: &Log) -> String {
    match (log.current().steps.last(), log.steps_in_all()) {
        (Some(step), Some(all)) => format!("{} {}/{all}", phase(log), step.step),
        _ => phase(log).to_owned(),
    }
}

/// `training on cpu, epoch 3/5, step 123/500`
pub(super) fn headline(log: &Log) -> String {
    let mut text = phase(log).to_owned();
    let current = log.current();
    let last = current.steps.last();
    if let Some(started) = &log.started {
        text += &format!(" on {}", started.device);
        if let (Some(step), Some([epochs, _])) = (last, current.length) {
            text += &format!(", epoch {}/{epochs}", step.epoch);
        }
    }
    match (last, log.steps_in_all()) {
        (Some(step), Some(all)) => text += &format!(", step {}/{all}", step.step),
        (Some(step), None) => text += &format!(", step {}", step.step),
        (None, _) => {}
    }
    text
}

/// The share of the training that is done, from 0 to 1.
pub(super) fn done(log: &Log) -> f64 {
    match (log.phase, log.current().steps.last(), log.steps_in_all()) {
        (Phase::Finished | Phase::Testing, ..) => 1.0,
        (_, Some(step), Some(all)) => (step.step as f64 / all.max(1) as f64).min(1.0),
        _ => 0.0,
    }
}

/// `14.3 s` so far, `3 min 20 s left`, and for how long the run has been silent, if it has.
pub(super) fn time(run: &Watched, now: SystemTime) -> Vec<String> {
    let log = &run.log;
    let mut parts = Vec::new();
    parts.extend(elapsed(log).map(duration));
    parts.extend(left(log).map(|it| format!("{} left", duration(it))));
    if let Some(silence) = run.silence(now).map(|it| it.as_secs_f64())
        && log.phase != Phase::Finished
        && silence > SILENT.max(5.0 * pace(log.current().steps).unwrap_or(0.0))
    {
        parts.push(format!("no event for {}", duration(silence)));
    }
    parts
}

/// What is known in numbers, those that matter most first.
pub(super) fn facts(run: &Watched) -> Vec<String> {
    let log = &run.log;
    let mut facts = Vec::new();
    let recent = |value: fn(&StepLine) -> Option<f64>| {
        Smoothed::of(log.current().steps.iter().filter_map(value))
    };
    if let Some(loss) = recent(|it| it.loss) {
        facts.push(format!("loss {loss:.4}"));
    }
    if let Some(accuracy) = recent(|it| it.accuracy) {
        facts.push(format!("accuracy {:.1} %", 100.0 * accuracy));
    }
    facts.extend(validation(log));
    let result = log.finished.as_ref().map(|it| &it.metrics.result);
    if let Some(novel) = result.and_then(|it| it.novel) {
        facts.push(format!("novel accuracy {novel} ({} episodes)", novel.episodes));
    }
    facts.extend(memory(run));
    if let Some(speed) = recent(|it| it.images_per_second) {
        facts.push(format!("{speed:.0} images/s"));
    }
    if let Some(rate) = log.current().steps.last().and_then(|it| it.learning_rate) {
        facts.push(format!("learning rate {}", number(rate)));
    }
    match log.current().steps.iter().filter(|it| it.skipped).count() {
        0 => {}
        1 => facts.push("1 step skipped".to_owned()),
        skipped => facts.push(format!("{skipped} steps skipped")),
    }
    if log.unreadable > 0 {
        facts.push(format!("{} lines of events.jsonl cannot be read", log.unreadable));
    }
    facts
}

fn validation(log: &Log) -> Option<String> {
    let validated = log.current().validated;
    let last = validated.last()?;
    let text = format!("validation {} in epoch {}", last.accuracy, last.epoch);
    // Of equal ones, the earlier is the best, as in the run.
    let best = validated.iter().rev().max_by(|a, b| a.accuracy.mean.total_cmp(&b.accuracy.mean));
    match best.filter(|best| best.epoch != last.epoch) {
        Some(best) => {
            let percent = 100.0 * best.accuracy.mean;
            Some(format!("{text}, best {percent:.2} % in epoch {}", best.epoch))
        }
        None => Some(text + ", the best so far"),
    }
}

/// `memory 30.10 MiB, peak 36.81 MiB of 35.63 MiB predicted, budget 2.00 GiB`
fn memory(run: &Watched) -> Option<String> {
    let (last, size) = (run.log.current().steps.last(), |it: f64| bytes(it as u64));
    let cost = run.log.finished.as_ref().map(|it| it.metrics.cost);
    let mut parts = Vec::new();
    if let (Some(current), None) = (last.and_then(|it| it.current_bytes), cost) {
        parts.push(size(current));
    }
    let of_steps = || last.and_then(|it| it.peak_bytes).map(|it| it as u64);
    let peak = cost.map(|it| it.peak_bytes).or_else(of_steps).map(bytes);
    let predicted = run.predicted().map(|it| bytes(it) + " predicted");
    parts.extend(match (peak, predicted) {
        (Some(peak), Some(predicted)) => Some(format!("peak {peak} of {predicted}")),
        (Some(peak), None) => Some(format!("peak {peak}")),
        (None, predicted) => predicted,
    });
    if let Some(reserved) = last.and_then(|it| it.reserved_bytes) {
        parts.push(format!("{} reserved", size(reserved)));
    }
    parts.extend(run.budget.map(|it| format!("budget {}", bytes(it))));
    (!parts.is_empty()).then(|| format!("memory {}", parts.join(", ")))
}

impl Watched {
    /// The peak that the plan predicts.
    pub(super) fn predicted(&self) -> Option<u64> {
        let cost = self.log.finished.as_ref().map(|it| it.metrics.cost.predicted_peak_bytes);
        cost.filter(|bytes| *bytes > 0).or(self.log.predicted_peak_bytes)
    }
}

/// Mean seconds of the last steps.
fn pace(steps: &[StepLine]) -> Option<f64> {
    let recent = &steps[steps.len().saturating_sub(RECENT)..];
    let seconds: Vec<f64> = recent.iter().filter_map(|it| it.seconds).collect();
    (!seconds.is_empty()).then(|| seconds.iter().sum::<f64>() / seconds.len() as f64)
}

fn seconds(steps: &[StepLine]) -> f64 {
    steps.iter().filter_map(|it| it.seconds).sum()
}

/// Steps up to the last checkpoint and those after it, and the run's seconds at that checkpoint.
fn at_checkpoint(log: &Log) -> Option<(&[StepLine], &[StepLine], f64)> {
    let (step, seconds) = log.clock?;
    let steps = log.current().steps;
    let (before, after) = steps.split_at(steps.partition_point(|it| it.step <= step));
    Some((before, after, seconds))
}

/// Seconds that the run took, up to its last event.
fn elapsed(log: &Log) -> Option<f64> {
    if let Some(finished) = &log.finished {
        return Some(finished.metrics.cost.seconds);
    }
    match at_checkpoint(log) {
        Some((_, after, so_far)) => Some(so_far + seconds(after)),
        None => {
            let all = seconds(&log.pretraining.steps) + seconds(&log.steps);
            (all > 0.0).then_some(all)
        }
    }
}

/// Seconds of the steps up to a checkpoint, those of pretraining included where that is over.
fn earlier(log: &Log, before: &[StepLine]) -> f64 {
    match log.part {
        TrainingPhase::Episodes => seconds(&log.pretraining.steps) + seconds(before),
        TrainingPhase::Pretraining => seconds(before),
    }
}

/// Seconds of training that are left in this part of it at the present pace. Validations and checkpoints count with their share of the
/// time so far; the test is not in it.
fn left(log: &Log) -> Option<f64> {
    if !matches!(log.phase, Phase::Training | Phase::Validating) {
        return None;
    }
    let taken = log.current().steps;
    let steps = log.steps_in_all()?.checked_sub(taken.last()?.step)?;
    let around = at_checkpoint(log).map_or(1.0, |(before, _, all)| all / earlier(log, before));
    let around = if around.is_finite() { around.max(1.0) } else { 1.0 };
    Some(steps as f64 * pace(taken)? * around)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(text: &str) -> Log {
        let mut log = Log::default();
        log.add_lines(text.as_bytes());
        log
    }

    const STARTED: &str = "{\"event\":\"started\",\"name\":\"a\",\"version\":\"1\",\"device\":\"cpu\",\"seed\":1,\
        \"parameters\":9,\"splits\":[],\"epochs\":2,\"steps_per_epoch\":10,\"resumed_at_step\":0,\"folder\":\"a\"}\n";

    fn steps(range: std::ops::RangeInclusive<usize>) -> String {
        let line = |step| {
            format!(
                "{{\"event\":\"step\",\"step\":{step},\"epoch\":{},\"seconds\":0.5}}\n",
                1 + (step - 1) / 10
            )
        };
        range.map(line).collect()
    }

    #[test]
    fn the_time_left_counts_validations_once_there_was_one() {
        let mut text = String::new();
        assert_eq!(left(&log(&text)), None);
        assert_eq!(headline(&log(&text)), "starting: no event yet");
        text += STARTED;
        assert_eq!((left(&log(&text)), headline(&log(&text)).as_str()), (None, "training on cpu"));
        text += &steps(1..=10);
        assert_eq!((left(&log(&text)), elapsed(&log(&text))), (Some(5.0), Some(5.0)));
        assert_eq!(done(&log(&text)), 0.5);
        text += "{\"event\":\"epoch\",\"epoch\":1,\"loss\":1.0,\"accuracy\":0.5}\n";
        assert_eq!(headline(&log(&text)), "validating on cpu, epoch 1/2, step 10/20");
        text += "{\"event\":\"checkpoint\",\"step\":10,\"path\":\"c\",\"seconds\":15.0}\n";
        assert_eq!((left(&log(&text)), elapsed(&log(&text))), (Some(15.0), Some(15.0)));
        text += &steps(11..=18);
        assert_eq!((left(&log(&text)), elapsed(&log(&text))), (Some(3.0), Some(19.0)));
        text += &steps(19..=20);
        text += "{\"event\":\"checkpoint\",\"step\":20,\"path\":\"c\",\"seconds\":30.0}\n";
        assert_eq!(headline(&log(&text)), "testing on cpu, epoch 2/2, step 20/20");
        assert_eq!((left(&log(&text)), elapsed(&log(&text))), (None, Some(30.0)));
    }

    #[test]
    fn steps_that_are_taken_again_count_once() {
        let resumed = STARTED.replace("\"resumed_at_step\":0", "\"resumed_at_step\":4");
        let log = log(&(STARTED.to_owned() + &steps(1..=7) + &resumed + &steps(5..=6)));
        let taken: Vec<usize> = log.steps.iter().map(|it| it.step).collect();
        assert_eq!(taken, [1, 2, 3, 4, 5, 6]);
    }

    #[test]
    fn the_best_validation_is_named_where_the_last_one_is_not_it() {
        let validated = |epoch, mean| {
            format!(
                "{{\"event\":\"validated\",\"epoch\":{epoch},\"accuracy\":{{\"mean\":{mean},\"ci95\":0.01,\
                 \"episodes\":9}},\"best\":false}}\n"
            )
        };
        let mut text = validated(1, 0.5) + &validated(2, 0.75);
        let said = validation(&log(&text)).unwrap();
        assert_eq!(said, "validation 75.00 ± 1.00 % in epoch 2, the best so far");
        text += &validated(3, 0.75);
        let said = validation(&log(&text)).unwrap();
        assert_eq!(said, "validation 75.00 ± 1.00 % in epoch 3, best 75.00 % in epoch 2");
    }

    #[test]
    fn pretraining_has_steps_epochs_and_a_time_left_of_its_own() {
        let length = "\"folder\":\"a\",\"pretraining\":{\"epochs\":3,\"steps_per_epoch\":4,\
                      \"resumed_at_step\":0,\"is_over\":false}";
        let mut text = STARTED.replace("\"folder\":\"a\"", length);
        text += &steps(1..=6).replace("\"event\":\"step\"", "\"event\":\"pretrain_step\"");
        let before = log(&text);
        assert_eq!(headline(&before), "pretraining on cpu, epoch 1/3, step 6/12");
        assert_eq!((left(&before), elapsed(&before), done(&before)), (Some(3.0), Some(3.0), 0.5));
        text += "{\"event\":\"pretrained\",\"epochs\":3,\"steps\":12,\"skipped_steps\":0,\"train_loss\":1.0,\
                 \"train_accuracy\":0.5,\"best_validation\":null,\"checkpoint\":\"last\"}\n";
        text += &steps(1..=5);
        let after = log(&text);
        assert_eq!(headline(&after), "training on cpu, epoch 1/2, step 5/20");
        assert_eq!((after.steps.len(), after.pretraining.steps.len()), (5, 6));
    }
}
