//! Sentences about a run: its weights, its peak memory, its memory settings.

use super::table::{bytes, epochs};
use crate::config::Memory;
use crate::device::MemoryUse;
use crate::run::events::{LoadedWeights, Pretrained, StoppedEarly};

/// `stopped early after epoch 7 of 50: validation accuracy has not risen since epoch 4`
pub(super) fn stopped_early(stopped: &StoppedEarly) -> String {
    let StoppedEarly { epoch, of, best_epoch, min_delta } = stopped;
    let by = match *min_delta {
        0.0 => String::new(),
        by => format!(" by more than {} percentage points", (1e4 * by).round() / 100.0),
    };
    format!(
        "stopped early after epoch {epoch} of {of}: validation accuracy has not risen{by} since \
         epoch {best_epoch}"
    )
}

/// `pretraining is over after 3 epochs: the episodes start from the best backbone (validation by class means
/// 61.20 ± 1.10 % in epoch 2)`
pub(super) fn pretrained(it: &Pretrained) -> String {
    let chosen = match (it.checkpoint.as_str(), &it.best_validation) {
        ("best", Some(best)) => format!(
            "the best backbone (validation by class means {} in epoch {})",
            best.accuracy, best.epoch
        ),
        _ => "the last backbone".to_owned(),
    };
    let epochs = epochs(it.epochs);
    format!("pretraining is over after {epochs}: the episodes start from {chosen}")
}

/// The advice about a peak that is far from its prediction.
pub(super) fn peak_differs(peak: u64, predicted: u64) -> String {
    let share = 100.0 * peak as f64 / predicted.max(1) as f64;
    let advice = if peak > predicted {
        "a `memory.budget` needs that much room above the prediction"
    } else {
        "a smaller `memory.budget` would do"
    };
    format!(
        "the peak of {} is {share:.0} % of the predicted {}: {advice}",
        bytes(peak),
        bytes(predicted)
    )
}

/// `weights: resnet18.pth, 102 tensors loaded; left fc.bias, fc.weight and 20 batch counters`
pub(super) fn loaded(weights: &LoadedWeights) -> String {
    let LoadedWeights { path, prefix, matched, left, missing } = weights;
    let mut text = format!("weights: {}, {matched} tensors loaded", path.display());
    if !prefix.is_empty() {
        text.push_str(&format!(" from under `{prefix}`"));
    }
    // One for each batch norm, which only PyTorch keeps: naming them would hide what matters.
    let (counters, others): (Vec<_>, Vec<_>) =
        left.iter().partition(|name| name.ends_with("num_batches_tracked"));
    let mut parts = some_of(&others);
    if !counters.is_empty() {
        parts.push(format!("{} batch counters", counters.len()));
    }
    if !parts.is_empty() {
        text.push_str(&format!("; left in the file: {}", parts.join(", ")));
    }
    if !missing.is_empty() {
        let missing: Vec<_> = missing.iter().collect();
        text.push_str(&format!("; at initial values: {}", some_of(&missing).join(", ")));
    }
    text
}

/// `peak 2.70 GiB`, and what a GPU's pool held for it: `peak 2.70 GiB, 2.84 GiB reserved`.
pub(super) fn peak(memory: &MemoryUse) -> String {
    let reserved = memory.reserved_bytes;
    let reserved = reserved.map_or_else(String::new, |it| format!(", {} reserved", bytes(it)));
    format!("peak {}{reserved}", bytes(memory.peak_bytes))
}

/// The first few, and how many more.
fn some_of(names: &[&String]) -> Vec<String> {
    const SHOWN: usize = 6;
    let mut shown: Vec<String> = names.iter().take(SHOWN).map(|name| (*name).clone()).collect();
    if names.len() > SHOWN {
        shown.push(format!("{} more", names.len() - SHOWN));
    }
    shown
}

/// The memory settings that are not the defaults, as a pipeline has them: `amp: f16, recompute: block`.
pub(super) fn settings(memory: &Memory) -> String {
    let [memory, defaults] =
        [memory, &Memory::default()].map(|it| serde_json::to_value(it).unwrap_or_default());
    let changed = memory.as_object().into_iter().flatten();
    let changed = changed.filter(|(key, value)| defaults.get(key) != Some(value));
    let text = changed.map(|(key, value)| match value.as_str() {
        Some(word) => format!("{key}: {word}"),
        None => format!("{key}: {value}"),
    });
    text.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_loaded_is_said_in_a_line() {
        let names = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
        let weights = LoadedWeights {
            path: "r.pth".into(),
            prefix: "state_dict.".into(),
            matched: 2,
            left: names(&["fc.bias", "bn1.num_batches_tracked"]),
            missing: names(&["layer4.0.conv1.weight"]),
        };
        assert_eq!(
            loaded(&weights),
            "weights: r.pth, 2 tensors loaded from under `state_dict.`; left in the file: fc.bias, \
             1 batch counters; at initial values: layer4.0.conv1.weight"
        );
    }

    #[test]
    fn memory_settings_are_those_that_were_changed() {
        use crate::config::{Amp, Recompute};
        let memory = Memory { amp: Amp::F16, recompute: Recompute::Block, ..Memory::default() };
        assert_eq!(settings(&memory), "recompute: block, amp: f16");
    }

    #[test]
    fn a_peak_below_its_prediction_asks_for_no_room() {
        let above = peak_differs(130 << 20, 100 << 20);
        assert!(above.contains("130.00 MiB is 130 %") && above.contains("room above"), "{above}");
        let below = peak_differs(78 << 20, 100 << 20);
        assert!(below.contains("78 % of the predicted 100.00 MiB"), "{below}");
        assert!(below.contains("smaller") && !below.contains("room"), "{below}");
    }

    #[test]
    fn an_early_stop_names_the_epoch_of_the_last_improvement() {
        let stopped = StoppedEarly { epoch: 7, of: 50, best_epoch: 4, min_delta: 0.0 };
        assert_eq!(
            stopped_early(&stopped),
            "stopped early after epoch 7 of 50: validation accuracy has not risen since epoch 4"
        );
        let stopped = stopped_early(&StoppedEarly { min_delta: 0.07, ..stopped });
        assert!(stopped.contains("risen by more than 7 percentage points since"), "{stopped}");
    }
}
