//! The cheapest memory settings under which a pipeline fits.

use super::footprint::Environment;
use super::{Footprint, compile};
use crate::config::{AccumulationUnit, Amp, ByteSize, Memory, Pipeline, Recompute};

/// Memory settings, and what they cost.
#[derive(Debug, Clone, PartialEq)]
pub struct Setting {
    /// The settings.
    pub memory: Memory,
    /// Peak bytes that they take.
    pub peak_bytes: u64,
    /// Time of a step against the plain step's, estimated.
    pub slowdown: f64,
}

/// Parts that an episode is tried in.
const PARTS: [usize; 6] = [1, 2, 4, 8, 16, 32];
/// A forward pass is a third of a step.
const ANOTHER_FORWARD: f64 = 0.36;
/// Each doubling of the parts leaves a device a little less to do at once.
const HALVED: f64 = 0.03;
/// What 16 bits cost on a CPU, which has no units for them.
const CONVERSIONS: f64 = 0.5;

/// Every setting that computes what `pipeline` asks for with the same effective batch, cheapest
/// first. Precision changes results the most and is tried last among equals.
pub fn settings(pipeline: &Pipeline, environment: Environment) -> Vec<Setting> {
    let mut settings = Vec::new();
    for amp in amps(pipeline.memory.amp) {
        for recompute in recomputes(pipeline) {
            for (unit, steps) in accumulations(pipeline) {
                let memory = Memory {
                    amp,
                    recompute,
                    accumulation_unit: unit,
                    accumulation_steps: steps,
                    ..pipeline.memory.clone()
                };
                let changed = Pipeline { memory: memory.clone(), ..pipeline.clone() };
                let footprint = Footprint::of(&compile(&changed), environment);
                let slowdown = slowdown(&memory);
                settings.push(Setting { memory, peak_bytes: footprint.peak.total(), slowdown });
            }
        }
    }
    settings.sort_by(|a, b| a.slowdown.total_cmp(&b.slowdown));
    settings
}

/// The cheapest setting that fits, if any does.
pub fn fit(
    pipeline: &Pipeline,
    budget: ByteSize,
    environment: Environment,
) -> Result<Setting, Setting> {
    let settings = settings(pipeline, environment);
    let smallest = settings.iter().min_by_key(|setting| setting.peak_bytes).cloned();
    settings
        .into_iter()
        .find(|setting| setting.peak_bytes <= budget.0)
        .ok_or_else(|| smallest.expect("there is always the setting that stands there"))
}

/// The next setting that takes clearly less than `pipeline`'s own, the cheapest of those; for when
/// memory ran out although it should not have.
pub fn stronger(pipeline: &Pipeline, environment: Environment) -> Option<Setting> {
    let now = Footprint::of(&compile(pipeline), environment);
    // A step to a setting that hardly saves anything would only run out again.
    let enough = now.peak.total() - now.step / 5;
    settings(pipeline, environment).into_iter().find(|setting| {
        setting.peak_bytes < enough && setting.slowdown >= slowdown(&pipeline.memory)
    })
}

/// Time of a step against the plain step's.
pub fn slowdown(memory: &Memory) -> f64 {
    let mut factor = 1.0;
    if memory.recompute != Recompute::None {
        factor += ANOTHER_FORWARD;
    }
    if memory.accumulation_unit == AccumulationUnit::Queries && memory.accumulation_steps > 1 {
        factor += ANOTHER_FORWARD + HALVED * (memory.accumulation_steps as f64).log2();
    }
    if memory.amp != Amp::Off {
        factor += CONVERSIONS;
    }
    factor
}

fn amps(now: Amp) -> Vec<Amp> {
    match now {
        Amp::Off => vec![Amp::Off, Amp::F16],
        chosen => vec![chosen],
    }
}

fn recomputes(pipeline: &Pipeline) -> Vec<Recompute> {
    match pipeline.memory.recompute {
        // Nothing is kept of a backbone that is not trained.
        Recompute::None if pipeline.backbone.train => {
            vec![Recompute::None, Recompute::Block, Recompute::Stage]
        }
        chosen => vec![chosen],
    }
}

/// Ways to go through an episode; several episodes a step leave no room for parts of one.
fn accumulations(pipeline: &Pipeline) -> Vec<(AccumulationUnit, usize)> {
    let memory = &pipeline.memory;
    if memory.accumulation_unit == AccumulationUnit::Episodes && memory.accumulation_steps > 1
        || !pipeline.backbone.train
    {
        return vec![(memory.accumulation_unit, memory.accumulation_steps)];
    }
    let episode = pipeline.episode;
    let images = episode.n_way * (episode.k_shot + episode.n_query);
    let least = memory.accumulation_steps;
    let mut ways = vec![(memory.accumulation_unit, least)];
    let more = PARTS.into_iter().filter(|parts| *parts > least && *parts <= images / 2);
    ways.extend(more.map(|parts| (AccumulationUnit::Queries, parts)));
    ways
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Overrides, load_str};

    const HERE: Environment =
        Environment { threads: 2, thread_bytes: 0, data_bytes: 0, tested_images: 0 };

    fn pipeline(memory: &str) -> Pipeline {
        let text = format!(
            "data: {{format: synthetic, image_size: 224}}\nepisode: {{k_shot: 5, n_query: 16}}\n\
             backbone: {{kind: resnet18}}\nmethod: {{kind: profoct}}\nmemory: {{{memory}}}\n"
        );
        load_str("test", &text, &Overrides::default()).unwrap().pipeline
    }

    fn budget(text: &str) -> ByteSize {
        text.parse().unwrap()
    }

    #[test]
    fn nothing_is_changed_that_fits() {
        let pipeline = pipeline("");
        let setting = fit(&pipeline, budget("64GiB"), HERE).unwrap();
        assert_eq!(setting.memory, pipeline.memory);
    }

    #[test]
    fn a_smaller_budget_costs_more_time_and_is_kept() {
        let pipeline = pipeline("");
        let mut before = 1.0;
        for size in ["3GiB", "2500MiB", "2GiB", "1500MiB"] {
            let Ok(setting) = fit(&pipeline, budget(size), HERE) else { continue };
            assert!(setting.peak_bytes <= budget(size).0, "{size}");
            assert!(setting.slowdown >= before, "{size}");
            before = setting.slowdown;
        }
        assert!(before > 1.0);
    }

    #[test]
    fn what_cannot_fit_says_what_it_would_take() {
        let smallest = fit(&pipeline(""), budget("10MiB"), HERE).unwrap_err();
        assert!(smallest.peak_bytes > budget("10MiB").0);
    }

    #[test]
    fn escalation_goes_on_until_nothing_is_left() {
        let mut now = pipeline("");
        let mut peaks = vec![Footprint::of(&compile(&now), HERE).peak.total()];
        while let Some(next) = stronger(&now, HERE) {
            assert!(next.peak_bytes < *peaks.last().unwrap());
            peaks.push(next.peak_bytes);
            now.memory = next.memory;
            assert!(peaks.len() < 30, "it never ends");
        }
        assert!(peaks.len() > 2, "{peaks:?}");
    }

    #[test]
    fn several_episodes_a_step_stay_several() {
        let settings = settings(&pipeline("accumulation_steps: 4"), HERE);
        assert!(settings.iter().all(|it| {
            it.memory.accumulation_unit == AccumulationUnit::Episodes
                && it.memory.accumulation_steps == 4
        }));
    }
}
