//! The root of a pipeline: its elements, and their checks in the order of the file.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    augment,
    backbone::{self, Backbone},
    data::{self, Data, Format},
    device::DeviceSpec,
    early_stopping,
    episode::{self, Episode, Episodes, OtherEpisode},
    finding::{Checks, Finding},
    memory::{self, Memory},
    method::{self, Method, Surroundings},
    optimizer::{self, Optimizer},
    optimizer_state, pretrain,
    report::Report,
    train::{self, Test, Train, Validate},
};

/// Version of the file format that this program reads; `version` in a pipeline.
pub const VERSION: u32 = 1;

/// A few-shot training pipeline: what to learn from, how, and within which memory.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Pipeline {
    /// Version of this file format.
    ///
    /// A program that reads only older versions says so instead of guessing.
    #[schemars(range(min = 1, max = VERSION))]
    #[serde(default = "one")]
    pub version: u32,
    /// Name of the pipeline; the folder of a run starts with it.
    ///
    /// Up to 100 characters, without `/`, `\`, `:` and a leading dot or space.
    #[schemars(regex(pattern = "^[^./\\\\:\\s][^/\\\\:\\r\\n\\t]{0,99}$"), extend("format" = "name", "examples" = ["omniglot-5way-1shot"]))]
    #[serde(default = "Pipeline::default_name")]
    pub name: String,
    /// Seed of everything random: initial weights, episodes, synthetic glyphs.
    ///
    /// The same seed on the same machine gives the same metrics, to the bit on the CPU.
    #[serde(default = "Pipeline::default_seed")]
    pub seed: u64,
    /// Where to compute: `auto`, `cpu`, `cuda` or `cuda:N`.
    ///
    /// `auto` takes the GPU when it is compiled in and present, else the CPU. `cuda` is the first
    /// GPU, `cuda:1` the second.
    #[serde(default)]
    pub device: DeviceSpec,
    /// Images and their classes.
    pub data: Data,
    /// Shape of an episode: `n_way` classes, of each `k_shot` support and `n_query` query images.
    ///
    /// A number may be a range, such as `k_shot: {min: 1, max: 5}`: each training episode then
    /// draws its own. Validation and test have the greatest numbers, or those of
    /// `validate.episode` and `test.episode`.
    #[serde(default)]
    pub episode: Episodes,
    /// Network that turns images into features.
    pub backbone: Backbone,
    /// Few-shot method on top of the features.
    pub method: Method,
    /// Memory optimisations, budget and precision.
    #[serde(default)]
    pub memory: Memory,
    /// How the weights follow the gradients.
    #[serde(default)]
    pub optimizer: Optimizer,
    /// How long to train.
    #[serde(default)]
    pub train: Train,
    /// Validation after each epoch.
    #[serde(default)]
    pub validate: Validate,
    /// Final test on novel classes.
    #[serde(default)]
    pub test: Test,
    /// What the run writes for people beside its results: `true`, `false` or a mapping.
    ///
    /// `fsct report` writes the page again, or of several runs at once.
    #[serde(default)]
    pub report: Report,
}

/// A test gains no speed from more images at once.
const MOST_AT_ONCE: usize = 64;

impl Pipeline {
    /// The resolved pipeline as YAML, every key written out; loading it gives the same pipeline.
    pub fn to_yaml(&self) -> String {
        serde_yaml::to_string(self).expect("scalars and mappings with string keys are YAML")
    }

    /// Images that go through the backbone at once when statistics do not tie an episode together:
    /// no more than in a training step, so that a test takes no more memory than the training.
    pub fn images_at_once(&self) -> usize {
        let parts = self.memory.parts();
        self.episode.largest().images().div_ceil(parts).clamp(1, MOST_AT_ONCE)
    }

    /// Shape of the episodes of validation.
    pub fn validate_episode(&self) -> Episode {
        OtherEpisode::over(self.validate.episode, &self.episode)
    }

    /// Shape of the episodes of the test.
    pub fn test_episode(&self) -> Episode {
        OtherEpisode::over(self.test.episode, &self.episode)
    }

    /// Rules over several keys that the pipeline breaks; `is_written` tells a written key from a
    /// default.
    pub fn check(&self, is_written: &dyn Fn(&str) -> bool) -> Vec<Finding> {
        let mut checks = Checks::new(is_written);
        let Self { data, episode, backbone, memory, .. } = self;
        data::check(self.data_sets(), &mut checks);
        augment::check(data.augment, &data.normalize, backbone.kind, &mut checks);
        backbone::check(backbone, data.image_size, &mut checks);
        let others = [self.validate.episode, self.test.episode];
        episode::check(episode, self.method.is_tied_to_episode(), others, &mut checks);
        let test = self.test_episode();
        let surroundings = Surroundings {
            without_episodes: self.train.without_episodes(),
            trains_backbone: backbone.train,
            features: (data.image_size >= backbone.kind.min_image_size())
                .then(|| backbone.spec(data.image_size).features()),
            vector: Some(backbone.kind).filter(|kind| kind.is_vit()),
            k_shot: episode.k_shot.max(),
            test_supports: test.n_way * test.k_shot,
        };
        method::check(&self.method, &surroundings, &mut checks);
        memory::check(memory, episode, self.train.episodes_per_epoch, self.device, &mut checks);
        memory::activations_of_vit(memory, backbone.kind, &mut checks);
        let (epochs, steps) = (self.train.trained_epochs(), self.train.steps(memory));
        optimizer::check(&self.optimizer, "optimizer", epochs, steps, &mut checks);
        let pretrain = self.train.pretrain.as_ref();
        pretrain::check(pretrain, self.validate.episodes, memory, &mut checks);
        let own = pretrain.and_then(|it| it.optimizer.as_ref());
        for (key, optimizer) in
            [("optimizer.state", Some(&self.optimizer)), ("train.pretrain.optimizer.state", own)]
        {
            let state = optimizer.map(|it| it.state).unwrap_or_default();
            optimizer_state::check(key, state, self.device, &mut checks);
        }
        let early_stopping = self.train.early_stopping;
        early_stopping::check(early_stopping, epochs, self.validate.episodes, &mut checks);
        train::check(&self.test, &self.validate, &mut checks);
        checks.into_findings()
    }

    /// Every data set that the pipeline names: its key, its layout, and whether its root is given.
    pub fn data_sets(&self) -> impl Iterator<Item = (&'static str, Option<Format>, bool)> {
        let own = ("data", self.data.format, self.data.root.is_some());
        let others = [
            ("train.data", &self.train.data),
            ("validate.data", &self.validate.data),
            ("test.data", &self.test.data),
        ];
        let others = others
            .into_iter()
            .filter_map(|(key, it)| it.as_ref().map(|it| (key, it.format, it.root.is_some())));
        std::iter::once(own).chain(others)
    }

    fn default_name() -> String {
        "fsct".into()
    }

    /// The seed of a pipeline that writes none.
    pub(crate) fn default_seed() -> u64 {
        4040
    }
}

fn one() -> u32 {
    1
}
