//! `memory.recompute: block | stage`: only the inputs of the backbone's segments are kept, and each
//! segment is recomputed in the backward pass (Chen et al., "Training Deep Nets with Sublinear Memory
//! Cost", arXiv 1604.06174).
//!
//! *Saves*: activations inside all segments except the one being recomputed. A segment is a block, or
//! with `stage` a layer group, which has fewer inputs to keep and more activations inside. With `nested` the inputs
//! of layer groups are kept, those of a group's blocks are recomputed when its turn comes, and then each block is.
//! The gradients of a large head come last, by a second pass through the head, so that they are not held meanwhile.
//! *Costs*: one more forward pass through the backbone (with `nested` up to two), and for a large head a second pass through it.
//! *When results change*: never. Batch norm sees the whole batch both times, and its running
//! statistics are updated once.

use std::ops::Range;
use std::rc::Rc;

use burn::prelude::*;

use super::embed::{Embed, Embedded, SampleNorm, Tape, on_tape, pull_back, without_tape};
use super::grads::Gradients;
use super::seat::{Build, BuildContext, Seat};
use super::state::StageState;
use crate::model::kernel::kept::Scope;
use crate::model::{Backbone, Moments, Norm};
use crate::network::{BatchNormMode, Segment};

/// The stage as data.
pub mod spec {
    use crate::config::{Memory, Pipeline, Recompute};
    use crate::network::Segment;
    use crate::stage::spec::{Description, DeviceKind, MemoryStage, Note, StepShape};

    /// Specification of recomputation by segments.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct Spec {
        /// The unit that is recomputed at once.
        pub segment: Segment,
    }

    impl MemoryStage for Spec {
        fn describe(&self) -> Description {
            Description {
                stage: "recompute",
                setting: match self.segment {
                    Segment::Block => "block".into(),
                    Segment::LayerGroup => "stage".into(),
                    Segment::Nested => "nested".into(),
                },
                saves: match self.segment {
                    Segment::Block => {
                        "activations inside all blocks except the one being recomputed"
                    }
                    Segment::LayerGroup => {
                        "activations inside all layer groups except the one being recomputed"
                    }
                    Segment::Nested => {
                        "inputs of blocks in all layer groups except one, and activations inside all blocks except one"
                    }
                },
                costs: match self.segment {
                    Segment::Block | Segment::LayerGroup => "one more forward pass",
                    Segment::Nested => "up to two more forward passes",
                },
                changes: "never",
            }
        }

        fn notes(&self) -> Vec<Note> {
            Vec::new()
        }

        fn slowdown(&self, device: DeviceKind) -> f64 {
            let once = match device {
                DeviceKind::Cpu => 0.36,
                DeviceKind::Gpu => 0.37,
            };
            match self.segment {
                Segment::Block | Segment::LayerGroup => once,
                // Half to three quarters of the blocks are not the last of their group.
                Segment::Nested => once * 1.6,
            }
        }

        fn shape(&self, step: &mut StepShape) {
            step.recomputed = Some(self.segment);
        }

        fn plan(pipeline: &Pipeline) -> Option<Self> {
            let segment = match pipeline.memory.recompute {
                Recompute::None => return None,
                Recompute::Block => Segment::Block,
                Recompute::Stage => Segment::LayerGroup,
                Recompute::Nested => Segment::Nested,
            };
            // Without a backward pass through the backbone there are no activations to recompute.
            pipeline.backbone.train.then_some(Self { segment })
        }

        fn choices(pipeline: &Pipeline) -> Vec<Memory> {
            let now = pipeline.memory.recompute;
            let units = match now {
                Recompute::None if pipeline.backbone.train => {
                    vec![Recompute::None, Recompute::Block, Recompute::Stage, Recompute::Nested]
                }
                _ => vec![now],
            };
            let with = |recompute| Memory { recompute, ..pipeline.memory.clone() };
            units.into_iter().map(with).collect()
        }

        fn bench(pipeline: &Pipeline, base: &Memory) -> Vec<(String, Memory)> {
            if !pipeline.backbone.train {
                return Vec::new();
            }
            let with = |recompute| Memory { recompute, ..base.clone() };
            vec![
                ("recompute".into(), with(Recompute::Block)),
                ("recompute/stage".into(), with(Recompute::Stage)),
                ("recompute/nested".into(), with(Recompute::Nested)),
            ]
        }
    }
}

impl Build for spec::Spec {
    fn seat(&self, cx: &BuildContext) -> Seat {
        let (segments, norm) = (cx.backbone.segments(self.segment), cx.norm);
        let nested = self.segment == Segment::Nested;
        Seat::Embedding(Box::new(move |_kept| Rc::new(Recompute { segments, nested, norm })))
    }
}

/// Embeds an episode segment by segment, keeping their inputs.
#[derive(Debug, Clone)]
pub struct Recompute {
    /// Blocks that are run again at once, in forward order; together the whole backbone.
    pub segments: Vec<Range<usize>>,
    /// Whether a segment's blocks are run again one by one, after their inputs were.
    pub nested: bool,
    /// Statistics that batch norms use.
    pub norm: BatchNormMode,
}

impl Embed for Recompute {
    fn embed(&self, backbone: &Backbone, images: Tensor<4>) -> Embedded {
        let mut moments = Vec::new();
        let (features, inputs) =
            self.keeping_inputs(backbone, images, &mut self.norm.training(&mut moments));
        let tape = RecomputeTape { inputs, nested: self.nested, norm: self.norm };
        Embedded { features, moments, tape: Box::new(tape) }
    }

    fn features(&self, backbone: &Backbone, images: Tensor<4>) -> (Tensor<4>, Vec<Moments>) {
        without_tape(backbone, images, self.norm)
    }

    fn gradients(
        &self,
        backbone: &Backbone,
        images: Tensor<4>,
        d_features: Tensor<4>,
        norm: &SampleNorm,
        sum: &mut Gradients,
    ) {
        let (_, inputs) = self.keeping_inputs(backbone, images, &mut norm.norm());
        back(backbone, (inputs, self.nested), d_features, &mut norm.norm(), sum);
    }
}

/// The blocks of a segment, and the input of the first.
type Input = (Range<usize>, Tensor<4>);

impl Recompute {
    /// A pass without a tape: the features, and the inputs of the segments.
    fn keeping_inputs(
        &self,
        backbone: &Backbone,
        images: Tensor<4>,
        norm: &mut Norm,
    ) -> (Tensor<4>, Vec<Input>) {
        let plain = backbone.off_tape();
        let mut inputs = Vec::with_capacity(self.segments.len());
        let features = self.segments.iter().fold(images, |input, blocks| {
            inputs.push((blocks.clone(), input.clone()));
            plain.forward_blocks(blocks.clone(), input, norm)
        });
        (features, inputs)
    }
}

struct RecomputeTape {
    inputs: Vec<Input>,
    nested: bool,
    norm: BatchNormMode,
}

impl Tape for RecomputeTape {
    fn backward(
        self: Box<Self>,
        backbone: &Backbone,
        d_features: Tensor<4>,
        _state: &mut StageState,
        sum: &mut Gradients,
    ) {
        let mut again = Vec::new();
        let norm = &mut self.norm.training(&mut again);
        back(backbone, (self.inputs, self.nested), d_features, norm, sum);
    }
}

/// Runs each segment again and propagates the gradient back through it, the last one first. Its
/// gradients are added to `sum` before the next one's exist. Of nested segments the inputs of the blocks come first.
fn back(
    backbone: &Backbone,
    (mut inputs, nested): (Vec<Input>, bool),
    d_features: Tensor<4>,
    norm: &mut Norm,
    sum: &mut Gradients,
) {
    let mut d_output = d_features;
    while let Some((blocks, mut input)) = inputs.pop() {
        if nested && blocks.len() > 1 {
            let plain = backbone.off_tape();
            for block in blocks.start..blocks.end - 1 {
                let output = plain.forward_block(block, input.clone(), norm);
                inputs.push((block..block + 1, std::mem::replace(&mut input, output)));
            }
            inputs.push((blocks.end - 1..blocks.end, input));
            continue;
        }
        // The images need no gradient.
        let is_first = blocks.start == 0;
        let input = if is_first { on_tape(input) } else { on_tape(input).require_grad() };
        let segment = || {
            let output = backbone.forward_unread(blocks.clone(), input.clone(), norm);
            pull_back(output, d_output)
        };
        // What a single convolution keeps is read at once: storing it in another type would only add to it.
        let is_single = blocks.len() == 1 && backbone.is_plain(blocks.start);
        let mut tape = if is_single { Scope::new(None).within(segment) } else { segment() };
        sum.take(&mut tape, backbone);
        if is_first {
            break;
        }
        d_output = input.grad_remove(&mut tape).expect("a segment depends on its input");
    }
}
