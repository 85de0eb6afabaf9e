//! The words of a command line, read as argparse reads them.

use crate::config::text::suggest;

/// Whose `train_test.py` a command line is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// The published code: no accumulation, no AMP, no ProFOCT; it never trains an ImageNet ResNet.
    Original,
    /// The later fork with ProFOCT and the memory options: two accumulation steps and AMP by default.
    Fork,
}

impl Source {
    /// The line of a pipeline's header that says what was assumed.
    pub(super) fn explanation(self) -> &'static str {
        match self {
            Self::Original => {
                "Read as a command line of the published train_test.py: no AMP, no accumulation. \
                 `--from fork` reads it as the fork's."
            }
            Self::Fork => {
                "Read as a command line of the fork's train_test.py, with its defaults: AMP, two \
                 accumulation steps. `--from original` reads it as the published code's."
            }
        }
    }
}

/// A flag of `train_test.py`.
pub(super) struct Flag {
    pub name: &'static str,
    default: Option<&'static str>,
    /// Only the fork has it.
    fork_only: bool,
}

const fn flag(name: &'static str, default: &'static str) -> Flag {
    Flag { name, default: Some(default), fork_only: false }
}

const fn unset(name: &'static str) -> Flag {
    Flag { name, default: None, fork_only: false }
}

const fn fork(name: &'static str, default: Option<&'static str>) -> Flag {
    Flag { name, default, fork_only: true }
}

/// Flags that become keys, then flags about how a run is watched and kept.
pub(super) const FLAGS: &[Flag] = &[
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
    fork("gradient_accumulation_steps", Some("2")),
    fork("use_amp", Some("1")),
    fork("dynamic_vic", None),
    fork("vic_alpha", None),
    fork("vic_beta", None),
    fork("vic_gamma", None),
    fork("vic_ema_decay", None),
    fork("vic_attention_scale", None),
    fork("use_vic_on_attention", None),
    fork("distance_metric", None),
    unset("split"),
    unset("wandb"),
    unset("datetime"),
    unset("save_freq"),
    flag("save_iter", "-1"),
    unset("resume"),
    unset("seed"),
    fork("visualize_features", None),
    fork("comprehensive_eval", None),
];

/// A command line, and what is to be said about it.
pub(super) struct CommandLine {
    given: Vec<(&'static str, String)>,
    notes: Vec<String>,
    source: Source,
}

impl CommandLine {
    /// Reads the words; `source` says whose command line it is, `None` decides by flags and method.
    pub fn read(words: &[String], source: Option<Source>) -> Self {
        let mut line = Self { given: Vec::new(), notes: Vec::new(), source: Source::Original };
        line.read_words(words);
        let of_fork = |name: &str| FLAGS.iter().any(|flag| flag.name == name && flag.fork_only);
        let fork = line.given.iter().any(|(name, _)| of_fork(name))
            || !["fsct_softmax", "fsct_cosine", "ctx_softmax", "ctx_cosine"]
                .contains(&line.value("method").to_lowercase().as_str());
        line.source = source.unwrap_or(if fork { Source::Fork } else { Source::Original });
        if line.source == Source::Original {
            let (left, kept) = line.given.drain(..).partition(|(name, _)| of_fork(name));
            line.given = kept;
            for (name, value) in left {
                line.note(format!(
                    "--{name} {value} is left out: the published train_test.py has no such flag"
                ));
            }
        }
        line
    }

    /// Whose command line it is.
    pub fn source(&self) -> Source {
        self.source
    }

    /// The value, and the flag as it was given, if it was.
    pub fn get(&self, name: &'static str) -> (Option<&str>, String) {
        let given = self.given.iter().rev().find(|(flag, _)| *flag == name);
        let default = FLAGS.iter().find(|flag| flag.name == name).and_then(|flag| flag.default);
        match given {
            Some((_, value)) => (Some(value), format!("--{name} {value}")),
            None => (default, format!("the default of --{name}, {}", default.unwrap_or("unset"))),
        }
    }

    /// The value, empty where there is none.
    pub fn value(&self, name: &'static str) -> &str {
        self.get(name).0.unwrap_or_default()
    }

    /// Whether a switch is on.
    pub fn is_on(&self, name: &'static str) -> bool {
        !matches!(self.value(name), "" | "0" | "False" | "false")
    }

    /// Flags in the order of the line.
    pub fn given(&self) -> Vec<(&'static str, String)> {
        self.given.clone()
    }

    /// Whether a flag is on the line.
    pub fn is_given(&self, name: &str) -> bool {
        self.given.iter().any(|(flag, _)| *flag == name)
    }

    /// Whether the data set is one of characters, for which the reference takes other backbones.
    pub fn of_characters(&self) -> bool {
        matches!(self.value("dataset").to_lowercase().as_str(), "omniglot" | "cross_char")
    }

    /// Adds a note for the user.
    pub fn note(&mut self, text: impl Into<String>) {
        self.notes.push(text.into());
    }

    pub fn into_notes(self) -> Vec<String> {
        self.notes
    }

    fn read_words(&mut self, words: &[String]) {
        // A line may come quoted as one word.
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
                    self.note(format!("`{word}` is left out: it belongs to no flag"));
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
                Some(known) => self.given.push((known, value.unwrap_or("1").to_owned())),
                None => {
                    let names = FLAGS.iter().map(|flag| flag.name);
                    let meant = suggest::closest(name, names)
                        .map(|meant| format!("; did you mean `--{meant}`?"));
                    self.note(format!(
                        "`--{name}` is left out: train_test.py has no such flag{}",
                        meant.unwrap_or_default()
                    ));
                }
            }
        }
    }
}

/// argparse takes any prefix that fits one flag only.
fn known(name: &str) -> Option<&'static str> {
    if let Some(flag) = FLAGS.iter().find(|flag| flag.name == name) {
        return Some(flag.name);
    }
    let mut fitting = FLAGS.iter().filter(|flag| !name.is_empty() && flag.name.starts_with(name));
    fitting.next().filter(|_| fitting.next().is_none()).map(|flag| flag.name)
}
