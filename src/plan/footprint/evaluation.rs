//! The memory of validation and test, which have no tape.

use super::backbone::Pass;
use super::timeline::Use;
use super::{F32, Images, Walk, head};
use crate::config::BatchNormMode;
use crate::network::{Activations, EpisodeShape, size};
use crate::tiling::MAX_BANK_BYTES;

impl Walk<'_> {
    /// Validation and test, each with its own episodes.
    pub(super) fn test(&mut self) {
        let pipeline = &self.plan.pipeline;
        let (validate, test) = (pipeline.validate_episode(), pipeline.test_episode());
        for (episodes, episode) in
            [(pipeline.validate.episodes, validate), (pipeline.test.episodes, test)]
        {
            if episodes > 0 {
                self.evaluate(episodes as u64, episode.into());
            }
            let left = self.time.now().of(Use::Activations);
            self.time.free(Use::Activations, left);
        }
        if self.plan.network.head.is_centered() {
            self.mean_feature();
        }
    }

    /// Passes over the training images, whose features are summed on the host in f64.
    fn mean_feature(&mut self) {
        let network = &self.plan.network;
        let pass = Pass {
            images: self.plan.pipeline.images_at_once() as u64,
            element: F32,
            engine: self.engine(),
            of_episode: false,
            is_added: false,
            widens: false,
            activations: Activations::F32,
        };
        let (image, features) = (pass.map(network.backbone.image()), network.backbone.features());
        self.time.hold(Use::Activations, 2 * F32 * size(features) as u64);
        self.time.hold(Use::Activations, image);
        self.through(&pass, Images::Given);
        let left = self.time.now().of(Use::Activations);
        self.time.free(Use::Activations, left);
    }

    /// A pass without a tape over some images, the features of a whole split where they are kept,
    /// and the head over those of an episode.
    fn evaluate(&mut self, episodes: u64, episode: EpisodeShape) {
        let pipeline = &self.plan.pipeline;
        let whole = pipeline.backbone.resolved_batch_norm() == BatchNormMode::Episode;
        let all = episode.images() as u64;
        let images = if whole { all } else { (pipeline.images_at_once() as u64).min(all) };
        let (engine, activations) = (self.engine(), Activations::F32);
        let pass = Pass {
            images,
            element: F32,
            engine,
            of_episode: false,
            is_added: false,
            widens: false,
            activations,
        };
        let split = Pass { images: self.environment.tested_images as u64, ..pass };
        let features = self.plan.network.backbone.features();
        let bank = split.map(features);
        let is_kept = !whole && bank <= MAX_BANK_BYTES as u64 && split.images <= episodes * all;
        if is_kept {
            // Chunk by chunk, then concatenated.
            self.time.hold(Use::Activations, bank);
            self.time.touch(Use::Activations, bank);
        }
        self.time.hold(Use::Activations, self.blocks.first().map_or(0, |it| pass.map(it.input())));
        self.through(&pass, Images::Given);
        // The features of the episode: taken from those of the split, or of the passes together.
        let of_pass = pass.map(features);
        let of_episode = Pass { images: all, ..pass }.map(features);
        if is_kept {
            self.time.free(Use::Activations, of_pass);
            self.time.hold(Use::Activations, of_episode);
        } else if images < all {
            self.time.hold(Use::Activations, of_episode - of_pass);
            self.time.touch(Use::Activations, of_episode);
        }
        head::forward(&mut self.time, self.plan, (features, pass.engine), episode);
    }
}
