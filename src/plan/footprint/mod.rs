//! The memory that a plan will take, before it runs.
//!
//! The training step is simulated operation by operation: every tensor is allocated and freed at the
//! point where the program does it, in the order of [`crate::stage`]. The result is the peak, and its
//! parts by use.

mod backbone;
mod environment;
mod evaluation;
mod gpu;
mod head;
mod optimizer;
mod pairs;
mod passes;
mod phases;
mod rows;
mod stored;
mod timeline;
mod vit;
mod wide;
mod workspace;

pub use environment::{CachedImages, Environment};
pub use gpu::{CONTEXT_BYTES, GpuUse};
pub use phases::Phases;
pub use timeline::{Bytes, Moment, Phase, Use};

use super::Plan;
use crate::config::Amp;
use crate::data::EPISODES_IN_LOADER;
use crate::network::{Activations, Block, HeadLayer, Map, size};
use crate::stage::spec::DeviceKind;
use crate::stage::spec::StepShape;
use backbone::Pass;
use gpu::Pattern;
pub(crate) use timeline::Timeline;
use workspace::Engine;

const F32: u64 = 4;

/// The memory that a plan will take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Footprint {
    /// By use, at the moment of the peak.
    pub peak: Bytes,
    /// Bytes of a step in addition to those held between steps.
    pub step: u64,
    /// Bytes while a checkpoint is written, or read by a resumed run. Burn copies the optimizer's state
    /// then, in the memory of the CPU; on a GPU this is 0.
    pub checkpoint: u64,
    /// What the driver takes for it, on a GPU.
    pub gpu: Option<GpuUse>,
    /// The peak of each part of the training, where it starts with pretraining.
    pub phases: Option<Phases>,
}

impl Footprint {
    /// The bytes that a budget limits: on a GPU what the driver takes, the context included.
    pub fn taken(&self) -> u64 {
        self.gpu.map_or(self.peak.total(), |gpu| gpu.total())
    }

    /// The peak of a whole run on the CPU, its checkpoints included; on a GPU that of its steps.
    pub fn whole_run(&self) -> u64 {
        self.peak.total().max(self.checkpoint)
    }
}

/// The owners of the images of a pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Images {
    /// The pass alone: they are freed after the first block.
    Given,
    /// The caller as well.
    Held,
}

/// The simulation of a plan's step.
struct Walk<'a> {
    plan: &'a Plan,
    environment: Environment,
    blocks: &'a [Block],
    head: Vec<HeadLayer>,
    step: StepShape,
    time: Timeline,
    /// Bytes that are held between steps.
    between_steps: u64,
}

impl<'a> Walk<'a> {
    fn new(plan: &'a Plan, environment: Environment, time: Timeline) -> Self {
        let blocks = plan.network.backbone.blocks();
        let head = plan.network.head_layers();
        let step = plan.step_shape();
        Self { plan, environment, blocks, head, step, time, between_steps: 0 }
    }

    /// Parameters of the backbone and of the head.
    fn parameters(&self) -> [usize; 2] {
        [
            self.blocks.iter().map(Block::parameters).sum(),
            self.head.iter().map(|layer| layer.parameters).sum(),
        ]
    }

    /// Bytes of the trained parameters.
    fn trained(&self) -> u64 {
        let [in_backbone, in_head] = self.parameters();
        let trains = self.plan.pipeline.backbone.train;
        (in_head + if trains { in_backbone } else { 0 }) as u64 * F32
    }

    /// Allocates and frees what a step and the tests do.
    fn simulate(mut self) -> Self {
        let trains = self.plan.pipeline.backbone.train;
        let [in_backbone, in_head] = self.parameters();
        let running: usize =
            self.blocks.iter().flat_map(Block::layers).map(|(_, norm)| norm.buffers()).sum();
        let trained = self.trained();
        let padding = self.padding(F32);
        let network = &self.plan.network;
        let buffers = running + network.head.buffers(network.backbone.features());
        self.time.hold(Use::Parameters, (in_backbone + in_head + buffers) as u64 * F32 + padding);
        let trained_padding = if trains { padding } else { 0 };
        let state = self.optimizer_state();
        self.time.hold(Use::Optimizer, state + trained_padding * self.moments());
        if self.environment.device == DeviceKind::Cpu {
            self.time.hold(Use::Data, self.environment.data_bytes);
            if self.trains() {
                // As bytes: a value of an image is an f32.
                self.time.hold(Use::Data, EPISODES_IN_LOADER as u64 * self.episode() / F32);
            }
            // The threads of the pool, and the training thread.
            let threads = self.environment.threads as u64 + 1;
            self.time.hold(Use::Workspace, threads * self.environment.thread_bytes);
        }
        self.between_steps = self.time.now().total();

        if self.trains() {
            self.training_step(trained, trained_padding, in_head as u64 * F32);
        }
        self.time.enter(Phase::Test);
        self.test();
        self
    }

    /// Whether there is a training step at all.
    fn trains(&self) -> bool {
        self.plan.pipeline.train.trained_epochs() > 0
    }

    /// A window of episodes and the update of the weights.
    fn training_step(&mut self, trained: u64, trained_padding: u64, in_head: u64) {
        let episodes = self.step.episodes as u64;
        self.time.hold(Use::Activations, episodes * self.episode());
        for _ in 0..episodes.min(2) {
            self.episode_pass();
        }
        for _ in episodes.min(2)..episodes {
            self.time.free(Use::Activations, self.episode());
        }
        self.time.enter(Phase::Optimizer);
        // Summed over the window, in f32.
        let gradients = self.time.now().of(Use::Gradients);
        self.time.free(Use::Gradients, gradients);
        let trained = trained + if self.step.half { trained_padding } else { 0 };
        self.time.hold(Use::Gradients, trained);
        self.update(trained, in_head);
        let left = self.time.now().of(Use::Activations);
        self.time.free(Use::Activations, left);
    }

    /// What a simulation found.
    fn footprint(&self) -> Footprint {
        let between_steps = self.between_steps;
        let peak = self.time.peak();
        let gpu = self.environment.device == DeviceKind::Gpu;
        let state = self.optimizer_state();
        Footprint {
            peak,
            checkpoint: if gpu { 0 } else { between_steps + state },
            step: peak.total().saturating_sub(between_steps),
            gpu: gpu.then(|| GpuUse::of(peak.total(), self.time.largest(), self.pattern())),
            phases: None,
        }
    }

    /// Shape of an image.
    fn image(&self) -> Map {
        self.plan.network.backbone.image()
    }

    /// Bytes of the images of one episode, f32.
    fn episode(&self) -> u64 {
        (self.plan.network.episode.images() * size(self.image())) as u64 * F32
    }

    /// Bytes that padding adds to the backbone's weights.
    fn padding(&self, element: u64) -> u64 {
        let convs: Vec<_> = self.blocks.iter().flat_map(Block::convs).collect();
        self.engine().padding(convs.iter(), element)
    }

    fn engine(&self) -> Engine {
        match self.environment.device {
            DeviceKind::Cpu => Engine::Cpu { threads: self.environment.threads as u64 },
            DeviceKind::Gpu => Engine::Gpu { copied: None },
        }
    }

    /// How a step takes memory from a GPU's pool.
    fn pattern(&self) -> Pattern {
        if self.step.recomputed.is_none() || !self.plan.pipeline.backbone.train {
            return Pattern::Stack;
        }
        let element = if self.step.half { F32 / 2 } else { F32 };
        let images = self.images_back();
        let images = images.div_ceil((self.step.parts as u64).clamp(1, images));
        let largest = |block: &Block| {
            let maps = block.convs().into_iter().map(|conv| size(conv.output));
            // Of tokens, the hidden layer's.
            let wide = block.linears().into_iter().map(|layer| layer.output).max();
            let tokens = |width: usize| size(block.input()) / block.input()[2] * width;
            maps.max().or(wide.map(tokens)).unwrap_or(0)
        };
        let map = self.blocks.iter().map(largest).max().unwrap_or(0);
        let is_residual = |it: &&Block| {
            matches!(it, Block::Residual { .. } | Block::Wide(_) | Block::Transformer(_))
        };
        let mut residual = self.blocks.iter().filter(is_residual);
        Pattern::Recomputed {
            map: images * map as u64 * element,
            in_blocks: residual.any(|block| largest(block) == map),
        }
    }

    /// Bytes of the features of a pass.
    fn features(&self, pass: &Pass) -> u64 {
        self.blocks.last().map_or(0, |last| pass.output(last))
    }

    fn images(&self) -> u64 {
        self.plan.network.episode.images() as u64
    }

    /// Images that are propagated back: those of the sample, where there is one.
    fn images_back(&self) -> u64 {
        let all = self.plan.network.episode.images();
        self.step.sampled.map_or(all, |sampled| sampled.images(all)) as u64
    }

    /// The gradients of one episode, whose images are held before.
    fn episode_pass(&mut self) {
        self.time.enter(Phase::Forward);
        let lowered = self.step.half;
        let pass = Pass {
            images: self.images(),
            element: if lowered { F32 / 2 } else { F32 },
            engine: self.engine(),
            of_episode: false,
            is_added: false,
            widens: self.environment.device == DeviceKind::Cpu
                && self.plan.pipeline.memory.amp == Amp::Bf16,
            activations: match self.environment.device {
                DeviceKind::Cpu => self.step.activations,
                DeviceKind::Gpu => Activations::F32,
            },
        };
        // 16-bit copies of the weights, each for the duration of its part's pass.
        let [backbone_copy, head_copy] =
            if lowered { self.matrices().map(|values| values * pass.element) } else { [0; 2] };
        let backbone_copy = backbone_copy + if lowered { self.padding(pass.element) } else { 0 };
        self.time.hold(Use::Parameters, backbone_copy);
        let parts = match self.step.parts {
            1 => None,
            parts => Some((parts as u64).min(pass.images)),
        };
        let backbone = &self.plan.network.backbone;
        let recompute = self.step.recomputed.map(|segment| backbone.segments(segment));
        let trains = self.plan.pipeline.backbone.train;
        let features = self.plan.network.backbone.features();

        // The images are replaced by their copy in the precision of the pass.
        let images = self.blocks.first().map_or(0, |block| pass.map(block.input()));
        self.time.free(Use::Activations, self.episode());
        self.time.hold(Use::Activations, images);
        let of_episode = self.step.sampled.is_some_and(|it| it.together);
        let sample = Pass { of_episode, ..pass.of_picked(self.images_back(), self.image()) };
        let sampled = self.step.sampled.filter(|_| trains && sample.images < pass.images);
        match parts {
            _ if !trains => self.through(&pass, Images::Given),
            _ if sampled.is_some_and(|it| !it.together) => {
                // In chunks of the sample's size, each in parts.
                let chunk = sample.images.div_ceil(parts.unwrap_or(1));
                self.through_in_parts(&pass, chunk);
            }
            None if sampled.is_some() => self.through_from_chunks(&pass, sample.images),
            None => match &recompute {
                Some(segments) => self.through_keeping_inputs(&pass, segments),
                None => self.through_on_tape(&pass, 0..self.blocks.len(), Images::Given, false),
            },
            Some(parts) => {
                self.through_in_parts(&pass, pass.images.div_ceil(parts));
            }
        }
        self.time.enter(Phase::Head);
        let comes_last = self.plan.head_comes_last();
        self.head_pass(&pass, head_copy, !comes_last);
        if comes_last {
            // The features wait for the second pass.
            self.time.hold(Use::Activations, self.features(&pass));
        }
        // The head's gradient of the features comes in the features' precision.
        let wide = pass.images * size(features) as u64 * F32;
        self.time.free(Use::Activations, wide);
        self.time.hold(Use::Activations, self.features(&pass));
        self.time.enter(Phase::Backward);
        match parts {
            _ if !trains => {
                self.time.free(Use::Activations, 2 * self.features(&pass));
            }
            _ if sampled.is_some() => {
                self.time.free(Use::Activations, self.features(&pass));
                // Norms of the gradients, in f32.
                self.time.touch(Use::Activations, wide);
                let input = self.blocks.first().map_or(0, |block| sample.map(block.input()));
                let wide = sample.images * size(features) as u64 * F32;
                self.time.touch(Use::Activations, 2 * wide);
                self.time.hold(Use::Activations, self.features(&sample));
                self.time.free(Use::Activations, self.features(&pass));
                self.time.hold(Use::Activations, input);
                self.time.free(Use::Activations, images);
                match parts {
                    None => self.through_and_back(&sample),
                    Some(parts) => {
                        self.back_in_parts(&sample, parts.min(sample.images));
                        self.time.free(Use::Activations, self.features(&sample) + input);
                    }
                }
            }
            None => match &recompute {
                Some(segments) => self.back_by_segments(&pass, segments),
                None => self.back(&pass, 0..self.blocks.len(), Images::Given, false),
            },
            Some(parts) => {
                self.time.free(Use::Activations, self.features(&pass));
                self.back_in_parts(&pass, parts);
                self.time.free(Use::Activations, images + self.features(&pass));
            }
        }
        self.time.free(Use::Parameters, backbone_copy);
        if comes_last {
            self.head_pass(&pass, head_copy, true);
            // The features, and a gradient of them, which this pass does not have.
            self.time.free(Use::Activations, self.features(&pass) + wide);
        }
    }

    /// A pass through the head and back, with 16-bit copies of its weights; `trains` says whether the weights get
    /// their gradients. Held after: those, and the gradient of the features in f32.
    fn head_pass(&mut self, pass: &Pass, copy: u64, trains: bool) {
        self.time.hold(Use::Parameters, copy);
        let map = self.plan.network.backbone.features();
        let copies = self.environment.device == DeviceKind::Cpu;
        let Pass { element, engine, .. } = *pass;
        let input = head::Input { map, element, trains, engine, copies };
        head::pass(&mut self.time, self.plan, input, &self.head);
        if trains {
            self.time.hold(Use::Gradients, self.parameters()[1] as u64 * element);
        }
        self.time.free(Use::Parameters, copy);
    }

    /// Values of the weights that autocast lowers, of the backbone and of the head.
    fn matrices(&self) -> [u64; 2] {
        let convs = self.blocks.iter().flat_map(Block::convs).map(|conv| conv.parameters());
        let linears = self.blocks.iter().flat_map(Block::linears).map(|layer| layer.parameters());
        let blocks = convs.chain(linears);
        let head = self.head.iter().filter(|layer| layer.shape.is_some());
        [blocks.sum::<usize>(), head.map(|layer| layer.parameters).sum()].map(|it| it as u64)
    }
}
