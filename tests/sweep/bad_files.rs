//! `tests/sweep/errors/*.yaml`: invalid sweep files, each with a snapshot of its diagnostics.

use std::fs;
use std::path::{Path, PathBuf};

use fsct::cli::plain;
use fsct::config::{Diagnostics, Overrides, load_sweep};

fn diagnostics(path: &Path) -> Diagnostics {
    let resolved =
        load_sweep(path).and_then(|sweep| sweep.resolve(&Overrides::default(), |_| Vec::new()));
    resolved.map_or_else(|found| found, |resolved| resolved.warnings)
}

#[test]
fn every_fault_of_a_sweep_file_reads_as_it_did() {
    let entries = fs::read_dir("tests/sweep/errors").unwrap();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| !path.ends_with("p.yaml"));
    paths.sort();
    assert!(paths.len() >= 20, "{} files", paths.len());
    for path in paths {
        let found = diagnostics(&path);
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        assert!(found.has_errors(), "{name} is accepted");
        for diagnostic in &found {
            let helps = diagnostic.help.as_ref().is_some_and(|help| !help.is_empty());
            assert!(helps && !diagnostic.label.is_empty(), "{name}: {}", diagnostic.message);
            let code = diagnostic.code();
            assert!(fsct::config::explain(&code).is_ok(), "{code} is not explained");
        }
        insta::with_settings!({snapshot_path => "snapshots", prepend_module_to_snapshot => false}, {
            insta::assert_snapshot!(name, plain(&found));
        });
    }
}
