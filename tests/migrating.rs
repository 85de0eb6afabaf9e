//! `fsct migrate` writes what docs/migrating.md says: each row of its tables is a test.
#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

/// The rows of the table whose header starts with these cells.
fn table(header: &[&str]) -> Vec<Vec<String>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/migrating.md");
    let text = fs::read_to_string(path).unwrap();
    let cells = |line: &str| -> Vec<String> {
        line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect()
    };
    text.lines()
        .skip_while(|line| !line.starts_with('|') || !cells(line).starts_with(&owned(header)))
        .skip(2)
        .take_while(|line| line.starts_with('|'))
        .map(cells)
        .collect()
}

fn owned(words: &[&str]) -> Vec<String> {
    words.iter().map(|&word| word.to_owned()).collect()
}

fn fsct(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fsct"));
    command.args(arguments).current_dir(folder).output().unwrap()
}

/// The pipeline that a command line becomes, resolved, and what was said about it.
fn migrated(line: &str, from: &str) -> (Value, String) {
    let folder = tempfile::tempdir().unwrap();
    let words: Vec<&str> = line.split_whitespace().collect();
    let arguments =
        [&["migrate", "--from", from, "-o", "p.yaml", "--", "train_test.py"], &words[..]].concat();
    let output = fsct(folder.path(), &arguments);
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{line}: {said}");
    let output = fsct(folder.path(), &["render", "p.yaml"]);
    let said_of_render = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{line}: {said_of_render}");
    let text = String::from_utf8(output.stdout).unwrap();
    (serde_yaml::from_str(&text).unwrap(), said)
}

fn at<'a>(pipeline: &'a Value, key: &str) -> &'a Value {
    key.split('.').fold(pipeline, |value, part| value.get(part).unwrap_or(&Value::Null))
}

/// The `key: value` pairs of a cell.
fn pairs(cell: &str) -> Vec<(String, Value)> {
    let quoted = cell.split('`').skip(1).step_by(2);
    quoted
        .map(|pair| {
            let (key, value) = pair.split_once(": ").unwrap();
            (key.to_owned(), serde_yaml::from_str(value).unwrap())
        })
        .collect()
}

/// Equal, where a number may be written as a whole one, and paths are told by their ends.
fn agree(actual: &Value, expected: &Value) -> bool {
    match (actual, expected) {
        (Value::Number(a), Value::Number(b)) => a.as_f64() == b.as_f64(),
        (Value::String(a), Value::String(b)) => a == b || Path::new(a).ends_with(b),
        (a, b) => a == b,
    }
}

#[test]
fn each_row_of_the_table_is_what_is_written() {
    let rows = table(&["`train_test.py`", "command line", "published", "fork"]);
    assert!(rows.len() > 40, "{} rows", rows.len());
    let mut wrong = Vec::new();
    for row in &rows {
        let [what, line, published, fork] = row.as_slice() else {
            panic!("{row:?}");
        };
        let line = line.trim_matches('`');
        let fork = if fork == "same" { published } else { fork };
        for (from, cell) in [("original", published), ("fork", fork)] {
            let expected = pairs(cell);
            if cell == "–" {
                continue;
            }
            assert!(!expected.is_empty(), "{what}");
            let (pipeline, _) = migrated(line, from);
            for (key, value) in expected {
                let actual = at(&pipeline, &key);
                if !agree(actual, &value) {
                    wrong.push(format!("{what} ({from}): `{key}` is {actual}, not {value}"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn each_flag_without_a_key_is_named_in_a_note_and_changes_nothing() {
    let rows = table(&["flag", "the note"]);
    assert!(rows.len() > 8, "{} rows", rows.len());
    let (plain, _) = migrated("", "fork");
    for row in &rows {
        let flag = row[0].trim_matches('`');
        let (pipeline, said) = migrated(flag, "fork");
        assert_eq!(pipeline, plain, "{flag}");
        let note = row[1].trim_matches('`');
        let name = flag.split(' ').next().unwrap();
        let said = said.replace('`', "");
        let line = said.lines().find(|line| line.contains(name)).unwrap_or_default();
        assert!(line.contains(note), "{flag}: {said}");
    }
}

#[test]
fn the_header_says_whose_defaults_were_taken() {
    let folder = tempfile::tempdir().unwrap();
    let text = |arguments: &[&str]| {
        let output = fsct(folder.path(), &[&["migrate"], arguments].concat());
        String::from_utf8(output.stdout).unwrap()
    };
    let plain = text(&["--", "--backbone", "Conv4"]);
    assert!(plain.contains("# Read as a command line of the published train_test.py"), "{plain}");
    assert!(!plain.contains("memory:"), "{plain}");
    let fork = text(&["--", "--backbone", "Conv4", "--use_amp", "1"]);
    assert!(fork.contains("# Read as a command line of the fork's train_test.py"), "{fork}");
    let asked = text(&["--from", "fork", "--", "--backbone", "Conv4"]);
    assert!(asked.contains("accumulation_steps: 2"), "{asked}");
}
