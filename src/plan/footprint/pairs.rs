//! The memory of a relation module: a backbone's pass over pairs of a query and a class.

use super::backbone::{Pass, Place};
use super::timeline::{Timeline, Use};
use super::workspace::Engine;
use crate::network::{Activations, Block, EpisodeShape, Map, RelationLayers};

/// A pass over all pairs of an episode.
pub struct Pairs {
    pass: Pass,
    blocks: [Block; 2],
}

impl Pairs {
    /// The pass of an episode, whose maps have values of `element` bytes.
    pub fn of(
        layers: &RelationLayers,
        episode: EpisodeShape,
        element: u64,
        engine: Engine,
    ) -> Self {
        let pass = Pass {
            images: (episode.queries() * episode.n_way) as u64,
            element,
            // Channels are not last in joined maps.
            engine: engine.of_picked(layers.blocks[0].0.input),
            of_episode: false,
            is_added: false,
            widens: false,
            activations: Activations::F32,
        };
        let blocks = layers.blocks.map(|(conv, norm)| Block::Plain(conv, norm));
        Self { pass, blocks }
    }

    fn map(&self, map: Map) -> u64 {
        self.pass.map(map)
    }

    /// Forward and backward. Held before and after: the features.
    pub fn pass(&self, time: &mut Timeline, features: u64) {
        let Self { pass, blocks: [first, second] } = self;
        let input = self.map(first.input());
        // Classes and queries, repeated for each other, then joined.
        time.hold(Use::Activations, input);
        time.touch(Use::Activations, input);
        pass.forward(time, first, true);
        pass.forward(time, second, true);

        let before = time.now().of(Use::Gradients);
        let place = Place { is_first: false, input_is_needed: false };
        pass.backward(time, second, place);
        pass.backward(time, first, place);
        // The gradient of the pairs, and of each half.
        time.touch(Use::Activations, input + features);
        time.free(Use::Activations, input);
        // Counted with all others of the head.
        let gradients = time.now().of(Use::Gradients) - before;
        time.free(Use::Gradients, gradients);
    }

    /// Forward without a tape.
    pub fn forward(&self, time: &mut Timeline) {
        let [first, second] = &self.blocks;
        let input = self.map(first.input());
        time.hold(Use::Activations, input);
        time.touch(Use::Activations, input);
        self.pass.forward_taking(time, first);
        self.pass.forward_taking(time, second);
        time.free(Use::Activations, self.map(second.output()));
    }
}
