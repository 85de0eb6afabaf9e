//! Defaults ← files ← `FSCT_A__B` environment ← `--set a.b=value` → [`Pipeline`].
//!
//! The texts are read into trees, figment merges them (see [`layers`](super::layers)), and the
//! merged value is validated once.

use std::{path::Path, sync::Arc};

use super::{
    check::check, extends, layers::Layers, loaded::Loaded, overrides::Overrides, paths, shape,
};
use crate::config::{
    pipeline::{Pipeline, Rule, VERSION},
    text::{
        diagnostic::{Diagnostic, Diagnostics},
        node::{Node, Value},
        read::read_source,
        source::{Source, SourceKind, Span},
    },
};

/// Loads a pipeline file; all that is wrong with it is returned at once.
pub fn load(path: &Path, overrides: &Overrides) -> Result<Loaded, Diagnostics> {
    let name = path.display().to_string();
    let source = read_source(path, &name)?;
    resolve(source, overrides, Around::default())
}

/// Layers of another file: those that the shell's values cover, and those that cover everything.
#[derive(Debug, Default)]
pub struct Around {
    /// Over the pipeline file, below the environment and `--set`.
    pub below_shell: Vec<Node>,
    /// Over every other layer.
    pub above_shell: Vec<Node>,
}

/// Loads a pipeline file with the layers of another file around the shell's.
pub fn load_around(
    path: &Path,
    overrides: &Overrides,
    around: Around,
) -> Result<Loaded, Diagnostics> {
    let source = read_source(path, &path.display().to_string())?;
    resolve(source, overrides, around)
}

/// Loads a text as if it stood in this file, without a shell's values.
pub fn load_text(path: &Path, text: &str) -> Result<Loaded, Diagnostics> {
    let source = Source::new(SourceKind::File, path.display().to_string(), text);
    let source = Arc::new(Source { path: Some(path.to_owned()), ..source });
    resolve(source, &Overrides::default(), Around::default())
}

/// Loads a pipeline from a text; relative paths in it are relative to the current directory.
pub fn load_str(name: &str, text: &str, overrides: &Overrides) -> Result<Loaded, Diagnostics> {
    resolve(Arc::new(Source::new(SourceKind::File, name, text)), overrides, Around::default())
}

fn resolve(
    source: Arc<Source>,
    overrides: &Overrides,
    around: Around,
) -> Result<Loaded, Diagnostics> {
    let mut diagnostics = Vec::new();
    // Shell texts are looked at even where the file is not YAML: all diagnostics at once.
    let shell = overrides.trees(&mut diagnostics);
    let files = match extends::chain(&source, &mut diagnostics) {
        Ok(files) => files,
        Err(diagnostic) => {
            diagnostics.push(diagnostic);
            return Err(Diagnostics::new(diagnostics));
        }
    };
    if let Some(diagnostic) = files.iter().find_map(too_new) {
        return Err(diagnostic.into());
    }
    if let Some(file) = files.iter().find(|file| !matches!(file.value, Value::Map(_))) {
        shape::read(file, &mut diagnostics);
        return Err(Diagnostics::new(diagnostics));
    }
    let root = files.last().map_or_else(|| Span::new(&source, 0..0), |file| file.span.clone());
    let Around { below_shell, above_shell } = around;
    let layers = files.into_iter().chain(below_shell).chain(shell).chain(above_shell);
    let layers = layers.fold(Layers::new(root), Layers::over);
    // What figment and serde refuse has passed the schema: it has no place, and should not happen.
    let unforeseen = |error: String| {
        Diagnostic::new(Rule::Value, "", Some(Span::new(&source, 0..0)), error)
            .label("somewhere in this file")
            .help("check the keys that the message names with `fsct explain KEY`".to_owned())
    };
    let tree = layers.merged().map_err(|error| unforeseen(error.to_string()))?;
    let Some(mut json) = shape::read(&tree, &mut diagnostics) else {
        return Err(Diagnostics::new(diagnostics));
    };
    paths::resolve(&mut json, &tree, &source, &mut diagnostics);
    let pipeline: Pipeline =
        serde_json::from_value(json).map_err(|error| unforeseen(error.to_string()))?;
    let mut loaded = Loaded { pipeline, source, warnings: Diagnostics::default(), tree };
    diagnostics.extend(check(&loaded));
    let diagnostics = Diagnostics::new(diagnostics);
    if diagnostics.has_errors() {
        return Err(diagnostics);
    }
    loaded.warnings = diagnostics;
    Ok(loaded)
}

fn too_new(tree: &Node) -> Option<Diagnostic> {
    let (_, node) = tree.get("version")?;
    let Value::Int(version) = node.value else { return None };
    (version > i128::from(VERSION)).then(|| {
        Diagnostic::new(
            Rule::Value,
            "version",
            Some(node.span.clone()),
            format!("`version: {version}` is newer than this fsct, which reads up to {VERSION}"),
        )
        .label("too new")
        .help(format!("update fsct, or rewrite the file for `version: {VERSION}`"))
    })
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::config::Origin;
    use crate::config::{Amp, Memory};

    const LEAST: &str =
        "data: {format: synthetic}\nbackbone: {kind: conv4s}\nmethod: {kind: fsct}\n";

    fn overrides(set: &[&str], environment: &[(&str, &str)]) -> Overrides {
        Overrides {
            set: set.iter().map(|&text| text.to_owned()).collect(),
            environment: environment.iter().map(|&(a, b)| (a.to_owned(), b.to_owned())).collect(),
        }
    }

    fn diagnostics(text: &str, overrides: &Overrides) -> String {
        load_str("x.yaml", text, overrides).expect_err("a faulty pipeline").to_string()
    }

    #[test]
    fn each_layer_covers_the_one_below() -> Result<(), Diagnostics> {
        let file = format!("{LEAST}memory: {{amp: f16, accumulation_steps: 3}}\nseed: 1\n");
        let environment = [("FSCT_MEMORY__AMP", "bf16"), ("FSCT_SEED", "2"), ("FSCT_DEVICE", "")];
        let loaded =
            load_str("x", &file, &overrides(&["seed=3", "episode.k_shot=1"], &environment))?;
        let pipeline = &loaded.pipeline;
        assert_eq!(pipeline.memory.amp, Amp::Bf16, "environment over file");
        assert_eq!(pipeline.seed, 3, "--set over environment");
        assert_eq!(pipeline.memory.accumulation_steps, 3, "mappings merge");
        assert_eq!(pipeline.memory.clear_cache_every, Memory::default().clear_cache_every);
        assert_eq!(loaded.origin("episode.n_way"), Origin::Default);
        let Origin::Written(span) = loaded.origin("seed") else { panic!("seed is written") };
        assert_eq!((span.source.kind, span.text()), (SourceKind::Set, "3"));
        Ok(())
    }

    #[test]
    fn every_diagnostic_of_every_layer_is_reported_at_its_own_place() {
        let text = "data: {format: synthetic}\nbackbone: {kind: conv9}\nmethod: {kind: fsct}\nmemory: {amp: f61}\n";
        let shell = overrides(&["episode.n_wya=5", "oops"], &[("FSCT_TRAIN__EPOCHS", "many")]);
        let report = diagnostics(text, &shell);
        for place in ["x.yaml:2:18", "x.yaml:4:15", "--set:1:9", "--set:1:1", "environment:1:20"] {
            assert!(report.contains(place), "{place} in\n{report}");
        }
    }

    #[test]
    fn the_resolved_pipeline_round_trips() -> Result<(), Diagnostics> {
        let file =
            format!("{LEAST}memory: {{amp: f16, loss_scale: 128}}\nname: 'on'\ndevice: cuda:1\n");
        let first = load_str("x", &file, &Overrides::default())?.pipeline;
        let again = load_str("y", &first.to_yaml(), &Overrides::default())?.pipeline;
        assert_eq!(first, again);
        let defaults = load_str("x", LEAST, &Overrides::default())?.pipeline;
        let again = load_str("y", &defaults.to_yaml(), &Overrides::default())?;
        assert_eq!(defaults, again.pipeline);
        Ok(())
    }

    #[test]
    fn a_text_in_the_shell_needs_no_quotes() -> Result<(), Diagnostics> {
        let loaded =
            load_str("x", LEAST, &overrides(&["name=007", "optimizer.learning_rate=1"], &[]))?;
        assert_eq!(loaded.pipeline.name, "007");
        assert!(
            diagnostics(&format!("{LEAST}name: 007\n"), &Overrides::default()).contains("quote it")
        );
        Ok(())
    }

    #[test]
    fn paths_are_relative_to_the_file_and_in_a_shell_to_the_current_directory()
    -> Result<(), Box<dyn std::error::Error>> {
        let folder = tempfile::tempdir()?;
        std::fs::create_dir(folder.path().join("beside"))?;
        let file = folder.path().join("p.yaml");
        std::fs::write(&file, LEAST.replace("synthetic", "omniglot, root: beside"))?;
        let root = |set: &[&str]| -> Result<PathBuf, Diagnostics> {
            let loaded = load(&file, &overrides(set, &[]))?;
            let root = loaded.absolute().data.root.unwrap_or_default();
            let written = loaded.pipeline.data.root.clone().unwrap_or_default();
            assert_eq!(root, loaded.base_dir().join(written));
            Ok(root)
        };
        assert_eq!(root(&[])?, folder.path().join("beside"), "written in the file");
        // Tests run in the crate's folder.
        let here = std::env::current_dir()?;
        assert_eq!(root(&["data.root=src"])?, here.join("src"), "typed in a shell");
        assert_eq!(root(&["data.root=beside"])?, folder.path().join("beside"), "only there");
        assert_eq!(root(&["data.root=nowhere"])?, here.join("nowhere"), "nowhere");
        Ok(())
    }

    #[test]
    fn a_rule_of_another_module_is_marked_at_the_value() -> Result<(), Diagnostics> {
        let file = format!("{LEAST}episode: {{n_way: 7}}\n");
        let loaded = load_str("x", &file, &Overrides::default())?;
        let diagnostic =
            loaded.diagnostic("episode.n_way", "`episode.n_way: 7` of 5 classes", "use 5");
        assert_eq!(diagnostic.to_string(), "x:4:18: `episode.n_way: 7` of 5 classes; use 5");
        let diagnostic = loaded.diagnostic("episode.k_shot", "k", "h");
        assert_eq!(
            diagnostic.to_string(),
            "x:4:1: k; h",
            "at the mapping where the key is not written"
        );
        Ok(())
    }

    #[test]
    fn foreign_variables_are_left_alone_and_slips_are_not() {
        let foreign = overrides(&[], &[("FSCT_LOG", "debug"), ("FSCT_HOME", "/x")]);
        assert!(load_str("x", LEAST, &foreign).is_ok());
        assert!(
            diagnostics(LEAST, &overrides(&[], &[("FSCT_SEDE", "1")]))
                .contains("did you mean `seed`?")
        );
    }

    #[test]
    fn a_newer_version_is_said_before_anything_else() {
        let report = diagnostics("version: 2\nnews: 1\n", &Overrides::default());
        assert!(report.contains("`version: 2` is newer"), "{report}");
        assert!(!report.contains("news"), "{report}");
    }
}
