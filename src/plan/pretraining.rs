//! Pretraining as a plan of its own: the same network and stages around batches in place of episodes.

use super::{Plan, compile};
use crate::config::{
    AccumulationUnit, BatchNormMode, Distance, Memory, Method, MethodKind, Pipeline, Test, Train,
    TrainingPhase,
};
use crate::network::{ClassesSpec, EpisodeShape, HeadSpec};

/// The images that training learns from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TrainingSet {
    /// Number of classes; 0 where the data was not read.
    pub classes: usize,
    /// Number of images; 0 where the data was not read.
    pub images: usize,
}

impl Plan {
    /// The plan of the pretraining, where the pipeline has one: an epoch visits each image of `set` once, and a
    /// batch takes the place of an episode.
    ///
    /// `memory` holds as for episodes, with two exceptions. Several episodes before an optimizer step have no
    /// counterpart, as `train.pretrain.batch_size` is the number of images in a step; and `backprop` would
    /// only be a smaller batch.
    pub fn pretraining(&self, set: TrainingSet) -> Option<Self> {
        let whole = &self.pipeline;
        let pretrain = whole.train.pretrain.as_ref()?;
        let batch = match set.images {
            0 => pretrain.batch_size,
            images => pretrain.batch_size.min(images),
        };
        let mut pipeline = whole.clone();
        pipeline.train = Train {
            pretrain: None,
            epochs: pretrain.epochs,
            episodes_per_epoch: set.images.div_ceil(batch).max(1),
            early_stopping: None,
            ..whole.train.clone()
        };
        pipeline.test = Test { episodes: 0, ..whole.test.clone() };
        pipeline.optimizer = pretrain.optimizer.clone().unwrap_or_else(|| whole.optimizer.clone());
        pipeline.backbone.train = true;
        // Statistics that are frozen in the episodes are made here.
        let norm = match whole.backbone.batch_norm {
            Some(BatchNormMode::Episode) => BatchNormMode::Episode,
            Some(BatchNormMode::Running | BatchNormMode::Frozen) | None => BatchNormMode::Running,
        };
        pipeline.backbone.batch_norm = Some(norm);
        pipeline.method = Method {
            kind: MethodKind::Protonet,
            distance: Distance::Cosine,
            label_smoothing: pretrain.label_smoothing,
            vic: None,
            ..whole.method.clone()
        };
        let parts = whole.memory.parts();
        pipeline.memory = Memory {
            backprop: None,
            accumulation_steps: parts,
            accumulation_unit: AccumulationUnit::Queries,
            ..whole.memory.clone()
        };
        let mut plan = compile(&pipeline);
        plan.network.head =
            HeadSpec::Classes(ClassesSpec { kind: pretrain.head, classes: set.classes });
        plan.network.episode = EpisodeShape { n_way: 1, k_shot: 0, n_query: batch };
        plan.pretraining_of = Some(Box::new(whole.clone()));
        Some(plan)
    }

    /// The part of the training that the plan is of.
    pub fn phase(&self) -> TrainingPhase {
        match self.pretraining_of {
            Some(_) => TrainingPhase::Pretraining,
            None => TrainingPhase::Episodes,
        }
    }

    /// The pipeline as it was written; of a pretraining's plan that of the whole run.
    pub fn whole(&self) -> &Pipeline {
        self.pretraining_of.as_deref().unwrap_or(&self.pipeline)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Overrides, load_str};
    use crate::network::ClassHead;

    fn plan(text: &str) -> Plan {
        let text = format!(
            "data: {{format: synthetic, image_size: 28}}\nmethod: {{kind: profoct}}\n\
             memory: {{accumulation_steps: 4, backprop: {{share: 0.5}}}}\n{text}"
        );
        compile(&load_str("test", &text, &Overrides::default()).unwrap().pipeline)
    }

    #[test]
    fn a_pipeline_without_it_has_no_pretraining() {
        let set = TrainingSet { classes: 7, images: 70 };
        assert_eq!(plan("backbone: {kind: conv4s}").pretraining(set), None);
    }

    #[test]
    fn batches_take_the_place_of_episodes() {
        let plan = plan(
            "backbone: {kind: conv4s, train: false, batch_norm: frozen}\n\
             train: {early_stopping: {patience: 2}, pretrain: {epochs: 3, batch_size: 32, head: cosine}}",
        );
        let set = TrainingSet { classes: 7, images: 70 };
        let pretraining = plan.pretraining(set).unwrap();
        let Pipeline { train, backbone, memory, test, .. } = &pretraining.pipeline;
        assert_eq!((train.epochs, train.episodes_per_epoch, train.early_stopping), (3, 3, None));
        assert!(backbone.train && backbone.batch_norm == Some(BatchNormMode::Running));
        assert_eq!((memory.parts(), &memory.backprop, test.episodes), (1, &None, 0));
        let head = ClassesSpec { kind: ClassHead::Cosine, classes: 7 };
        assert_eq!(pretraining.network.head, HeadSpec::Classes(head));
        assert_eq!(pretraining.network.episode.images(), 32);
        assert_eq!(pretraining.step_shape().episodes, 1, "a batch is a step");
        assert_eq!(
            (pretraining.whole(), pretraining.phase()),
            (&plan.pipeline, TrainingPhase::Pretraining)
        );
        let small = plan.pretraining(TrainingSet { classes: 2, images: 9 }).unwrap();
        assert_eq!(small.network.episode.images(), 9, "no more than there are");
    }
}
