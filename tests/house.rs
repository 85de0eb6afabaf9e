//! The shape of the sources: small files, and documentation that says something.

use std::fs;
use std::path::{Path, PathBuf};

type Outcome = Result<(), Box<dyn std::error::Error>>;

/// Lines of a file that is easily read as a whole.
const LINES: usize = 350;
/// Share of the files that must be no longer.
const SHARE: f64 = 0.95;
/// Fewer words than this repeat the item's name.
const WORDS: usize = 4;
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

/// Documented public items of a source text, as (line, item, words of its documentation).
fn documented(text: &str) -> Vec<(usize, String, usize)> {
    let mut found = Vec::new();
    let mut words = None;
    let mut attribute = false;
    let mut variants = false;
    for (number, line) in text.lines().enumerate() {
        let code = line.trim_start();
        let indent = line.len() - code.len();
        if code.starts_with("#[cfg(test)]") {
            break;
        }
        if let Some(doc) = code.strip_prefix("///") {
            *words.get_or_insert(0) += doc.split_whitespace().count();
        } else if attribute || code.starts_with("#[") {
            attribute = !line.trim_end().ends_with(']');
        } else {
            // Variants are as public as their enum.
            let variant = variants && indent == 4 && code.starts_with(char::is_uppercase);
            if let Some(words) = words.take()
                && (code.starts_with("pub ") || variant)
            {
                found.push((number + 1, code.to_owned(), words));
            }
            match (indent, code) {
                (0, code) if code.starts_with("pub enum ") => variants = true,
                (0, "}") => variants = false,
                _ => {}
            }
        }
    }
    found
}

#[test]
fn documentation_of_a_public_item_has_at_least_four_words() -> Outcome {
    let (mut count, mut short) = (0, Vec::new());
    for path in sources("src")? {
        for (line, item, words) in documented(&fs::read_to_string(&path)?) {
            count += 1;
            if words < WORDS {
                short.push(format!("{}:{line}: {item}", relative(&path)));
            }
        }
    }
    assert!(count > 1000, "only {count} documented items");
    assert!(short.is_empty(), "{} of {count} items:\n{}", short.len(), short.join("\n"));
    Ok(())
}

#[test]
fn the_reader_of_documentation_sees_items_fields_and_variants() {
    let text = "/// One two.\n#[derive(\n    Debug\n)]\npub struct A {\n    /// One two three four.\n    \
                pub b: u8,\n}\n/// Kinds of something, three words more.\npub enum C {\n    \
                /// One.\n    D,\n}\n/// Private.\nfn e() {}\n#[cfg(test)]\n/// Not seen.\npub fn f() {}\n";
    let words: Vec<_> =
        documented(text).into_iter().map(|(line, _, words)| (line, words)).collect();
    assert_eq!(words, [(5, 2), (7, 4), (10, 6), (12, 1)]);
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
