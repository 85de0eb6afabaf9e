use super::resolve::network;
use crate::config::{AccumulationUnit, Amp, LossScale, Memory, Pipeline, Recompute};
use crate::network::{Network, Segment};

/// A resolved pipeline with its stages in order.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// The pipeline.
    pub pipeline: Pipeline,
    /// Its network.
    pub network: Network,
    /// Stages around a step, outermost first; the embedding's stages last.
    pub stages: Vec<StageSpec>,
    /// What the user should know about this combination.
    pub notes: Vec<Note>,
}

/// One memory optimisation, as data.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum StageSpec {
    /// Return cached memory every so many steps.
    ClearCache {
        /// Steps between two clearings.
        every: usize,
    },
    /// Multiply the loss, divide the gradients.
    LossScale(Scale),
    /// Several episodes a step.
    Accumulate {
        /// Episodes an optimizer step.
        steps: usize,
    },
    /// 16-bit matrix products.
    Autocast(Precision),
    /// Keep the inputs of segments of the backbone, and run the segments again.
    Recompute(Segment),
    /// One episode in parts.
    MicroBatch {
        /// Parts an episode.
        steps: usize,
    },
}

/// A 16-bit precision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Precision {
    /// IEEE half.
    F16,
    /// bfloat16.
    Bf16,
}

/// How the loss is scaled.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Scale {
    /// Follows overflows.
    Dynamic,
    /// Stays.
    Fixed(f64),
}

/// Something the user should know about a combination of stages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// Key that it is about.
    pub key: &'static str,
    /// What to know.
    pub text: String,
}

/// Resolves a pipeline into the stages that carry it out.
pub fn compile(pipeline: &Pipeline) -> Plan {
    let memory = &pipeline.memory;
    let mut stages = Vec::new();
    if memory.clear_cache_every > 0 {
        stages.push(StageSpec::ClearCache { every: memory.clear_cache_every });
    }
    // bf16 has f32's range: nothing to keep above underflow.
    if memory.amp == Amp::F16 {
        stages.push(StageSpec::LossScale(match memory.loss_scale {
            LossScale::Dynamic => Scale::Dynamic,
            LossScale::Fixed(scale) => Scale::Fixed(scale),
        }));
    }
    stages.push(StageSpec::Accumulate { steps: episodes_a_step(memory) });
    match memory.amp {
        Amp::Off => {}
        Amp::F16 => stages.push(StageSpec::Autocast(Precision::F16)),
        Amp::Bf16 => stages.push(StageSpec::Autocast(Precision::Bf16)),
    }
    if memory.accumulation_unit == AccumulationUnit::Queries && memory.accumulation_steps > 1 {
        stages.push(StageSpec::MicroBatch { steps: memory.accumulation_steps });
    }
    match memory.recompute {
        Recompute::None => {}
        Recompute::Block => stages.push(StageSpec::Recompute(Segment::Block)),
        Recompute::Stage => stages.push(StageSpec::Recompute(Segment::LayerGroup)),
    }
    Plan { pipeline: pipeline.clone(), network: network(pipeline), notes: notes(memory), stages }
}

fn episodes_a_step(memory: &Memory) -> usize {
    match memory.accumulation_unit {
        AccumulationUnit::Episodes => memory.accumulation_steps.max(1),
        AccumulationUnit::Queries => 1,
    }
}

fn notes(memory: &Memory) -> Vec<Note> {
    if memory.accumulation_steps < 2 {
        return Vec::new();
    }
    vec![match memory.accumulation_unit {
        AccumulationUnit::Episodes => Note {
            key: "memory.accumulation_unit",
            text: "whole episodes are accumulated: the effective batch grows, the peak does not \
                   fall; `queries` splits an episode and lowers the peak"
                .into(),
        },
        AccumulationUnit::Queries => Note {
            key: "memory.accumulation_unit",
            text: "the loss is exact, batch norm is not: each micro-batch is normalised by its \
                   own statistics, not the episode's"
                .into(),
        },
    }]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Overrides, load_str};

    fn stages(memory: &str) -> Vec<StageSpec> {
        let text = format!(
            "data: {{format: synthetic, image_size: 28}}\nbackbone: {{kind: conv4s}}\n\
             method: {{kind: fsct}}\nmemory: {{{memory}}}\n"
        );
        let loaded = load_str("test", &text, &Overrides::default()).unwrap();
        compile(&loaded.pipeline).stages
    }

    #[test]
    fn a_plain_pipeline_is_one_episode_a_step() {
        assert_eq!(stages(""), [StageSpec::Accumulate { steps: 1 }]);
    }

    #[test]
    fn every_stage_has_its_place() {
        let all = "accumulation_steps: 4, accumulation_unit: queries, amp: f16, recompute: block, \
                   clear_cache_every: 50";
        let expected = [
            StageSpec::ClearCache { every: 50 },
            StageSpec::LossScale(Scale::Dynamic),
            StageSpec::Accumulate { steps: 1 },
            StageSpec::Autocast(Precision::F16),
            StageSpec::MicroBatch { steps: 4 },
            StageSpec::Recompute(Segment::Block),
        ];
        assert_eq!(stages(all), expected);
    }

    #[test]
    fn bf16_needs_no_loss_scale() {
        let expected = [StageSpec::Accumulate { steps: 1 }, StageSpec::Autocast(Precision::Bf16)];
        assert_eq!(stages("amp: bf16"), expected);
    }
}
