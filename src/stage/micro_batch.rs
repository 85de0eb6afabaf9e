//! `memory.accumulation_unit: queries`: one episode in micro-batches.
//!
//! *Saves*: the activations of one micro-batch are kept instead of the whole episode's.
//! *Costs*: one more forward pass through the backbone.
//! *When results change*: the loss, the prototypes and VIC see the whole episode, so they are
//! exact. Batch norm on batch statistics is not: each micro-batch is normalised by its own statistics. With frozen
//! statistics, and without batch norms, as in a vision transformer, nothing changes.
//!
//! ```yaml
//! memory: {accumulation_steps: 4, accumulation_unit: queries}
//! ```

use std::rc::Rc;

use burn::prelude::*;

use super::embed::{Embed, Embedded, SampleNorm, Tape};
use super::grads::Gradients;
use super::seat::{Build, BuildContext, Seat};
use super::state::StageState;
use crate::model::layers::joined;
use crate::model::{Backbone, Moments, Sample};
use crate::network::BatchNormMode;

/// The stage as data.
pub mod spec {
    use crate::config::{AccumulationUnit, BatchNormMode, Memory, Pipeline};
    use crate::stage::spec::{Description, DeviceKind, MemoryStage, Note, StepShape};

    /// One episode in parts.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct Spec {
        /// Parts of an episode, at least 2.
        pub parts: usize,
        /// Whether batch norms use the statistics of each part.
        pub batch_statistics: bool,
    }

    /// Numbers of parts that are tried.
    const TRIED: [usize; 5] = [2, 4, 8, 16, 32];
    /// Parts that are measured where the pipeline has none.
    const MEASURED: usize = 4;

    impl MemoryStage for Spec {
        fn describe(&self) -> Description {
            Description {
                stage: "micro_batch",
                setting: format!("{} parts an episode", self.parts),
                saves: "the activations of all parts but one",
                costs: "one more forward pass",
                changes: match self.batch_statistics {
                    true => "batch norm sees a part at a time; the loss is exact",
                    false => "never",
                },
            }
        }

        fn notes(&self) -> Vec<Note> {
            if !self.batch_statistics {
                return Vec::new();
            }
            vec![Note {
                key: "memory.accumulation_unit",
                text:
                    "the loss is exact, batch norm is not: each micro-batch is normalised by its \
                       own statistics, not the episode's"
                        .into(),
            }]
        }

        fn slowdown(&self, device: DeviceKind) -> f64 {
            // Another forward pass; and each doubling of the parts leaves the device less to do at
            // once, which costs a GPU more.
            let (forward, halving) = match device {
                DeviceKind::Cpu => (0.36, 0.03),
                DeviceKind::Gpu => (0.37, 0.19),
            };
            forward + halving * (self.parts as f64).log2()
        }

        fn shape(&self, step: &mut StepShape) {
            step.parts = self.parts;
        }

        fn plan(pipeline: &Pipeline) -> Option<Self> {
            let parts = pipeline.memory.accumulation_steps;
            match pipeline.memory.accumulation_unit {
                // Without a backward pass through the backbone there are no activations to save.
                AccumulationUnit::Queries if parts > 1 && pipeline.backbone.train => {
                    let norm = pipeline.backbone.resolved_batch_norm();
                    let batch_statistics = norm != BatchNormMode::Frozen;
                    Some(Self { parts, batch_statistics })
                }
                AccumulationUnit::Queries | AccumulationUnit::Episodes => None,
            }
        }

        fn choices(pipeline: &Pipeline) -> Vec<Memory> {
            let memory = &pipeline.memory;
            let least = memory.accumulation_steps;
            let mut choices = vec![memory.clone()];
            // The keys that count episodes cannot count parts of one as well.
            let counts_episodes =
                memory.accumulation_unit == AccumulationUnit::Episodes && least > 1;
            if counts_episodes || !pipeline.backbone.train {
                return choices;
            }
            let images = pipeline.episode.smallest().images();
            let more = TRIED.into_iter().filter(|parts| *parts > least && *parts <= images / 2);
            choices.extend(more.map(|parts| in_parts(memory, parts)));
            choices
        }

        fn bench(pipeline: &Pipeline, base: &Memory) -> Vec<(String, Memory)> {
            if !pipeline.backbone.train {
                return Vec::new();
            }
            let parts = Self::plan(pipeline).map_or(MEASURED, |own| own.parts);
            vec![(format!("queries/{parts}"), in_parts(base, parts))]
        }
    }

    fn in_parts(memory: &Memory, parts: usize) -> Memory {
        Memory {
            accumulation_unit: AccumulationUnit::Queries,
            accumulation_steps: parts,
            ..memory.clone()
        }
    }
}

impl Build for spec::Spec {
    fn seat(&self, cx: &BuildContext) -> Seat {
        let (steps, norm) = (self.parts, cx.norm);
        Seat::Embedding(Box::new(move |inner| Rc::new(MicroBatch { steps, inner, norm })))
    }
}

/// Embeds an episode in `steps` micro-batches.
pub struct MicroBatch {
    /// Micro-batches in an episode.
    pub steps: usize,
    /// The embedding that each is run through again, with a tape.
    pub inner: Rc<dyn Embed>,
    /// Statistics that batch norms use.
    pub norm: BatchNormMode,
}

impl Embed for MicroBatch {
    fn embed(&self, backbone: &Backbone, images: Tensor<4>) -> Embedded {
        let (features, moments) = self.features(backbone, images.clone());
        let tape = MicroBatchTape { steps: self.steps, images, inner: self.inner.clone() };
        Embedded { features, moments, tape: Box::new(tape) }
    }

    fn features(&self, backbone: &Backbone, images: Tensor<4>) -> (Tensor<4>, Vec<Moments>) {
        let parts = Parts::new(images.dims()[0], self.steps);
        let plain = backbone.off_tape();
        let mut moments: Option<Vec<Moments>> = None;
        let outputs = (0..parts.count).map(|part| {
            let mut used = Vec::new();
            let output =
                plain.forward(parts.take(images.clone(), part), &mut self.norm.training(&mut used));
            moments = Some(match moments.take() {
                Some(pooled) => pooled.into_iter().zip(used).map(|(a, b)| a.pool(b)).collect(),
                None => used,
            });
            output
        });
        let features = parts.join(outputs.collect());
        (features, moments.unwrap_or_default())
    }

    fn gradients(
        &self,
        backbone: &Backbone,
        images: Tensor<4>,
        d_features: Tensor<4>,
        norm: &SampleNorm,
        sum: &mut Gradients,
    ) {
        let rows = images.dims()[0];
        let parts = Parts::new(rows, self.steps);
        for part in 0..parts.count {
            let images = parts.take(images.clone(), part);
            // Each part is a sample of as many images of the episode as it stands for.
            let share = images.dims()[0] as f64 / rows as f64;
            let norm = match norm {
                SampleNorm::Frozen => SampleNorm::Frozen,
                SampleNorm::Episode(sample) => SampleNorm::Episode(Sample {
                    weights: parts.take(sample.weights.clone(), part),
                    images: sample.images * share,
                }),
            };
            let d_part = parts.take(d_features.clone(), part);
            self.inner.gradients(backbone, images, d_part, &norm, sum);
        }
    }
}

struct MicroBatchTape {
    steps: usize,
    images: Tensor<4>,
    inner: Rc<dyn Embed>,
}

impl Tape for MicroBatchTape {
    fn backward(
        self: Box<Self>,
        backbone: &Backbone,
        d_features: Tensor<4>,
        state: &mut StageState,
        sum: &mut Gradients,
    ) {
        let parts = Parts::new(self.images.dims()[0], self.steps);
        for part in 0..parts.count {
            let again = self.inner.embed(backbone, parts.take(self.images.clone(), part));
            let d_part = parts.take(d_features.clone(), part);
            again.tape.backward(backbone, d_part, state, sum);
        }
    }
}

/// Divides the rows of an episode so that each part is a fair sample of it: row `r` goes to part
/// `r mod count`. Rows are ordered by class, support first, so consecutive rows would be of few
/// classes, and so would their batch statistics.
struct Parts {
    rows: usize,
    count: usize,
}

impl Parts {
    fn new(rows: usize, count: usize) -> Self {
        Self { rows, count: count.clamp(1, rows.max(1)) }
    }

    fn take<const D: usize>(&self, rows: Tensor<D>, part: usize) -> Tensor<D> {
        let picked: Vec<i64> =
            (part..self.rows).step_by(self.count).map(|row| row as i64).collect();
        let device = rows.device();
        let length = picked.len();
        rows.select(0, Tensor::from_data(TensorData::new(picked, [length]), &device))
    }

    fn join(&self, parts: Vec<Tensor<4>>) -> Tensor<4> {
        let mut order: Vec<(usize, i64)> = (0..self.count)
            .flat_map(|part| (part..self.rows).step_by(self.count))
            .enumerate()
            .map(|(at, row)| (row, at as i64))
            .collect();
        order.sort_unstable();
        let back: Vec<i64> = order.into_iter().map(|(_, at)| at).collect();
        let joined = joined(parts);
        let device = joined.device();
        joined.select(0, Tensor::from_data(TensorData::new(back, [self.rows]), &device))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_put_together_are_the_whole() {
        let device = Device::flex();
        for (rows, count) in [(7, 3), (6, 6), (5, 1), (3, 9)] {
            let values: Vec<f32> = (0..rows).map(|row| row as f32).collect();
            let whole = Tensor::<4>::from_data(TensorData::new(values, [rows, 1, 1, 1]), &device);
            let parts = Parts::new(rows, count);
            let taken = (0..parts.count).map(|part| parts.take(whole.clone(), part)).collect();
            assert_eq!(
                parts.join(taken).into_data(),
                whole.into_data(),
                "{rows} rows, {count} parts"
            );
        }
    }
}
