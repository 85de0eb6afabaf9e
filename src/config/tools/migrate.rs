//! A `train_test.py` command line → a pipeline, and what is different.
//!
//! Every flag is mapped to the key that means the same, whether or not this version has the key:
//! the draft is then checked like any pipeline, and what is refused is reported as not there yet.
//! So a flag needs no second look on the day its key arrives.

use crate::config::{
    resolve::schema::FILE_NAME,
    text::{diagnostic::Diagnostic, suggest},
    tools::draft::{Draft, Dropped},
};

/// The pipeline, and what is to be said about it.
#[derive(Debug, Clone)]
pub struct Migrated {
    /// Text of the pipeline file.
    pub yaml: String,
    /// What the new pipeline does differently, and what has no counterpart.
    pub notes: Vec<String>,
    /// Why the pipeline does not run with this version.
    pub diagnostics: Vec<Diagnostic>,
}

/// A flag of `train_test.py`, with its default there.
struct Flag {
    name: &'static str,
    default: Option<&'static str>,
}

const fn flag(name: &'static str, default: &'static str) -> Flag {
    Flag { name, default: Some(default) }
}

const fn unset(name: &'static str) -> Flag {
    Flag { name, default: None }
}

/// Flags that become keys, then flags about how a run is watched and kept.
const FLAGS: &[Flag] = &[
    flag("dataset", "miniImagenet"),
    flag("backbone", "ResNet18"),
    flag("method", "FSCT_cosine"),
    flag("n_way", "5"),
    flag("k_shot", "5"),
    flag("n_query", "16"),
    flag("train_aug", "0"),
    flag("n_episode", "200"),
    flag("num_epoch", "50"),
    flag("test_iter", "600"),
    flag("FETI", "0"),
    flag("learning_rate", "1e-3"),
    flag("weight_decay", "1e-5"),
    flag("momentum", "0.9"),
    flag("optimization", "AdamW"),
    flag("gradient_accumulation_steps", "2"),
    flag("use_amp", "1"),
    unset("dynamic_vic"),
    unset("vic_alpha"),
    unset("vic_beta"),
    unset("vic_gamma"),
    unset("vic_ema_decay"),
    unset("vic_attention_scale"),
    unset("use_vic_on_attention"),
    unset("distance_metric"),
    unset("split"),
    unset("wandb"),
    unset("datetime"),
    unset("save_freq"),
    unset("save_iter"),
    unset("resume"),
    unset("seed"),
    unset("visualize_features"),
    unset("comprehensive_eval"),
];

struct Line {
    given: Vec<(&'static str, String)>,
    notes: Vec<String>,
}

impl Line {
    /// The value, and the flag as it was given, if it was.
    fn get(&self, name: &'static str) -> (Option<&str>, String) {
        let given = self.given.iter().rev().find(|(flag, _)| *flag == name);
        let default = FLAGS.iter().find(|flag| flag.name == name).and_then(|flag| flag.default);
        match given {
            Some((_, value)) => (Some(value), format!("--{name} {value}")),
            None => (default, format!("the default of --{name}, {}", default.unwrap_or("unset"))),
        }
    }

    fn value(&self, name: &'static str) -> &str {
        self.get(name).0.unwrap_or_default()
    }

    fn is_on(&self, name: &'static str) -> bool {
        !matches!(self.value(name), "" | "0" | "False" | "false")
    }

    fn note(&mut self, text: impl Into<String>) {
        self.notes.push(text.into());
    }
}

/// Translates the words of a command line, with or without `python train_test.py` before them.
///
/// `root` is the folder of the data set; `None` leaves the reference's own layout.
pub fn migrate(words: &[String], root: Option<&str>) -> Migrated {
    let mut line = read(words);
    let mut draft = Draft::new(
        FILE_NAME,
        &["", &format!("Was: train_test.py {}", words.join(" ").replace(['\n', '\r'], " "))],
    );
    draft.set("version", 1, "", "");
    draft.set("name", name(&line), "", "");
    data(&mut line, &mut draft, root);
    episode(&line, &mut draft);
    backbone(&mut line, &mut draft);
    method(&mut line, &mut draft);
    memory(&mut line, &mut draft);
    training(&mut line, &mut draft);
    housekeeping(&mut line);
    let (dropped, diagnostics) = draft.settle();
    for Dropped { from, diagnostic } in dropped {
        line.note(format!("{from} is left out: {}", diagnostic.message));
    }
    Migrated { yaml: draft.to_yaml(), notes: line.notes, diagnostics }
}

fn read(words: &[String]) -> Line {
    let mut line = Line { given: Vec::new(), notes: Vec::new() };
    // A line that was quoted as one word is a line all the same.
    let mut words = words
        .iter()
        .flat_map(|word| word.split_whitespace())
        .filter(|word| !matches!(*word, "" | "\\"));
    let mut pending = words.next();
    while let Some(word) = pending {
        pending = words.next();
        let Some(flag) = word.strip_prefix("--") else {
            let program =
                word.ends_with("python") || word.ends_with("python3") || word.ends_with(".py");
            if !program {
                line.note(format!("`{word}` is left out: it belongs to no flag"));
            }
            continue;
        };
        let (name, mut value) = match flag.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (flag, None),
        };
        if value.is_none() && pending.is_some_and(|next| !next.starts_with("--")) {
            value = pending;
            pending = words.next();
        }
        match known(name) {
            Some(known) => line.given.push((known, value.unwrap_or("1").to_owned())),
            None => {
                let names = FLAGS.iter().map(|flag| flag.name);
                let meant = suggest::closest(name, names)
                    .map(|meant| format!("; did you mean `--{meant}`?"));
                line.note(format!(
                    "`--{name}` is left out: it is no flag of train_test.py{}",
                    meant.unwrap_or_default()
                ));
            }
        }
    }
    line
}

/// argparse takes any prefix that fits one flag only.
fn known(name: &str) -> Option<&'static str> {
    if let Some(flag) = FLAGS.iter().find(|flag| flag.name == name) {
        return Some(flag.name);
    }
    let mut fitting = FLAGS.iter().filter(|flag| !name.is_empty() && flag.name.starts_with(name));
    fitting.next().filter(|_| fitting.next().is_none()).map(|flag| flag.name)
}

fn name(line: &Line) -> String {
    let part = |name| line.value(name).to_lowercase().replace(['/', '\\', ':', ' '], "-");
    format!(
        "{}-{}-{}-{}way-{}shot",
        part("method").replace('_', "-"),
        part("dataset"),
        part("backbone"),
        part("n_way"),
        part("k_shot"),
    )
}

fn data(line: &mut Line, draft: &mut Draft, root: Option<&str>) {
    let (dataset, from) = line.get("dataset");
    let dataset = dataset.unwrap_or_default().to_owned();
    let (format, folder) = match dataset.to_lowercase().as_str() {
        "miniimagenet" => ("filelist", "dataset/miniImagenet"),
        "cub" => ("filelist", "dataset/CUB"),
        "cifar" => ("filelist", "dataset/CIFAR_FS"),
        "yoga" => ("filelist", "dataset/Yoga"),
        "omniglot" => ("omniglot", "dataset/Omniglot"),
        "cross" => {
            line.note(
                "--dataset cross trains on miniImageNet and tests on CUB; this pipeline names one data set: \
                 give `validate` and `test` their own once they can name one",
            );
            ("filelist", "dataset/miniImagenet")
        }
        "cross_char" => {
            line.note(
                "--dataset cross_char trains on Omniglot and tests on EMNIST; this pipeline names one data set: \
                 give `validate` and `test` their own once they can name one",
            );
            ("omniglot", "dataset/Omniglot")
        }
        _ => {
            line.note(format!(
                "`--dataset {dataset}` is no data set of train_test.py: the pipeline expects base.json, val.json \
                 and novel.json in its folder"
            ));
            ("filelist", "dataset")
        }
    };
    if format == "omniglot" {
        line.note(
            "the reference reads Omniglot through its own lists of files, with rotations; `format: omniglot` \
             reads the images and splits them by alphabet",
        );
    }
    let comment = match format {
        "filelist" => "the folder with base.json, val.json and novel.json",
        _ => "the folder with images_background_*",
    };
    draft.set("data.format", format, "", &from);
    draft.set("data.root", root.unwrap_or(folder), comment, &from);
    let resnet = line.value("backbone").to_lowercase().starts_with("resnet");
    let size = match (dataset.as_str(), resnet) {
        ("CIFAR", false) => 64,
        ("CIFAR", true) => 112,
        (_, false) => 84,
        (_, true) => 224,
    };
    draft.set("data.image_size", size, "pixels", &from);
    if line.is_on("train_aug") {
        draft.set("data.augment", "standard", "", &line.get("train_aug").1);
    }
}

fn number(text: &str) -> serde_json::Value {
    // A whole number stays one; what is no number is left for the check to refuse.
    text.parse::<u64>()
        .map(Into::into)
        .or_else(|_| text.parse::<f64>().map(Into::into))
        .unwrap_or_else(|_| text.into())
}

fn episode(line: &Line, draft: &mut Draft) {
    for name in ["n_way", "k_shot", "n_query"] {
        let (value, from) = line.get(name);
        draft.set(&format!("episode.{name}"), number(value.unwrap_or_default()), "", &from);
    }
}

fn backbone(line: &mut Line, draft: &mut Draft) {
    let (backbone, from) = line.get("backbone");
    let mut kind = backbone.unwrap_or_default().to_lowercase();
    // The reference swaps these in behind the user's back.
    let character =
        matches!(line.value("dataset").to_lowercase().as_str(), "omniglot" | "cross_char");
    if character && matches!(kind.as_str(), "conv4" | "conv6" | "conv4s" | "conv6s") {
        kind = match kind.strip_suffix('s') {
            Some(kind) => format!("{kind}snp"),
            None => format!("{kind}np"),
        };
    }
    draft.set("backbone.kind", kind.as_str(), "", &from);
    if kind.starts_with("resnet") {
        let (source, file) =
            if line.is_on("FETI") { ("feti", "feti.pt.tar") } else { ("torchvision", "pth") };
        let from = if line.is_on("FETI") {
            line.get("FETI").1
        } else {
            format!("the ImageNet weights of {kind}")
        };
        if line.is_on("FETI") {
            draft.set("backbone.trunk", "feti", "", &from);
        }
        draft.set("backbone.weights.from", source, "", &from);
        draft.set(
            "backbone.weights.path",
            format!("weights/{kind}.{file}"),
            "the downloaded weights",
            &from,
        );
    } else if line.is_on("FETI") {
        line.note("--FETI 1 is left out: only ResNets have FETI weights, and train_test.py ignores it too");
    }
}

fn method(line: &mut Line, draft: &mut Draft) {
    let (method, from) = line.get("method");
    let method = method.unwrap_or_default().to_lowercase();
    let (kind, attention) = method.rsplit_once('_').unwrap_or((&method, "cosine"));
    let (kind, attention) =
        if attention == "profonet" { ("profoct", "cosine") } else { (kind, attention) };
    draft.set("method.kind", kind, "", &from);
    draft.set("method.attention", attention, "", &from);
    let vic = [
        ("vic_alpha", "method.vic.variance.weight"),
        ("vic_beta", "method.vic.invariance.weight"),
        ("vic_gamma", "method.vic.covariance.weight"),
        ("vic_ema_decay", "method.vic.dynamic.ema_decay"),
        ("vic_attention_scale", "method.vic.on_attention.scale"),
    ];
    let switches = [
        ("dynamic_vic", "method.vic.dynamic.enabled"),
        ("use_vic_on_attention", "method.vic.on_attention.enabled"),
    ];
    if kind == "profoct" {
        draft.set("method.vic.preset", "reference", "the numbers of train_test.py", &from);
        let mut entries: Vec<(&str, serde_json::Value, String)> = Vec::new();
        for (flag, key) in vic {
            if let (Some(value), from) = line.get(flag) {
                entries.push((key, number(value), from));
            }
        }
        for (flag, key) in switches {
            if let (Some(_), from) = line.get(flag) {
                entries.push((key, line.is_on(flag).into(), from));
            }
        }
        entries.sort_by_key(|(key, ..)| ORDER.iter().position(|other| other == key));
        for (key, value, from) in entries {
            draft.set(key, value, "", &from);
        }
        line.note(
            "with `preset: reference` only the covariance term acts, as in train_test.py; remove the preset for \
             terms that all do something",
        );
    } else {
        let unused: Vec<&str> = vic.iter().chain(&switches).map(|(flag, _)| *flag).collect();
        for (flag, value) in line.given.clone() {
            if unused.contains(&flag) {
                line.note(format!("--{flag} {value} is left out: only ProFOCT has VIC terms"));
            }
        }
    }
    if let (Some(_), from) = line.get("distance_metric") {
        line.note(format!("{from} is left out: train_test.py stores it and never uses it"));
    }
}

/// Keys of the `vic` block in the order of the schema.
const ORDER: [&str; 7] = [
    "method.vic.variance.weight",
    "method.vic.invariance.weight",
    "method.vic.covariance.weight",
    "method.vic.dynamic.enabled",
    "method.vic.dynamic.ema_decay",
    "method.vic.on_attention.enabled",
    "method.vic.on_attention.scale",
];

fn memory(line: &mut Line, draft: &mut Draft) {
    let (steps, from) = line.get("gradient_accumulation_steps");
    let steps = steps.unwrap_or_default().to_owned();
    draft.set(
        "memory.accumulation_steps",
        number(&steps),
        "micro-batches before one optimizer step",
        &from,
    );
    if steps != "1" {
        draft.set(
            "memory.accumulation_unit",
            "episodes",
            "`queries` splits one episode: a lower peak",
            &from,
        );
        line.note(
            "train_test.py sums the gradients of whole episodes; fsct takes their mean, so a step is \
             accumulation_steps times smaller before AdamW evens it out. Neither lowers the peak: \
             `accumulation_unit: queries` does",
        );
    }
    let (_, from) = line.get("use_amp");
    let amp = if line.is_on("use_amp") { "f16" } else { "off" };
    draft.set("memory.amp", amp, "", &from);
    if amp == "f16" {
        line.note(
            "train_test.py turns AMP off on a CPU; write `amp: off` there, where 16 bits cost time",
        );
    }
    draft.set(
        "memory.clear_cache_every",
        50,
        "steps; train_test.py: every 10 to 50",
        "the cache clearing",
    );
    draft.set("memory.clear_cache_after_epoch", true, "", "the cache clearing");
}

fn training(line: &mut Line, draft: &mut Draft) {
    let (optimizer, from) = line.get("optimization");
    let kind = optimizer.unwrap_or_default().to_lowercase();
    draft.set("optimizer.kind", kind.as_str(), "", &from);
    for name in ["learning_rate", "weight_decay"] {
        let (value, from) = line.get(name);
        draft.set(&format!("optimizer.{name}"), number(value.unwrap_or_default()), "", &from);
    }
    let (momentum, from) = line.get("momentum");
    if kind == "sgd" {
        draft.set("optimizer.momentum", number(momentum.unwrap_or_default()), "", &from);
    } else if line.given.iter().any(|(flag, _)| *flag == "momentum") {
        line.note(format!("{from} is left out: only SGD has momentum"));
    }
    let (epochs, from) = line.get("num_epoch");
    draft.set("train.epochs", number(epochs.unwrap_or_default()), "", &from);
    let (episodes, from) = line.get("n_episode");
    draft.set("train.episodes_per_epoch", number(episodes.unwrap_or_default()), "", &from);
    draft.set("validate.episodes", number(episodes.unwrap_or_default()), "", &from);
    let (test, from) = line.get("test_iter");
    draft.set("test.episodes", number(test.unwrap_or_default()), "", &from);
}

fn housekeeping(line: &mut Line) {
    for (flag, value) in line.given.clone() {
        let text = match flag {
            "split" if value == "novel" => "the test uses the novel split already".to_owned(),
            "split" => format!("test that split with `fsct eval RUN --split {value}`"),
            "wandb" if value == "0" => continue,
            "wandb" => "a run writes its events to `events.jsonl`; nothing is uploaded".into(),
            "datetime" => "a run's folder carries its own time".into(),
            "save_freq" => "a run keeps its last and its best checkpoint".into(),
            "save_iter" if value == "-1" => "the best checkpoint is tested already".into(),
            "save_iter" => "test a checkpoint with `fsct eval CHECKPOINT`".into(),
            "resume" if value == "0" => continue,
            "resume" => "go on with `fsct run PIPELINE --resume`".into(),
            "seed" => {
                line.note(format!("--seed {value} is left out: train_test.py has no such flag; write `seed: {value}`"));
                continue;
            }
            "visualize_features" => "there is no plot of features".into(),
            "comprehensive_eval" => "a run's metrics are in `metrics.json`".into(),
            _ => continue,
        };
        line.note(format!("--{flag} {value} is left out: {text}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<String> {
        line.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn a_command_line_that_this_version_can_run_becomes_a_valid_pipeline() {
        let migrated = migrate(
            &words(
                "python train_test.py --method ProFOCT_softmax --dataset Omniglot --backbone Conv4S --n_way 5 \
                 --k_shot=1 --n_query 8 --gradient_accum 4 --use_amp 0 --use_vic_on_attention 1 --vic_gamma 0.1 \
                 --optimization SGD --momentum 0.8 --num_epoch 3 --wandb 1",
            ),
            Some("/data/omniglot"),
        );
        for line in [
            "name: profoct-softmax-omniglot-conv4s-5way-1shot",
            "root: /data/omniglot",
            "k_shot: 1",
            "kind: profoct",
            "attention: softmax",
            "weight: 0.1",
            "enabled: true",
            "accumulation_steps: 4",
            "amp: off",
            "kind: sgd",
            "momentum: 0.8",
            "epochs: 3",
        ] {
            assert!(migrated.yaml.contains(line), "{line} in\n{}", migrated.yaml);
        }
        assert!(
            migrated.notes.iter().any(|note| note.contains("--wandb 1")),
            "{:?}",
            migrated.notes
        );
        // The reference's own swap of backbones on Omniglot.
        assert!(migrated.yaml.contains("kind: conv4snp"));
    }

    #[test]
    fn every_flag_is_written_or_spoken_of() {
        for flag in FLAGS {
            let plain = migrate(&[], None);
            let changes = |value| {
                let given = migrate(&words(&format!("--{} {value}", flag.name)), None);
                let body = |text: &str| text.lines().skip(3).collect::<String>();
                body(&given.yaml) != body(&plain.yaml) || given.notes != plain.notes
            };
            assert!(changes("7") || changes("0"), "--{} changes nothing", flag.name);
        }
    }

    #[test]
    fn strangers_are_named() {
        let migrated = migrate(&words("--n_wya 5 --horse 3 loose"), None);
        let notes = migrated.notes.join("\n");
        assert!(notes.contains("did you mean `--n_way`?"), "{notes}");
        assert!(notes.contains("`--horse` is left out"), "{notes}");
        assert!(notes.contains("`loose`"), "{notes}");
    }
}
