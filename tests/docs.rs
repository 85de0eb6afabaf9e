//! The documentation is true where a program can tell: links lead somewhere, commands parse, keys exist.
#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use clap::Parser;
use clap::error::ErrorKind;
use fsct::cli::Cli;
use fsct::config::{Overrides, explain, load_str, schema};
use serde_yaml::Value;

/// A page, relative to the repository, and its text.
struct Page {
    path: PathBuf,
    text: String,
}

impl Page {
    fn open(path: impl Into<PathBuf>) -> Self {
        let path = path.into();
        let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(&path)).unwrap();
        Self { path, text }
    }

    /// Fenced blocks: language and text.
    fn blocks(&self) -> Vec<(&str, String)> {
        let mut blocks: Vec<(&str, String)> = Vec::new();
        let mut inside = false;
        for line in self.text.lines() {
            match line.trim_start().strip_prefix("```") {
                Some(_) if inside => inside = false,
                Some(language) => {
                    inside = true;
                    blocks.push((language.trim(), String::new()));
                }
                None if inside => {
                    let text = &mut blocks.last_mut().unwrap().1;
                    text.push_str(line);
                    text.push('\n');
                }
                None => {}
            }
        }
        blocks
    }

    /// The text outside of fenced blocks.
    fn prose(&self) -> String {
        let mut inside = false;
        let lines = self.text.lines().filter(|line| {
            let fence = line.trim_start().starts_with("```");
            inside ^= fence;
            !inside && !fence
        });
        lines.collect::<Vec<_>>().join("\n")
    }

    /// Code spans of the prose. A bar in a table is written `\|`.
    fn spans(&self) -> Vec<String> {
        let prose = self.prose();
        let spans = prose.split('`').skip(1).step_by(2);
        spans
            .map(|it| it.replace("\\|", "|").split_whitespace().collect::<Vec<_>>().join(" "))
            .collect()
    }

    fn name(&self) -> String {
        self.path.display().to_string()
    }
}

/// All pages: those of the repository's root and of `docs`.
fn pages() -> Vec<Page> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut paths = Vec::new();
    for folder in ["", "docs"] {
        for entry in fs::read_dir(root.join(folder)).unwrap() {
            let name = entry.unwrap().file_name();
            if Path::new(&name).extension().is_some_and(|it| it == "md") {
                paths.push(Path::new(folder).join(name));
            }
        }
    }
    paths.sort();
    assert!(paths.len() > 10, "{paths:?}");
    paths.into_iter().map(Page::open).collect()
}

/// Targets of the links in a text: what is between `](` and `)`.
fn links(text: &str) -> Vec<&str> {
    text.split("](").skip(1).filter_map(|rest| rest.split(')').next()).collect()
}

/// The anchor that GitHub gives a heading.
fn anchor(heading: &str) -> String {
    let kept = heading.trim().to_lowercase();
    let kept = kept.chars().filter(|it| it.is_alphanumeric() || matches!(it, ' ' | '-' | '_'));
    kept.map(|it| if it == ' ' { '-' } else { it }).collect()
}

#[test]
fn links_lead_somewhere() {
    let (mut count, mut broken) = (0, Vec::new());
    for page in pages() {
        for link in links(&page.prose()) {
            if link.contains("://") {
                continue;
            }
            count += 1;
            let (file, fragment) = link.split_once('#').unwrap_or((link, ""));
            let path = match file {
                "" => page.path.clone(),
                file => page.path.parent().unwrap().join(file),
            };
            let found = Path::new(env!("CARGO_MANIFEST_DIR")).join(&path).exists();
            let headed = || {
                let target = Page::open(path.clone());
                let prose = target.prose();
                let mut headings = prose.lines().filter_map(|line| line.strip_prefix('#'));
                headings.any(|heading| anchor(heading.trim_start_matches('#')) == fragment)
            };
            if !found || !fragment.is_empty() && !headed() {
                broken.push(format!("{}: {link}", page.name()));
            }
        }
    }
    assert!(count > 15, "only {count} links");
    assert!(broken.is_empty(), "{broken:#?}");
}

#[test]
fn the_readme_and_the_sites_summary_link_every_page() {
    let linked = |page: &str| -> BTreeSet<PathBuf> {
        let (page, text) = (Path::new(page), Page::open(page).text);
        let folder = page.parent().unwrap();
        links(&text).into_iter().map(|link| folder.join(link)).collect()
    };
    let (readme, summary) = (linked("README.md"), linked("docs/SUMMARY.md"));
    for Page { path, .. } in pages() {
        let is_list =
            [Path::new("README.md"), Path::new("docs/SUMMARY.md")].contains(&path.as_path());
        assert!(is_list || readme.contains(&path), "{} in README.md", path.display());
        let of_site = path.starts_with("docs") && !is_list;
        assert!(!of_site || summary.contains(&path), "{} in docs/SUMMARY.md", path.display());
    }
}

/// Words of a command line as a shell would split them: quotes, and a comment or a pipe at its end.
fn words(line: &str) -> Vec<String> {
    let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None);
    for letter in line.chars() {
        match (quote, letter) {
            (Some(open), it) if it == open => quote = None,
            (None, '\'' | '"') => {
                quote = Some(letter);
                word.get_or_insert_default();
            }
            (None, '|' | '>' | ';' | '&') => break,
            (None, '#') if word.is_none() => break,
            (None, it) if it.is_whitespace() => words.extend(word.take()),
            (_, it) => word.get_or_insert_default().push(it),
        }
    }
    words.extend(word);
    words
}

/// The arguments after `fsct`, where the line calls it.
fn call(line: &str) -> Option<Vec<String>> {
    let words = words(line);
    let is_variable = |word: &String| {
        word.split_once('=').is_some_and(|(name, _)| {
            name.chars().all(|it| it.is_ascii_uppercase() || it.is_ascii_digit() || it == '_')
        })
    };
    let first = words.iter().position(|word| !is_variable(word))?;
    match words[first].as_str() {
        "fsct" => Some(words[first + 1..].to_vec()),
        "cargo" if words.get(first + 1).is_some_and(|it| it == "run") => {
            let dashes = words.iter().position(|word| word == "--")?;
            (!words.iter().any(|it| it == "--example")).then(|| words[dashes + 1..].to_vec())
        }
        _ => None,
    }
}

/// Whether the command line accepts it; `incomplete` allows arguments to be left out.
fn parses(arguments: &[String], incomplete: bool) -> Result<(), String> {
    // `[RUN]` and `RUN…` are written of what is optional or repeated.
    let arguments = arguments.iter().map(|it| it.trim_matches(['[', ']', '…']));
    let arguments = arguments.filter(|it| !it.is_empty());
    match Cli::try_parse_from(std::iter::once("fsct").chain(arguments)) {
        Ok(_) => Ok(()),
        Err(error) => match error.kind() {
            ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => Ok(()),
            ErrorKind::MissingRequiredArgument
            | ErrorKind::MissingSubcommand
            | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
            | ErrorKind::InvalidValue
            | ErrorKind::ValueValidation
                if incomplete =>
            {
                Ok(())
            }
            _ => Err(error.to_string()),
        },
    }
}

/// Commands of the pages: page, line, arguments, whether it is complete.
fn commands() -> Vec<(String, String, Vec<String>, bool)> {
    let mut commands = Vec::new();
    for page in pages() {
        for (language, block) in page.blocks() {
            if !matches!(language, "sh" | "yaml" | "console") {
                continue;
            }
            for line in block.replace("\\\n", " ").lines() {
                let line = line.trim_start().trim_start_matches("$ ").trim_start_matches("- run: ");
                if let Some(arguments) = call(line) {
                    commands.push((page.name(), line.to_owned(), arguments, true));
                }
            }
        }
        for span in page.spans() {
            if let Some(arguments) = call(&span) {
                commands.push((page.name(), span, arguments, false));
            }
        }
    }
    commands
}

#[test]
fn every_command_parses() {
    let commands = commands();
    assert!(commands.len() > 40, "only {} commands", commands.len());
    let mut wrong = Vec::new();
    for (page, line, arguments, complete) in &commands {
        if let Err(error) = parses(arguments, !complete) {
            wrong.push(format!("{page}: {line}\n{error}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The names of every property of the schema, and of the top level.
fn names() -> (BTreeSet<String>, BTreeSet<String>) {
    fn collect(value: &serde_json::Value, names: &mut BTreeSet<String>) {
        match value {
            serde_json::Value::Object(map) => {
                if let Some(properties) = map.get("properties").and_then(|it| it.as_object()) {
                    names.extend(properties.keys().cloned());
                }
                map.values().for_each(|it| collect(it, names));
            }
            serde_json::Value::Array(list) => list.iter().for_each(|it| collect(it, names)),
            _ => {}
        }
    }
    let schema = serde_json::to_value(schema()).unwrap();
    let top = schema["properties"].as_object().unwrap().keys().cloned().collect();
    let mut all = BTreeSet::new();
    collect(&schema, &mut all);
    (top, all)
}

/// Keys of a mapping at a path that a pipeline does not have.
fn unknown(path: &str, value: &Value, found: &mut Vec<String>) {
    let Value::Mapping(map) = value else { return };
    for (key, value) in map {
        let Some(key) = key.as_str() else { continue };
        let path = if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") };
        match explain(&path) {
            Ok(_) => unknown(&path, value, found),
            Err(_) => found.push(path),
        }
    }
}

#[test]
fn every_key_exists() {
    let (sections, names) = names();
    let is_word = |it: &str| {
        !it.is_empty()
            && it.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
    };
    let (mut count, mut wrong) = (0, Vec::new());
    for page in pages() {
        let mut found = Vec::new();
        for (language, block) in page.blocks() {
            let Ok(Value::Mapping(map)) = serde_yaml::from_str::<Value>(&block) else { continue };
            // Other files are in YAML too.
            let ours = map.keys().all(|key| key.as_str().is_some_and(|it| sections.contains(it)));
            if language == "yaml" && ours {
                count += map.len();
                unknown("", &Value::Mapping(map), &mut found);
            }
        }
        for span in page.spans() {
            let (key, value) = span.split_once(": ").unwrap_or((&span, ""));
            let path: Vec<_> = key.split('.').collect();
            // `train.csv` is a file.
            let is_file = ["csv", "json", "txt", "zip", "bpk", "ckpt", "sarif"]
                .contains(&path[path.len() - 1]);
            if is_file || !path.iter().all(|it| is_word(it)) {
                continue;
            }
            let in_section = sections.contains(path[0]);
            if path.len() > 1 && in_section {
                count += 1;
                if explain(key).is_err() {
                    found.push(span.clone());
                }
            } else if in_section && !value.is_empty() {
                count += 1;
                if let Ok(value) = serde_yaml::from_str::<Value>(&span) {
                    unknown("", &value, &mut found);
                }
            } else if path.len() == 1 && !value.is_empty() && !value.contains(' ') {
                count += 1;
                if !names.contains(key) {
                    found.push(span.clone());
                }
            }
        }
        wrong.extend(found.into_iter().map(|key| format!("{}: {key}", page.name())));
    }
    for (page, line, arguments, _) in commands() {
        for pair in arguments.windows(2).filter(|pair| pair[0] == "--set") {
            count += 1;
            let key = pair[1].split('=').next().unwrap_or_default();
            if key != "KEY" && explain(key).is_err() {
                wrong.push(format!("{page}: {line}"));
            }
        }
    }
    assert!(count > 150, "only {count} keys");
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn every_whole_pipeline_is_valid_without_a_warning() {
    let mut count = 0;
    for page in pages() {
        for (language, block) in page.blocks() {
            if language == "yaml" && block.contains("\nbackbone:") && block.contains("\nmethod:") {
                let loaded = load_str(&page.name(), &block, &Overrides::default());
                assert!(loaded.as_ref().is_ok_and(|it| it.warnings.is_empty()), "{loaded:?}");
                count += 1;
            }
        }
    }
    assert!(count >= 2, "only {count} pipelines");
}
