//! `memory.backprop`: a sample of an episode's images is propagated back through the backbone.
//!
//! All images are embedded without a tape, and the head gives the gradient at the features of each.
//! A sample of the images is then embedded again with a tape, and its gradients, each divided by the
//! image's inclusion probability, are propagated back: the Horvitz–Thompson estimate of the backbone's
//! gradient. With equal probabilities it is LITE (Bronskill et al., "Memory Efficient Meta-Learning with
//! Large Images", NeurIPS 2021, arXiv 2107.01105), here over support and queries.
//!
//! *Saves*: the activations of the images that are not sampled, and the time of their backward pass.
//! *Costs*: noise in the backbone's gradient; a forward pass of all images without a tape.
//! *When results change*: always. The loss and the head's gradients are exact, and the backbone's
//! gradient is unbiased where batch norm is frozen. On batch statistics, the sample is normalised by
//! the episode's moments, and the gradient through these moments is estimated from the sample as well:
//! a product of two estimates, whose bias falls with the size of the sample (`docs/memory.md`).
//!
//! ```yaml
//! memory: {backprop: {share: 0.25, sampling: gradient}}
//! ```

use std::rc::Rc;

use burn::prelude::*;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::embed::{Embed, Embedded, SampleNorm, Tape};
use super::grads::Gradients;
use super::sampling::{self, Drawn};
use super::seat::{Build, BuildContext, Seat};
use super::spec::Sampled;
use super::state::StageState;
use crate::config::Sampling;
use crate::model::layers::{joined, to_f32, to_host};
use crate::model::{Backbone, Moments, Sample};
use crate::network::BatchNormMode;

/// The stage as data.
pub mod spec {
    use crate::config::{Backprop, BatchNormMode, Memory, Pipeline, Sampling};
    use crate::stage::micro_batch;
    use crate::stage::spec::{Description, DeviceKind, MemoryStage, Note, Sampled, StepShape};

    /// A sample of each episode's images is propagated back.
    #[derive(Debug, Clone, Copy, PartialEq)]
    pub struct Spec {
        /// Share of the images that is sampled, above 0 and at most 1.
        pub share: f64,
        /// How images are sampled.
        pub sampling: Sampling,
        /// Seed of the samples.
        pub seed: u64,
        /// Whether batch norms use the statistics of the episode.
        pub batch_statistics: bool,
        /// Whether the images then pass the first block in chunks: not where they pass the backbone in micro-batches,
        /// which have statistics of their own.
        pub first_in_chunks: bool,
    }

    impl Spec {
        /// The sample, unless it has all images.
        pub fn sampled(&self) -> Option<Sampled> {
            let sampled = Sampled { share: self.share, together: self.batch_statistics };
            (self.share < 1.0).then_some(sampled)
        }
    }

    impl MemoryStage for Spec {
        fn describe(&self) -> Description {
            let sampling = match self.sampling {
                Sampling::Gradient => "gradient",
                Sampling::Uniform => "uniform",
            };
            Description {
                stage: "backprop",
                setting: format!("share {}, {sampling}", self.share),
                saves: "activations and backward pass of the images that are not sampled",
                costs: "a noisier gradient of the backbone",
                changes: match self.batch_statistics {
                    true => "by sampling; gradients through batch statistics are estimated",
                    false => "by sampling, without bias; the head's gradients are exact",
                },
            }
        }

        fn notes(&self) -> Vec<Note> {
            if self.sampled().is_none() || !self.batch_statistics {
                return Vec::new();
            }
            vec![Note {
                key: "memory.backprop",
                text: "the sample is normalised by the batch norm statistics of the whole episode, and \
                       the gradient through them is estimated from the sample, which has a small \
                       bias; with `backbone.batch_norm: frozen` there is none"
                    .into(),
            }]
        }

        fn slowdown(&self, device: DeviceKind) -> f64 {
            if self.sampled().is_none() {
                return 0.0;
            }
            // A forward pass of all images, and a step of the sample.
            let forward = match device {
                DeviceKind::Cpu => 0.36,
                DeviceKind::Gpu => 0.37,
            };
            // The first block passes twice, for the moments.
            let first = if self.batch_statistics { 0.03 } else { 0.0 };
            forward + first + self.share - 1.0
        }

        fn shape(&self, step: &mut StepShape) {
            step.sampled = self.sampled();
        }

        fn plan(pipeline: &Pipeline) -> Option<Self> {
            let Backprop { share, sampling, seed } = pipeline.memory.backprop?;
            let norm = pipeline.backbone.resolved_batch_norm();
            // Without a backward pass through the backbone there is nothing to sample.
            pipeline.backbone.train.then_some(Self {
                share,
                sampling,
                seed: seed.unwrap_or(pipeline.seed),
                batch_statistics: norm != BatchNormMode::Frozen,
                first_in_chunks: micro_batch::spec::Spec::plan(pipeline).is_none(),
            })
        }

        fn choices(pipeline: &Pipeline) -> Vec<Memory> {
            // Another share has another gradient.
            vec![pipeline.memory.clone()]
        }

        fn bench(pipeline: &Pipeline, base: &Memory) -> Vec<(String, Memory)> {
            // Only of pipelines that ask for it, as it changes the gradient.
            let Some(own) = pipeline.memory.backprop.filter(|_| pipeline.backbone.train) else {
                return Vec::new();
            };
            let memory = Memory { backprop: Some(own), ..base.clone() };
            vec![(format!("backprop/{}", own.share), memory)]
        }
    }
}

impl Build for spec::Spec {
    fn seat(&self, cx: &BuildContext) -> Seat {
        let (spec, norm) = (*self, cx.norm);
        Seat::Embedding(Box::new(move |inner| match spec.sampled() {
            Some(sampled) => Rc::new(Backprop {
                sampled,
                sampling: spec.sampling,
                seed: spec.seed,
                norm,
                first_in_chunks: spec.first_in_chunks,
                inner,
            }),
            None => inner,
        }))
    }
}

/// Propagates a sample of an episode's images back.
pub struct Backprop {
    /// The size of the sample.
    pub sampled: Sampled,
    /// How images are sampled.
    pub sampling: Sampling,
    /// Seed of the samples.
    pub seed: u64,
    /// Statistics that batch norms use.
    pub norm: BatchNormMode,
    /// Whether all images pass the first block in chunks where batch norms need all of them.
    pub first_in_chunks: bool,
    /// The embedding of all images, and of the sample with a tape.
    pub inner: Rc<dyn Embed>,
}

impl Embed for Backprop {
    fn embed(&self, backbone: &Backbone, images: Tensor<4>) -> Embedded {
        let count = images.dims()[0];
        let sample = self.sampled.images(count);
        if sample == count {
            return self.inner.embed(backbone, images);
        }
        let (features, moments) = self.features(backbone, images.clone());
        let tape = BackpropTape {
            images,
            sample,
            sampling: self.sampling,
            seed: self.seed,
            moments: moments.clone(),
            inner: self.inner.clone(),
        };
        Embedded { features, moments, tape: Box::new(tape) }
    }

    /// No more images at once than the sample has. Where batch norms need all of them, in the first block alone.
    fn features(&self, backbone: &Backbone, images: Tensor<4>) -> (Tensor<4>, Vec<Moments>) {
        let count = images.dims()[0];
        let chunk = self.sampled.images(count);
        if self.norm != BatchNormMode::Frozen {
            return match self.first_in_chunks {
                true => self.beyond_the_first_block(backbone, images, chunk),
                false => self.inner.features(backbone, images),
            };
        }
        let of = |from: usize| {
            let chunk = images.clone().narrow(0, from, chunk.min(count - from));
            self.inner.features(backbone, chunk).0
        };
        (joined((0..count).step_by(chunk).map(of).collect()), Vec::new())
    }

    fn gradients(
        &self,
        backbone: &Backbone,
        images: Tensor<4>,
        d_features: Tensor<4>,
        norm: &SampleNorm,
        sum: &mut Gradients,
    ) {
        self.inner.gradients(backbone, images, d_features, norm, sum);
    }
}

impl Backprop {
    /// All images at once through all blocks but the first.
    fn beyond_the_first_block(
        &self,
        backbone: &Backbone,
        images: Tensor<4>,
        chunk: usize,
    ) -> (Tensor<4>, Vec<Moments>) {
        let (input, mut moments) = backbone.first_block_in_chunks(images, chunk);
        let mut norm = self.norm.training(&mut moments);
        let features = backbone.off_tape().forward_blocks(1..backbone.blocks(), input, &mut norm);
        (features, moments)
    }
}

struct BackpropTape {
    images: Tensor<4>,
    sample: usize,
    sampling: Sampling,
    seed: u64,
    moments: Vec<Moments>,
    inner: Rc<dyn Embed>,
}

impl Tape for BackpropTape {
    fn backward(
        self: Box<Self>,
        backbone: &Backbone,
        d_features: Tensor<4>,
        state: &mut StageState,
        sum: &mut Gradients,
    ) {
        let Self { images, sample, sampling, seed, moments, inner } = *self;
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        // One sequence of random numbers for each episode.
        rng.set_stream(state.sampled_episodes);
        state.sampled_episodes += 1;
        let probabilities = match sampling {
            Sampling::Gradient => sampling::proportional(&norms(d_features.clone()), sample),
            Sampling::Uniform => {
                let count = images.dims()[0];
                vec![sample as f64 / count as f64; count]
            }
        };
        let Drawn { images: picked, weights } = sampling::draw(&probabilities, sample, &mut rng);
        let (device, count) = (images.device(), images.dims()[0]);
        let picked = Tensor::from_data(TensorData::new(picked, [sample]), &device);
        let weights = Tensor::<1>::from_data(TensorData::new(weights, [sample]), &device);
        let d_sample = weighted(d_features, picked.clone(), weights.clone());
        let sampled = images.select(0, picked);
        if moments.is_empty() {
            inner.gradients(backbone, sampled, d_sample, &SampleNorm::Frozen, sum);
            return;
        }
        let norm = SampleNorm::Episode(Sample { weights, images: count as f64 });
        inner.gradients(&backbone.normalised_by(&moments), sampled, d_sample, &norm, sum);
    }
}

/// The picked rows, each multiplied by its weight, in their own precision.
fn weighted(rows: Tensor<4>, picked: Tensor<1, Int>, weights: Tensor<1>) -> Tensor<4> {
    let dtype = rows.dtype();
    let rows = to_f32(rows.select(0, picked)) * weights.reshape([-1, 1, 1, 1]);
    rows.cast(dtype)
}

/// Euclidean norm of each row.
fn norms(rows: Tensor<4>) -> Vec<f64> {
    let squares = to_f32(rows).flatten::<2>(1, 3).square().sum_dim(1);
    to_host(squares).into_iter().map(|square| f64::from(square).sqrt()).collect()
}
