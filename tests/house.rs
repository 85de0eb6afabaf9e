//! The shape of the sources: small files, and tests that do not skip.

use std::fs;
use std::path::{Path, PathBuf};

type Outcome = Result<(), Box<dyn std::error::Error>>;

/// Lines of a file that is easily read as a whole.
const LINES: usize = 350;
/// Share of the files that must be no longer.
const SHARE: f64 = 0.95;

/// Every Rust file below a folder.
fn sources(folder: &str) -> Result<Vec<PathBuf>, std::io::Error> {
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join(folder)];
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|it| it == "rs") {
                files.push(path);
            }
        }
    }
    files.sort();
    Ok(files)
}

fn relative(path: &Path) -> String {
    path.strip_prefix(env!("CARGO_MANIFEST_DIR")).unwrap_or(path).display().to_string()
}

#[test]
fn nearly_every_source_file_is_short() -> Outcome {
    let files = sources("src")?;
    assert!(files.len() > 100, "{} files", files.len());
    let mut long = Vec::new();
    for path in &files {
        let lines = fs::read_to_string(path)?.lines().count();
        if lines > LINES {
            long.push(format!("{}: {lines}", relative(path)));
        }
    }
    let share = 1.0 - long.len() as f64 / files.len() as f64;
    println!("{:.1} % of {} files have at most {LINES} lines", 100.0 * share, files.len());
    assert!(share >= SHARE, "{:.1} %: split some of\n{}", 100.0 * share, long.join("\n"));
    Ok(())
}

/// A test that cannot run must not pass in silence; see `common::skip`.
#[test]
fn no_test_skips_by_itself() -> Outcome {
    let mut found = Vec::new();
    for path in sources("tests")?.into_iter().chain(sources("src")?) {
        if path.ends_with("tests/house.rs") || path.ends_with("tests/common/mod.rs") {
            continue;
        }
        for (number, line) in fs::read_to_string(&path)?.lines().enumerate() {
            if line.contains("println!(\"skip") {
                found.push(format!("{}:{}", relative(&path), number + 1));
            }
        }
    }
    assert!(found.is_empty(), "use `common::skip` in {found:?}");
    Ok(())
}
