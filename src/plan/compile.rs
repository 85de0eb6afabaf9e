use super::resolve::network;
use crate::config::{BackboneKind, Normalize, Pipeline, WeightsSource};
use crate::network::{Network, size};
use crate::stage::spec::{Description, DeviceKind, Note, StepShape};
use crate::stage::{KINDS, StageSpec};

/// A resolved pipeline with its stages in order.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// The pipeline that is planned.
    pub pipeline: Pipeline,
    /// The network that it describes.
    pub network: Network,
    /// Stages around a step, outermost first; those of the embedding last.
    pub stages: Vec<StageSpec>,
    /// What the user should know about the stages and the backbone.
    pub notes: Vec<Note>,
    /// The pipeline of the whole run, where this is the plan of its pretraining.
    pub pretraining_of: Option<Box<Pipeline>>,
}

/// Resolves a pipeline into its network and the stages around a training step.
pub fn compile(pipeline: &Pipeline) -> Plan {
    let stages: Vec<StageSpec> = KINDS.iter().filter_map(|kind| (kind.plan)(pipeline)).collect();
    let of_stages = stages.iter().flat_map(|stage| stage.get().notes());
    let notes =
        of_stages.chain(note_on_backbone(pipeline)).chain(note_on_images(pipeline)).collect();
    Plan {
        pipeline: pipeline.clone(),
        network: network(pipeline),
        stages,
        notes,
        pretraining_of: None,
    }
}

/// Two networks have the name ResNet12, and a pipeline may have been written for the other one.
fn note_on_backbone(pipeline: &Pipeline) -> Option<Note> {
    (pipeline.backbone.kind == BackboneKind::Resnet12).then(|| Note {
        key: "backbone.kind",
        text: "`resnet12` is the FSCT authors' trunk, with blocks [2, 1, 1, 1]; the ResNet12 of most papers, with 64 \
               to 640 channels, is `resnet12_wide`"
            .into(),
    })
}

/// Features of images of another scale are worse, and nothing else would say so.
fn note_on_images(pipeline: &Pipeline) -> Option<Note> {
    let of_dinov2 =
        pipeline.backbone.weights.as_ref().is_some_and(|it| it.from == WeightsSource::Dinov2);
    (of_dinov2 && pipeline.data.normalize != Normalize::Imagenet).then(|| Note {
        key: "data.normalize",
        text: "DINOv2 was trained on images with ImageNet's mean and deviation: write `data: {normalize: imagenet}`"
            .into(),
    })
}

impl Plan {
    /// The quantities of a step that decide its memory, with all stages applied.
    pub fn step_shape(&self) -> StepShape {
        let mut step = StepShape::PLAIN;
        self.stages.iter().for_each(|stage| stage.get().shape(&mut step));
        step
    }

    /// Whether the gradients of the head's weights are computed after those of the backbone, by a second pass through
    /// the head: where the backbone is recomputed as well, and they take more than the features, which wait for it.
    pub fn head_comes_last(&self) -> bool {
        let network = &self.network;
        let weights: usize = network.head_layers().iter().map(|layer| layer.parameters).sum();
        let features = network.episode.images() * size(network.backbone.features());
        let recomputes = self.pipeline.backbone.train && self.step_shape().recomputed.is_some();
        recomputes && weights > features
    }

    /// Optimizer steps an epoch.
    pub fn steps_per_epoch(&self) -> usize {
        self.pipeline.train.episodes_per_epoch.div_ceil(self.step_shape().episodes)
    }

    /// The stage that a kind of device cannot carry out, if there is one.
    pub fn stage_not_on(&self, device: DeviceKind) -> Option<Description> {
        let stages = self.stages.iter().map(StageSpec::get);
        stages.into_iter().find(|stage| !stage.runs_on(device)).map(|stage| stage.describe())
    }

    /// Time of a step, relative to the plain step's.
    pub fn slowdown(&self, device: DeviceKind) -> f64 {
        let (mut time, mut outside) = (1.0, StepShape::PLAIN);
        for stage in &self.stages {
            // Inside of a sample, a stage costs the sample's share.
            time += stage.get().slowdown(device) * outside.share();
            stage.get().shape(&mut outside);
        }
        time
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Activations, Sampling};
    use crate::config::{LossScale, Overrides, load_str};
    use crate::network::Segment;
    use crate::stage::autocast::spec::Precision;
    use crate::stage::{
        accumulate, activations, autocast, backprop, clear_cache, loss_scale, micro_batch,
        recompute,
    };

    fn stages(backbone: &str, memory: &str) -> Vec<StageSpec> {
        let text = format!(
            "data: {{format: synthetic, image_size: 28}}\nbackbone: {{kind: conv4s{backbone}}}\n\
             method: {{kind: fsct}}\nmemory: {{{memory}}}\n"
        );
        let loaded = load_str("test", &text, &Overrides::default()).unwrap();
        compile(&loaded.pipeline).stages
    }

    const SINGLE: StageSpec = StageSpec::Accumulate(accumulate::spec::Spec { episodes: 1 });
    const ALL: &str = "accumulation_steps: 4, accumulation_unit: queries, amp: f16, \
                       recompute: block, clear_cache_every: 50, backprop: {share: 0.5}, \
                       activations: int8";

    #[test]
    fn a_plain_pipeline_is_one_episode_a_step() {
        assert_eq!(stages("", ""), [SINGLE]);
    }

    #[test]
    fn every_stage_has_its_place() {
        let expected = [
            StageSpec::ClearCache(clear_cache::spec::Spec { every: 50 }),
            StageSpec::LossScale(loss_scale::spec::Spec { scale: LossScale::Dynamic }),
            SINGLE,
            StageSpec::Autocast(autocast::spec::Spec { precision: Precision::F16 }),
            StageSpec::Activations(activations::spec::Spec {
                activations: Activations::Int8,
                seed: 4040,
            }),
            StageSpec::Backprop(backprop::spec::Spec {
                share: 0.5,
                sampling: Sampling::Gradient,
                seed: 4040,
                batch_statistics: true,
                first_in_chunks: false,
            }),
            StageSpec::MicroBatch(micro_batch::spec::Spec { parts: 4, batch_statistics: true }),
            StageSpec::Recompute(recompute::spec::Spec { segment: Segment::Block }),
        ];
        assert_eq!(stages("", ALL), expected);
    }

    #[test]
    fn activations_in_16_bits_are_not_stored_in_16_bits() {
        let names = |memory: &str| -> Vec<_> {
            stages("", memory).iter().map(|stage| stage.get().describe().stage).collect()
        };
        assert_eq!(names("activations: f16"), ["accumulate", "activations"]);
        assert_eq!(names("activations: f16, amp: bf16"), ["accumulate", "autocast"]);
        assert_eq!(
            names("activations: int8, amp: bf16"),
            ["accumulate", "autocast", "activations"]
        );
    }

    #[test]
    fn a_resnet12_points_to_the_other_one() {
        let notes = |kind: &str| {
            let text = format!(
                "data: {{format: synthetic, image_size: 84}}\nbackbone: {{kind: {kind}}}\nmethod: {{kind: protonet}}\n"
            );
            let loaded = load_str("test", &text, &Overrides::default()).unwrap();
            compile(&loaded.pipeline).notes
        };
        let [note] = notes("resnet12").try_into().unwrap();
        assert!(note.key == "backbone.kind" && note.text.contains("`resnet12_wide`"));
        assert!(notes("resnet12_wide").is_empty());
    }

    #[test]
    fn bf16_needs_no_loss_scale() {
        let autocast = autocast::spec::Spec { precision: Precision::Bf16 };
        assert_eq!(stages("", "amp: bf16"), [SINGLE, StageSpec::Autocast(autocast)]);
    }

    #[test]
    fn a_backbone_that_is_not_trained_has_no_stage_around_its_embedding() {
        let names: Vec<_> = stages(", train: false", ALL)
            .iter()
            .map(|stage| stage.get().describe().stage)
            .collect();
        assert_eq!(names, ["clear_cache", "loss_scale", "accumulate", "autocast"]);
    }
}
