//! A commented starter pipeline for a data folder.

use super::draft::Draft;
use crate::config::{
    pipeline::{Activations, Episode, Format, Memory, Recompute},
    resolve::schema::FILE_NAME,
};

/// What a starter pipeline is for.
#[derive(Debug, Clone)]
pub struct Starter<'a> {
    /// Name of the pipeline.
    pub name: &'a str,
    /// Folder or file of the data set, relative to the pipeline; none for synthetic glyphs.
    pub root: Option<&'a str>,
    /// Layout of the data set.
    pub format: Format,
    /// File that says which class is in which split, where the layout does not.
    pub splits: Option<&'a str>,
    /// Shape of an episode, which the data set must have.
    pub episode: Episode,
    /// Whether there are classes to validate on.
    pub validates: bool,
    /// Whether there are classes to test on.
    pub tests: bool,
    /// Memory settings of the starter pipeline.
    pub memory: Memory,
}

impl Default for Starter<'_> {
    fn default() -> Self {
        Self {
            name: "fsct",
            root: None,
            format: Format::Synthetic,
            splits: None,
            episode: Episode { n_way: 5, k_shot: 1, n_query: 10 },
            validates: true,
            tests: true,
            memory: Memory::default(),
        }
    }
}

/// A commented starter pipeline.
pub fn init(starter: &Starter) -> String {
    let Starter { name, root, format, splits, episode, memory, .. } = starter;
    let mut draft = Draft::new(
        FILE_NAME,
        &[
            "",
            "fsct validate FILE     is it right?",
            "fsct explain KEY       what does a key do?",
            "fsct run FILE          train and test",
        ],
    );
    let mut set =
        |path: &str, value: serde_json::Value, comment: &str| draft.set(path, value, comment, "");
    set("version", 1.into(), "");
    set("name", (*name).into(), "run folders start with it");
    set("device", "auto".into(), "the GPU when there is one; else the CPU");
    set("data.format", format.word().into(), "");
    if let Some(root) = root {
        set("data.root", (*root).into(), "relative to this file");
    }
    if let Some(splits) = splits {
        set("data.splits", (*splits).into(), "classes to train, to validate and to test on");
    }
    let (size, backbone, says) = match format {
        Format::Synthetic | Format::Omniglot => (28, "conv4s", "one channel; `conv4` reads RGB"),
        Format::CifarFs => (32, "conv4", "or `resnet12_wide`, `resnet18`, `resnet34`"),
        _ => (84, "conv4", "or `resnet12_wide`, `resnet18`, `resnet34`, `vit_small`"),
    };
    set("data.image_size", size.into(), "pixels; activation memory grows with its square");
    set("episode.n_way", episode.n_way.into(), "classes in an episode");
    set("episode.k_shot", episode.k_shot.into(), "images of each to learn from");
    set("episode.n_query", episode.n_query.into(), "images of each to be asked about");
    set("backbone.kind", backbone.into(), says);
    set("method.kind", "fsct".into(), "`profoct` adds VIC terms to the loss");
    set("method.attention", "cosine".into(), "or `softmax`");
    if let Some(budget) = memory.budget {
        set("memory.budget", String::from(budget).into(), "`fsct plan` shows what takes how much");
    }
    set(
        "memory.accumulation_steps",
        memory.accumulation_steps.into(),
        "micro-batches before one optimizer step",
    );
    set(
        "memory.accumulation_unit",
        "queries".into(),
        "parts of an episode: more steps, a lower peak",
    );
    if memory.recompute != Recompute::None {
        let unit = serde_json::to_value(memory.recompute).unwrap_or_default();
        set("memory.recompute", unit, "runs it again in the backward pass instead of keeping it");
    }
    if memory.activations != Activations::F32 {
        let kept = serde_json::to_value(memory.activations).unwrap_or_default();
        set("memory.activations", kept, "what is kept for the backward pass takes fewer bits");
    }
    let amp = serde_json::to_value(memory.amp).unwrap_or_default();
    set("memory.amp", amp, "`f16` or `bf16` halve the activations");
    set("optimizer.kind", "adamw".into(), "");
    set("optimizer.learning_rate", 1e-3.into(), "");
    set("train.epochs", 10.into(), "");
    set("train.episodes_per_epoch", 200.into(), "");
    if starter.validates {
        set("validate.episodes", 200.into(), "after each epoch; the best checkpoint is kept");
    } else {
        set("validate.episodes", 0.into(), "the data set has no classes to validate on");
        set("test.checkpoint", "last".into(), "without validation none is the best");
    }
    if starter.tests {
        set("test.episodes", 600.into(), "on classes that training never saw");
    } else {
        set("test.episodes", 0.into(), "the data set has no classes to test on");
    }
    draft.to_yaml()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Overrides, load_str};

    #[test]
    fn every_starter_is_valid_without_a_warning() -> Result<(), crate::config::Diagnostics> {
        for format in Format::ALL {
            let root = (format != Format::Synthetic).then_some("../data");
            let splits = (format == Format::Folder).then_some("splits.json");
            for part in [true, false] {
                let starter = Starter {
                    root,
                    format,
                    splits,
                    validates: part,
                    tests: part,
                    ..Starter::default()
                };
                let text = init(&starter);
                let loaded = load_str("x", &text, &Overrides::default())?;
                assert!(loaded.warnings.is_empty(), "{}", loaded.warnings);
            }
        }
        Ok(())
    }
}
