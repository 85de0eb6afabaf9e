//! `tests/errors/*.yaml`: invalid pipelines, each with a snapshot of its diagnostics.
//!
//! The head of each file says what is expected: the place and code of every diagnostic, overrides that
//! belong to it, and whether the schema alone rejects it (`rejects`, `accepts` with the reason, or
//! `unreadable` where it is not YAML at all). The rendered diagnostics are snapshots.

use std::{collections::BTreeSet, error::Error, fs, path::PathBuf};

use fsct::{
    cli::plain,
    config::{Diagnostics, Keys, Overrides, Rule, check_files, load, schema},
};

type Outcome = Result<(), Box<dyn Error>>;

struct Case {
    path: PathBuf,
    name: String,
    expected: Vec<String>,
    overrides: Overrides,
    online: bool,
    schema: String,
}

fn cases() -> Result<Vec<Case>, Box<dyn Error>> {
    let mut paths: Vec<PathBuf> = fs::read_dir("tests/errors")?
        .map(|entry| Ok(entry?.path()))
        .collect::<Result<_, std::io::Error>>()?;
    // Folders hold what the cases extend.
    paths.retain(|path| path.is_file());
    paths.sort();
    paths
        .into_iter()
        .map(|path| {
            let text = String::from_utf8_lossy(&fs::read(&path)?).into_owned();
            let mut case = Case {
                name: path.file_stem().ok_or("a name")?.to_string_lossy().into_owned(),
                path,
                expected: Vec::new(),
                overrides: Overrides::default(),
                online: false,
                schema: String::new(),
            };
            for line in text.trim_start_matches('\u{feff}').lines() {
                let Some(line) = line.strip_prefix("# ") else { break };
                match line.split_once(' ').unwrap_or((line, "")) {
                    ("expect", place) => case.expected.push(place.to_owned()),
                    ("set", set) => case.overrides.set.push(set.to_owned()),
                    ("env", variable) => {
                        let (name, value) = variable.split_once('=').ok_or("NAME=value")?;
                        case.overrides.environment.push((name.to_owned(), value.to_owned()));
                    }
                    ("online", _) => case.online = true,
                    ("schema", verdict) => {
                        case.schema = verdict.split(':').next().unwrap_or_default().to_owned();
                        break;
                    }
                    _ => {}
                }
            }
            Ok(case)
        })
        .collect()
}

fn diagnostics(case: &Case) -> Diagnostics {
    match load(&case.path, &case.overrides) {
        Err(diagnostics) => diagnostics,
        Ok(loaded) if case.online => Diagnostics::new(check_files(&loaded)),
        Ok(loaded) => loaded.warnings,
    }
}

#[test]
fn every_diagnostic_is_named_at_its_line_and_column() -> Outcome {
    let cases = cases()?;
    assert!(cases.len() >= 60, "only {} cases", cases.len());
    let mut wrong = Vec::new();
    for case in cases {
        let file = case.path.to_string_lossy().into_owned();
        let found: Vec<String> = diagnostics(&case)
            .iter()
            .map(|diagnostic| {
                let (name, line, column) = diagnostic.place().unwrap_or_default();
                let name = if name == file { String::new() } else { format!("{name}:") };
                format!("{name}{line}:{column} {}", diagnostic.code())
            })
            .collect();
        if found != case.expected {
            wrong.push(format!("{file}: {found:?} for {:?}", case.expected));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}

#[test]
fn every_diagnostic_reads_as_it_did() -> Outcome {
    for case in cases()? {
        insta::assert_snapshot!(case.name.clone(), plain(&diagnostics(&case)));
    }
    Ok(())
}

#[test]
fn every_diagnostic_has_a_next_action_and_its_own_words() -> Outcome {
    for case in cases()? {
        for diagnostic in &diagnostics(&case) {
            let file = &case.name;
            assert!(
                diagnostic.help.as_ref().is_some_and(|help| !help.is_empty()),
                "{file}: no help"
            );
            assert!(!diagnostic.label.is_empty(), "{file}: no label");
            let first = diagnostic.message.chars().next().unwrap_or_default();
            assert!(
                !first.is_uppercase() && !diagnostic.message.ends_with('.'),
                "{file}: {}",
                diagnostic.message
            );
        }
    }
    Ok(())
}

#[test]
fn the_schema_alone_rejects_what_a_schema_can_say() -> Outcome {
    let mut wrong = Vec::new();
    let validator = jsonschema::draft7::new(schema())?;
    for case in cases()? {
        let text = String::from_utf8_lossy(&fs::read(&case.path)?).into_owned();
        let value: Result<serde_json::Value, _> = serde_yaml::from_str(&text);
        let verdict = match value {
            _ if case.schema == "unreadable" => "unreadable",
            Err(_) => "accepts",
            Ok(value) if validator.is_valid(&value) => "accepts",
            Ok(_) => "rejects",
        };
        if verdict != case.schema {
            wrong.push(format!("{}: {verdict} for {}", case.name, case.schema));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}

#[test]
fn every_code_has_a_case() -> Outcome {
    let mut seen = BTreeSet::new();
    for case in cases()? {
        seen.extend(diagnostics(&case).iter().map(fsct::config::Diagnostic::code));
    }
    // What depends on the machine is shown by tests/cli.rs, weights by tests/weights.rs, data by
    // tests/data_commands.rs, and names of folders by tests/odd_folders.rs.
    let outside = [
        Rule::File,
        Rule::NotUtf8,
        Rule::UnfitWeights,
        Rule::Overlap,
        Rule::UnusableData,
        Rule::DeviceAbsent,
        Rule::DeviceFull,
        Rule::DeviceNotCompiled,
    ];
    for rule in Rule::ALL.iter().filter(|rule| !outside.contains(rule)) {
        let found = match rule.keys() {
            Keys::Text => seen.contains(&rule.code()),
            Keys::These(keys) => keys.iter().any(|key| seen.contains(&rule.code_at(key))),
            Keys::Any => seen.iter().any(|code| code.ends_with(&format!("::{}", rule.name()))),
        };
        assert!(found, "{} has no case in tests/errors", rule.code());
    }
    for code in seen {
        assert!(fsct::config::explain(&code).is_ok(), "{code} is not explained");
    }
    Ok(())
}
