//! A commented starter pipeline for a data folder.

use super::draft::Draft;
use crate::config::{
    pipeline::{Format, Memory, Recompute},
    resolve::schema::FILE_NAME,
};

/// A starter pipeline for the data in `root`, or for synthetic glyphs where there is none, with
/// these memory settings.
pub fn init(root: Option<&str>, format: Format, name: &str, memory: &Memory) -> String {
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
    set("name", name.into(), "run folders start with it");
    set("device", "auto".into(), "the GPU when there is one; else the CPU");
    set("data.format", format.word().into(), "");
    if let Some(root) = root {
        set("data.root", root.into(), "relative to this file");
    }
    let (size, backbone, says) = match format {
        Format::Synthetic | Format::Omniglot => (28, "conv4s", "one channel; `conv4` reads RGB"),
        Format::CifarFs => (32, "conv4", "or `resnet12`, `resnet18`, `resnet34`"),
        _ => (84, "conv4", "or `resnet12`, `resnet18`, `resnet34`"),
    };
    set("data.image_size", size.into(), "pixels; activation memory grows with its square");
    set("episode.n_way", 5.into(), "classes in an episode");
    set("episode.k_shot", 1.into(), "images of each to learn from");
    set("episode.n_query", 10.into(), "images of each to be asked about");
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
    let amp = serde_json::to_value(memory.amp).unwrap_or_default();
    set("memory.amp", amp, "`f16` or `bf16` halve the activations");
    set("optimizer.kind", "adamw".into(), "");
    set("optimizer.learning_rate", 1e-3.into(), "");
    set("train.epochs", 10.into(), "");
    set("train.episodes_per_epoch", 200.into(), "");
    set("validate.episodes", 200.into(), "after each epoch; the best checkpoint is kept");
    set("test.episodes", 600.into(), "on classes that training never saw");
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
            let text = init(root, format, "start", &Memory::default());
            let loaded = load_str("x", &text, &Overrides::default())?;
            assert!(loaded.warnings.is_empty(), "{}", loaded.warnings);
        }
        Ok(())
    }
}
