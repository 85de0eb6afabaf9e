//! The wall of the crate: code that describes a run does not depend on code that computes it.

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};

/// Rust files of folders and files under `src`.
fn sources(paths: &[&str]) -> Result<Vec<PathBuf>, Box<dyn Error>> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut pending: Vec<PathBuf> = paths.iter().map(|path| source.join(path)).collect();
    let mut files = Vec::new();
    while let Some(path) = pending.pop() {
        if path.is_dir() {
            for entry in fs::read_dir(&path)? {
                pending.push(entry?.path());
            }
        } else {
            files.push(path);
        }
    }
    Ok(files)
}

/// Lines of a file without comments, numbered from 1.
fn code(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines().enumerate().map(|(at, line)| (at + 1, line.split("//").next().unwrap_or_default()))
}

fn names_burn(code: &str) -> bool {
    code.contains("burn::") || code.contains("burn_") || code.contains("use burn")
}

#[test]
fn descriptions_never_name_burn() -> Result<(), Box<dyn Error>> {
    let files = sources(&["config", "network", "plan", "stage/spec.rs"])?;
    assert!(files.len() > 10, "only {} files were scanned", files.len());
    for path in files {
        let text = fs::read_to_string(&path)?;
        for (number, line) in code(&text) {
            assert!(!names_burn(line), "{}:{number} names burn: {line}", path.display());
        }
    }
    Ok(())
}

/// A stage's specification and what it does share a file; the specification is data alone.
#[test]
fn the_specification_of_a_stage_never_names_burn() -> Result<(), Box<dyn Error>> {
    let mut found = 0;
    for path in sources(&["stage"])? {
        let text = fs::read_to_string(&path)?;
        let spec =
            text.split_once("\npub mod spec {\n").and_then(|(_, rest)| rest.split_once("\n}\n"));
        let Some((spec, _)) = spec else { continue };
        for (_, line) in code(spec) {
            assert!(!names_burn(line), "the spec of {} names burn: {line}", path.display());
        }
        found += 1;
    }
    assert_eq!(found, fsct::stage::KINDS.len(), "each stage has a `spec` module");
    Ok(())
}

#[test]
fn the_plan_knows_stages_as_specifications_only() -> Result<(), Box<dyn Error>> {
    for path in sources(&["config", "plan"])? {
        let text = fs::read_to_string(&path)?;
        let library = text.split("#[cfg(test)]").next().unwrap_or_default();
        for (number, line) in code(library).filter(|(_, line)| line.contains("crate::stage")) {
            let allowed =
                ["crate::stage::spec::", "crate::stage::{KINDS, StageSpec}", "crate::stage::KINDS"];
            assert!(
                allowed.iter().any(|name| line.contains(name)),
                "{}:{number} reaches into a stage: {line}",
                path.display(),
            );
        }
    }
    Ok(())
}

#[test]
fn networks_and_losses_never_name_the_configuration() -> Result<(), Box<dyn Error>> {
    for path in sources(&["model", "loss", "network"])? {
        let text = fs::read_to_string(&path)?;
        for (number, line) in code(&text) {
            let named = line.contains("crate::config") || line.contains("crate::plan");
            assert!(!named, "{}:{number} names the configuration: {line}", path.display());
        }
    }
    Ok(())
}
