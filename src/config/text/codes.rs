//! Every diagnostic that is not plainly about one value: what it means and why it is one.
//!
//! A diagnostic of a value needs no entry: its code is its key, and the key's own documentation says
//! what is allowed.

/// A diagnostic's explanation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Code {
    /// Stable name.
    pub name: &'static str,
    /// One line.
    pub title: &'static str,
    /// Why, and what to do.
    pub text: &'static str,
}

/// Title and text of the same rule for several keys.
const NOT_OF_THIS_METHOD: (&str, &str) = (
    "the method does not read this key",
    "`distance` belongs to `protonet`; `alignment` to `ctx`; `prototypes` and `classifier` to `fsct` and `profoct`; \
     `attention` to all but `protonet`. Elsewhere the key would do nothing.",
);

/// All of them, in alphabetical order within their group: the text, then rules by key.
pub const CODES: &[Code] = &[
    Code {
        name: "fsct::duplicate_key",
        title: "a key is written twice in one mapping",
        text: "YAML forbids it, and readers disagree on which one counts. Keep one.",
    },
    Code {
        name: "fsct::encoding",
        title: "the file is not plain UTF-8 text",
        text: "Invalid UTF-8, UTF-16 and control characters such as NUL are refused at the first one. \
               Save the file as UTF-8; a byte order mark and Windows line ends are fine.",
    },
    Code {
        name: "fsct::file",
        title: "the pipeline file cannot be read",
        text: "It does not exist, is a folder, or may not be read. The exit code is 2: nothing is said \
               about the pipeline itself.",
    },
    Code {
        name: "fsct::limit",
        title: "the text is larger, deeper or more expanded than any pipeline",
        text: "A pipeline file has at most 1 MiB, 32 levels and 20,000 values, aliases expanded. The \
               limits keep a broken or hostile file from filling the memory.",
    },
    Code {
        name: "fsct::missing_key",
        title: "a key that has no default is not written",
        text: "`data`, `backbone.kind` and `method.kind` are what a pipeline is about; nothing \
               sensible can be assumed. Everything else has a default.",
    },
    Code {
        name: "fsct::override",
        title: "a `--set` is not of the form `key=value`",
        text: "Write the key with dots and the value as in YAML: `--set memory.amp=f16`.",
    },
    Code {
        name: "fsct::pipeline",
        title: "the file is empty, or not a mapping",
        text: "A pipeline is a mapping from `data`, `backbone`, `method` and others to their settings. \
               `fsct init` writes one to start from.",
    },
    Code {
        name: "fsct::syntax",
        title: "the text is not YAML, or YAML that a pipeline has no use for",
        text: "Most often a tab, an unclosed bracket or quote, a missing space after a colon or uneven \
               indentation. Merge keys, custom tags, keys that are not plain words and several \
               documents in one file are refused too.",
    },
    Code {
        name: "fsct::unknown_key",
        title: "a key does not exist",
        text: "Unknown keys are errors, as a misspelt key would otherwise be silently ignored. \
               `fsct explain` lists all keys.",
    },
    Code {
        name: "fsct::*::not_of_this_method",
        title: "the key belongs to another method",
        text: "Each method reads its own keys: a prototypical network has no attention, and a transformer \
               no distance. Remove the key, or choose the method that reads it.",
    },
    Code {
        name: "fsct::*::unused",
        title: "nothing reads the value",
        text: "Another key's value decides whether this one is read: only `sgd` has momentum, only a \
               `cosine` schedule a final share. Remove it, or change the other key.",
    },
    Code {
        name: "fsct::backbone::train::nothing_to_train",
        title: "a prototypical network has no weights but its backbone's",
        text: "With `backbone.train: false` no step could change anything. Train the backbone, or use \
               a method with weights of its own.",
    },
    Code {
        name: "fsct::backbone::trunk::no_such_trunk",
        title: "the architecture does not come with this trunk",
        text: "`resnet18` and `resnet34` have torchvision's trunk and FETI's, `resnet12` only FETI's, \
               and convolutional networks have no choice.",
    },
    Code {
        name: "fsct::data::augment::random_resized_crop::min_scale::above_max",
        title: "the least share of the area is above the greatest",
        text: "The area of a random crop is drawn between `min_scale` and `max_scale` of the image's.",
    },
    Code {
        name: "fsct::*::moments",
        title: "mean and deviation do not fit the channels",
        text: "Give one number for all channels or one for each: three for `conv4`, one for `conv4s`. A \
               deviation divides, so it is above 0.",
    },
    Code {
        name: "fsct::backbone::weights::from::other_architecture",
        title: "such weights are of another architecture",
        text: "torchvision's are of `resnet18` and `resnet34` with torchvision's trunk, FETI's of ResNets \
               with `trunk: feti`. A convolutional network starts from a `checkpoint`.",
    },
    Code {
        name: "fsct::backbone::weights::path::does_not_exist",
        title: "the weights file is not there",
        text: "A path in the file is relative to the file; one in `--set` or the environment is \
               relative to the current directory. `fsct validate --offline` does not look.",
    },
    Code {
        name: "fsct::backbone::weights::path::unfit",
        title: "the file is there, and its weights cannot be used",
        text: "It is damaged, or its tensors have other names or shapes than the backbone's; the \
               message names them. `backbone.weights.allow_missing` lists those that may keep their \
               initial values. `fsct validate --offline` does not look.",
    },
    Code {
        name: "fsct::data::image_size::too_small",
        title: "the backbone shrinks the image to nothing",
        text: "Each pooling layer halves height and width; a Conv4 has four. Use larger images or a \
               backbone with less pooling.",
    },
    Code {
        name: "fsct::*::does_not_exist",
        title: "the file or folder is not there",
        text: "A path in the file is relative to the file; one in `--set` or the environment is \
               relative to the current directory. `fsct validate --offline` does not look.",
    },
    Code {
        name: "fsct::*::missing",
        title: "nothing says where the data set is",
        text: "Write `data.root`, or give it as `--set data.root=…` or `FSCT_DATA__ROOT`. Only \
               `format: synthetic` needs none.",
    },
    Code {
        name: "fsct::data::root::unusable",
        title: "the folder is there, and its images cannot be used",
        text: "A file is damaged or cannot be read; the message names it. `fsct validate --offline` does \
               not look.",
    },
    Code {
        name: "fsct::device::absent",
        title: "there is no such GPU, or no driver",
        text: "`nvidia-smi` lists the GPUs that the driver sees; they are counted from 0. `device: auto` \
               takes the CPU where there is none.",
    },
    Code {
        name: "fsct::device::not_compiled",
        title: "this fsct was built without CUDA",
        text: "Build it with `cargo build --release --features cuda`, or write `device: cpu` or \
               `device: auto`.",
    },
    Code {
        name: "fsct::memory::accumulation_steps::one_step",
        title: "a window is longer than an epoch",
        text: "An epoch ends the last window early, so there is one optimizer step an epoch whatever \
               the number says.",
    },
    Code {
        name: "fsct::memory::accumulation_steps::same_peak",
        title: "accumulating whole episodes does not lower the peak",
        text: "Each episode is as large as before; only the effective batch grows. \
               `accumulation_unit: queries` splits one episode and lowers the peak. Writing \
               `accumulation_unit: episodes` says that the larger batch is meant, and silences this.",
    },
    Code {
        name: "fsct::memory::accumulation_steps::too_many",
        title: "an episode has fewer images than micro-batches",
        text: "With `accumulation_unit: queries` a micro-batch is a part of one episode and holds at \
               least one of its `n_way × (k_shot + n_query)` images.",
    },
    Code {
        name: "fsct::memory::clear_cache_every::on_cpu",
        title: "the CPU keeps no cache to clear",
        text: "Freed memory goes back to the allocator at once. The key acts on a GPU only.",
    },
    Code {
        name: "fsct::memory::loss_scale::unused",
        title: "only f16 needs a loss scale",
        text: "f32 and bf16 reach down to 1e-38, where no gradient underflows; f16 ends at 6e-8. \
               Remove `loss_scale`, or choose `amp: f16`.",
    },
    Code {
        name: "fsct::method::vic::covariance::form::dense",
        title: "the covariance matrix of all features is large",
        text: "It is features × features: 2.35 GiB at 25088 features, and three are alive at once. \
               `gram` computes the same number from a samples × samples matrix.",
    },
    Code {
        name: "fsct::method::vic::invariance::weight::one_shot",
        title: "with one shot the invariance term is zero",
        text: "It is the distance of support features to their prototype, and a single shot is its own \
               prototype.",
    },
    Code {
        name: "fsct::method::alignment::not_of_this_method",
        title: NOT_OF_THIS_METHOD.0,
        text: NOT_OF_THIS_METHOD.1,
    },
    Code {
        name: "fsct::method::attention::not_of_this_method",
        title: NOT_OF_THIS_METHOD.0,
        text: NOT_OF_THIS_METHOD.1,
    },
    Code {
        name: "fsct::method::classifier::not_of_this_method",
        title: NOT_OF_THIS_METHOD.0,
        text: NOT_OF_THIS_METHOD.1,
    },
    Code {
        name: "fsct::method::distance::not_of_this_method",
        title: NOT_OF_THIS_METHOD.0,
        text: NOT_OF_THIS_METHOD.1,
    },
    Code {
        name: "fsct::method::prototypes::not_of_this_method",
        title: NOT_OF_THIS_METHOD.0,
        text: NOT_OF_THIS_METHOD.1,
    },
    Code {
        name: "fsct::method::vic::without_profoct",
        title: "VIC terms belong to `profoct`",
        text: "`profoct` is `fsct` with variance, invariance and covariance terms in its loss. With \
               another method the block would do nothing.",
    },
    Code {
        name: "fsct::optimizer::schedule::warmup_steps::never_ends",
        title: "the warm-up is longer than training",
        text: "The learning rate rises in a straight line during the warm-up, so it is never reached. A \
               few percent of the steps are usual.",
    },
    Code {
        name: "fsct::test::checkpoint::no_validation",
        title: "without validation no checkpoint is the best",
        text: "The best checkpoint is the one with the highest validation accuracy. Write \
               `checkpoint: last`, or validate.",
    },
];

/// Looks a code up by name; `fsct::*::unused` stands for the rule at any key.
pub fn code(name: &str) -> Option<&'static Code> {
    let shared = |code: &&Code| {
        let rule = code.name.strip_prefix("fsct::*::");
        rule.is_some_and(|rule| name.rsplit("::").next() == Some(rule))
    };
    CODES.iter().find(|code| code.name == name).or_else(|| CODES.iter().find(shared))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rule_is_explained() {
        let rules =
            [include_str!("../resolve/check.rs"), include_str!("../../cli/validate.rs")].concat();
        let mut found = 0;
        for part in rules.split("Rule(\"").skip(1).chain(rules.split("Unwise(\"").skip(1)) {
            let rule = part.split('"').next().unwrap_or_default();
            let explained = CODES.iter().any(|code| code.name.ends_with(&format!("::{rule}")));
            assert!(explained, "the rule `{rule}` has no entry in CODES");
            found += 1;
        }
        assert!(found > 10, "only {found} rules");
    }
}
