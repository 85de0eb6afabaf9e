//! A `train_test.py` command line → a pipeline, and what is different.
//!
//! Every flag is mapped to the key that means the same, whether or not this version has the key:
//! the draft is then checked like any pipeline, and a key that is refused is left out and named.
//! `docs/migrating.md` has the whole mapping as a table; `tests/migrating.rs` checks each of its rows.

mod command_line;
mod data;
mod model;
mod training;
mod unused;

use crate::config::{
    resolve::schema::FILE_NAME,
    text::diagnostic::Diagnostic,
    tools::draft::{Draft, Dropped},
};
use command_line::CommandLine;
pub use command_line::Source;

/// The pipeline, and what is to be said about it.
#[derive(Debug, Clone)]
pub struct Migrated {
    /// Text of the pipeline file.
    pub yaml: String,
    /// What the new pipeline does differently, and what has no counterpart.
    pub notes: Vec<String>,
    /// Why this version cannot run the pipeline.
    pub diagnostics: Vec<Diagnostic>,
}

/// Translates the words of a command line, with or without `python train_test.py` before them.
///
/// `root` is the folder of the data set; `None` is the reference's own layout. `source` says whose
/// `train_test.py` it is; `None` decides by the flags and the method.
pub fn migrate(words: &[String], root: Option<&str>, source: Option<Source>) -> Migrated {
    let mut line = CommandLine::read(words, source);
    let was = format!("Was: train_test.py {}", words.join(" ").replace(['\n', '\r'], " "));
    let mut draft = Draft::new(FILE_NAME, &["", was.trim_end(), line.source().explanation()]);
    draft.set("version", 1, "", "");
    draft.set("name", name(&line), "", "");
    draft.set("seed", 4040, "train_test.py's; its random numbers are others", "the seed");
    data::data(&mut line, &mut draft, root);
    training::episode(&mut line, &mut draft);
    model::backbone(&mut line, &mut draft);
    model::method(&mut line, &mut draft);
    training::memory(&mut line, &mut draft);
    training::training(&mut line, &mut draft, root);
    unused::unused(&mut line);
    let (dropped, diagnostics) = draft.settle();
    for Dropped { from, diagnostic } in dropped {
        line.note(format!("{from} is left out: {}", diagnostic.message));
    }
    Migrated { yaml: draft.to_yaml(), notes: line.into_notes(), diagnostics }
}

fn name(line: &CommandLine) -> String {
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

/// A whole number stays one; text that is not a number is left for the check to refuse.
fn number(text: &str) -> serde_json::Value {
    text.parse::<u64>()
        .map(Into::into)
        .or_else(|_| text.parse::<f64>().map(Into::into))
        .unwrap_or_else(|_| text.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<String> {
        line.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn every_flag_is_written_or_named_in_a_note() {
        for source in [Source::Original, Source::Fork] {
            let plain = migrate(&[], None, Some(source));
            for flag in command_line::FLAGS {
                let changes = |value| {
                    let words = words(&format!("--{} {value}", flag.name));
                    let given = migrate(&words, None, Some(source));
                    let body = |text: &str| text.lines().skip(4).collect::<String>();
                    body(&given.yaml) != body(&plain.yaml) || given.notes != plain.notes
                };
                assert!(changes("7") || changes("0"), "--{} changes nothing", flag.name);
            }
        }
    }

    #[test]
    fn unknown_words_are_named() {
        let migrated = migrate(&words("--n_wya 5 --horse 3 loose"), None, None);
        let notes = migrated.notes.join("\n");
        assert!(notes.contains("did you mean `--n_way`?"), "{notes}");
        assert!(notes.contains("`--horse` is left out"), "{notes}");
        assert!(notes.contains("`loose`"), "{notes}");
    }

    #[test]
    fn the_flags_decide_whose_command_line_it_is() {
        let source = |line: &str| CommandLine::read(&words(line), None).source();
        assert_eq!(source("--method FSCT_cosine --backbone Conv4"), Source::Original);
        assert_eq!(source("--method FSCT_cosine --use_amp 1"), Source::Fork);
        assert_eq!(source("--method ProFOCT_cosine"), Source::Fork);
        let migrated = migrate(&words("--use_amp 1"), None, Some(Source::Original));
        assert!(migrated.yaml.contains("the published train_test.py"), "{}", migrated.yaml);
        assert!(!migrated.yaml.contains("memory:"), "{}", migrated.yaml);
        assert!(migrated.notes.iter().any(|note| note.contains("--use_amp 1 is left out")));
    }
}
