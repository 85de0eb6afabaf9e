//! Defaults ← file ← `FSCT_A__B` environment ← `--set a.b=value` → [`Pipeline`].
//!
//! Figment merges the values (see [`layers`](super::layers)); beside them the layers are merged as
//! trees with places (see [`tree`](crate::config::text::tree)), so that a value typed in a shell has a text and a
//! place of its own, and a diagnostic in `--set memory.amp=f61` is shown under that `f61`.

use std::{
    fs::File,
    io::Read,
    path::{Path, PathBuf},
    sync::Arc,
};

use serde_json::Value as Json;

use crate::config::{
    pipeline::{Pipeline, VERSION},
    resolve::{
        check,
        layers::Layers,
        shape::{self, Shape},
    },
    text::{
        diagnostic::{Diagnostic, DiagnosticKind, Diagnostics},
        source::{Source, SourceKind, Span},
        suggest,
        tree::{self, Key, Node, Value},
    },
};

/// What a shell adds to a pipeline file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Overrides {
    /// `--set`, as typed: `memory.amp=f16`.
    pub set: Vec<String>,
    /// Environment variables by name: `FSCT_MEMORY__AMP`, `f16`.
    pub environment: Vec<(String, String)>,
}

impl Overrides {
    /// `--set` as given, and this process's environment.
    ///
    /// Variables with an empty value count as not set.
    pub fn from_process(set: Vec<String>) -> Self {
        let mut environment: Vec<(String, String)> = std::env::vars_os()
            .filter_map(|(name, value)| {
                let name = name.into_string().ok().filter(|name| name.starts_with(PREFIX))?;
                Some((name, value.to_string_lossy().into_owned()))
            })
            .collect();
        environment.sort();
        Self { set, environment }
    }
}

const PREFIX: &str = "FSCT_";

/// A valid pipeline and where it came from.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// The resolved pipeline.
    pub pipeline: Pipeline,
    /// The pipeline file's text.
    pub source: Arc<Source>,
    /// The pipeline file, unless it was given as a text.
    pub path: Option<PathBuf>,
    /// What is legal and unwise in it.
    pub warnings: Diagnostics,
    tree: Node,
}

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// Not written anywhere.
    Default,
    /// Written here.
    Written(Span),
}

/// Loads a pipeline file; all that is wrong with it is returned at once.
pub fn load(path: &Path, overrides: &Overrides) -> Result<Loaded, Diagnostics> {
    let name = path.display().to_string();
    let source = read_source(path, &name)?;
    resolve(source, Some(path.to_owned()), overrides)
}

/// Loads a pipeline from a text; relative paths in it are relative to the current directory.
pub fn load_str(name: &str, text: &str, overrides: &Overrides) -> Result<Loaded, Diagnostics> {
    resolve(Arc::new(Source::new(SourceKind::File, name, text)), None, overrides)
}

fn read_source(path: &Path, name: &str) -> Result<Arc<Source>, Diagnostic> {
    let unreadable = |message: String, help: &str| {
        Diagnostic::new(DiagnosticKind::File, "", None, message).help(help.to_owned())
    };
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(tree::MAX_BYTES as u64 + 1).read_to_end(&mut bytes))
        .map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => unreadable(
                format!("there is no file `{name}`"),
                "check the path; `fsct init` writes a starter pipeline",
            ),
            _ => unreadable(
                format!("`{name}` cannot be read: {error}"),
                "name a pipeline file that you may read",
            ),
        })?;
    decode(bytes, name)
}

/// Bytes → text, or where they stop being UTF-8.
fn decode(mut bytes: Vec<u8>, name: &str) -> Result<Arc<Source>, Diagnostic> {
    if bytes.len() > tree::MAX_BYTES {
        bytes.truncate(256);
        let head = String::from_utf8_lossy(&bytes).into_owned();
        return Err(tree::too_large(&Arc::new(Source::new(SourceKind::File, name, head))));
    }
    let encoding = |source: &Arc<Source>, at: std::ops::Range<usize>, message: String| {
        Diagnostic::new(DiagnosticKind::Encoding, "", Some(Span::new(source, at)), message)
            .label("here")
            .help("save the file as UTF-8".to_owned())
    };
    if bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]) {
        let source = Arc::new(Source::new(SourceKind::File, name, ""));
        return Err(encoding(&source, 0..0, "the file is UTF-16, not UTF-8".into()));
    }
    if bytes.starts_with("\u{feff}".as_bytes()) {
        bytes.drain(..3);
    }
    String::from_utf8(bytes)
        .map(|text| Arc::new(Source::new(SourceKind::File, name, text)))
        .map_err(|error| {
            let at = error.utf8_error().valid_up_to();
            let byte = error.as_bytes()[at];
            let text = String::from_utf8_lossy(error.as_bytes()).into_owned();
            let source = Arc::new(Source::new(SourceKind::File, name, text));
            encoding(&source, at..at + 3, format!("the byte 0x{byte:02x} is not UTF-8"))
        })
}

fn resolve(
    source: Arc<Source>,
    path: Option<PathBuf>,
    overrides: &Overrides,
) -> Result<Loaded, Diagnostics> {
    let mut diagnostics = Vec::new();
    // Shell texts are looked at even where the file is not YAML: all diagnostics at once.
    let layers: Vec<Node> = environment(overrides, &mut diagnostics)
        .into_iter()
        .chain(set(overrides, &mut diagnostics))
        .collect();
    let mut tree = match tree::parse(&source, 0, &mut diagnostics) {
        Ok(tree) => tree,
        Err(diagnostic) => {
            diagnostics.push(diagnostic);
            return Err(Diagnostics::new(diagnostics));
        }
    };
    if let Some(diagnostic) = too_new(&tree) {
        return Err(diagnostic.into());
    }
    let mut values = Layers::new(&tree);
    if matches!(tree.value, Value::Map(_)) {
        for layer in layers {
            values = values.over(&layer);
            tree.overlay(layer);
        }
    }
    let Some(json) = shape::read(&tree, &mut diagnostics) else {
        return Err(Diagnostics::new(diagnostics));
    };
    for (key, absolute) in absolute_shell_paths(&json, &tree, base_dir(path.as_deref())) {
        values = values.replace(key, &absolute);
    }
    let pipeline: Pipeline = match values.extract() {
        Ok(pipeline) => pipeline,
        Err(error) => {
            // The schema let something pass that the types do not: said without a place.
            let at = Some(Span::new(&source, 0..0));
            diagnostics.push(Diagnostic::new(DiagnosticKind::Value, "", at, error.to_string()));
            return Err(Diagnostics::new(diagnostics));
        }
    };
    let mut loaded = Loaded { pipeline, source, path, warnings: Diagnostics::default(), tree };
    diagnostics.extend(check::check(&loaded));
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
            DiagnosticKind::Value,
            "version",
            Some(node.span.clone()),
            format!("`version: {version}` is newer than this fsct, which reads up to {VERSION}"),
        )
        .label("too new")
        .help(format!("update fsct, or rewrite the file for `version: {VERSION}`"))
    })
}

impl Loaded {
    /// Folder that relative paths in the pipeline are relative to: the file's.
    ///
    /// Paths that were typed in a shell are absolute already, so `base_dir().join(path)` is right
    /// for every path of the pipeline.
    pub fn base_dir(&self) -> &Path {
        base_dir(self.path.as_deref())
    }

    /// The pipeline with every path absolute: it means the same from any folder.
    pub fn absolute(&self) -> Pipeline {
        let absolute = || -> Option<Pipeline> {
            let folder = std::path::absolute(self.base_dir()).ok()?;
            let mut json = serde_json::to_value(&self.pipeline).ok()?;
            for key in path_keys() {
                if let Some(Json::String(text)) = json.pointer_mut(&pointer(key)) {
                    *text = folder.join(&*text).to_str()?.to_owned();
                }
            }
            serde_json::from_value(json).ok()
        };
        // Without a current directory there is nothing to be absolute from.
        absolute().unwrap_or_else(|| self.pipeline.clone())
    }

    /// The resolved value of a key that holds a path.
    pub(super) fn path_value(&self, key: &str) -> Option<PathBuf> {
        let json = serde_json::to_value(&self.pipeline).ok()?;
        json.pointer(&pointer(key))?.as_str().map(PathBuf::from)
    }

    /// Where the value of a key came from.
    pub fn origin(&self, path: &str) -> Origin {
        self.tree.find(path).map_or(Origin::Default, |(_, node)| Origin::Written(node.span.clone()))
    }

    /// Whether a key is written in the file, the environment or a `--set`.
    pub fn is_written(&self, path: &str) -> bool {
        self.tree.find(path).is_some()
    }

    /// A diagnostic of a value, marked where it is written: for rules that need the data or the device.
    pub fn diagnostic(
        &self,
        path: &str,
        message: impl Into<String>,
        help: impl Into<String>,
    ) -> Diagnostics {
        self.diagnostic_of(DiagnosticKind::Value, path, message).help(help.into()).into()
    }

    /// A diagnostic of any kind, marked at the key's value or at the nearest thing written above it.
    pub fn diagnostic_of(
        &self,
        kind: DiagnosticKind,
        path: &str,
        message: impl Into<String>,
    ) -> Diagnostic {
        let diagnostic = Diagnostic::new(kind, path, Some(self.nearest(path)), message);
        let label = match self.origin(path) {
            Origin::Written(span) if span.source.kind == SourceKind::Environment => {
                "from the environment"
            }
            Origin::Written(span) if span.source.kind == SourceKind::Set => "from `--set`",
            Origin::Written(_) => "here",
            Origin::Default => "not written: the default",
        };
        diagnostic.label(label)
    }

    /// The value's place, the key of the mapping it would be in, or the start of the file.
    pub(super) fn nearest(&self, path: &str) -> Span {
        if let Some((_, node)) = self.tree.find(path) {
            return node.span.clone();
        }
        let mut path = path;
        while let Some((parent, _)) = path.rsplit_once('.') {
            if let Some((key, _)) = self.tree.find(parent) {
                return key.span.clone();
            }
            path = parent;
        }
        Span::new(&self.source, 0..0)
    }
}

fn base_dir(path: Option<&Path>) -> &Path {
    let parent = path.and_then(Path::parent).filter(|parent| !parent.as_os_str().is_empty());
    parent.unwrap_or_else(|| Path::new("."))
}

/// `FSCT_A__B=value` → `a: {b: value}`.
///
/// A name without `__` counts only when it is a key, or nearly one: `FSCT_` is a prefix that other
/// programs may use too.
fn environment(overrides: &Overrides, diagnostics: &mut Vec<Diagnostic>) -> Vec<Node> {
    let mut nodes = Vec::new();
    for (name, value) in &overrides.environment {
        let Some(key) = name.strip_prefix(PREFIX) else { continue };
        let lower = key.to_lowercase();
        let keys = shape::shape().fields().unwrap_or_default();
        let close = suggest::meant(&lower, keys.iter().map(|field| field.name.as_str()));
        if value.is_empty() || (!key.contains("__") && close.is_none()) {
            continue;
        }
        let text = format!("{name}={value}");
        let source = Arc::new(Source::new(SourceKind::Environment, "environment", text));
        let segments = split(&source, PREFIX.len()..name.len(), "__", str::to_lowercase);
        nodes.extend(overlay(&source, segments, name.len() + 1, diagnostics));
    }
    nodes
}

/// `a.b=value` → `a: {b: value}`.
fn set(overrides: &Overrides, diagnostics: &mut Vec<Diagnostic>) -> Vec<Node> {
    let mut nodes = Vec::new();
    for text in &overrides.set {
        let source = Arc::new(Source::new(SourceKind::Set, "--set", text.as_str()));
        let malformed = |at: std::ops::Range<usize>, message: String| {
            Diagnostic::new(DiagnosticKind::Override, "", Some(Span::new(&source, at)), message)
                .help("write `--set key=value`, such as `--set memory.amp=f16`".to_owned())
        };
        let Some(equals) = text.find('=') else {
            diagnostics.push(
                malformed(0..text.len(), format!("`--set {}` has no value", tree::shorten(text)))
                    .label("no `=` here"),
            );
            continue;
        };
        let segments = split(&source, 0..equals, ".", str::to_owned);
        if segments.iter().any(|key| key.name.is_empty()) {
            diagnostics.push(
                malformed(0..equals, format!("`--set {}` has an empty key", tree::shorten(text)))
                    .label("the key"),
            );
            continue;
        }
        nodes.extend(overlay(&source, segments, equals + 1, diagnostics));
    }
    nodes
}

fn split(
    source: &Arc<Source>,
    range: std::ops::Range<usize>,
    separator: &str,
    name: impl Fn(&str) -> String,
) -> Vec<Key> {
    let mut start = range.start;
    source.text[range]
        .split(separator)
        .map(|part| {
            let span = Span::new(source, start..start + part.len());
            start += part.len() + separator.len();
            Key { name: name(part.trim()), span }
        })
        .collect()
}

fn overlay(
    source: &Arc<Source>,
    segments: Vec<Key>,
    value_start: usize,
    diagnostics: &mut Vec<Diagnostic>,
) -> Option<Node> {
    let value = match tree::parse(source, value_start, diagnostics) {
        Ok(value) => value,
        Err(mut diagnostic) => {
            let names: Vec<&str> = segments.iter().map(|key| key.name.as_str()).collect();
            diagnostic.path = names.join(".");
            diagnostics.push(diagnostic);
            return None;
        }
    };
    Some(segments.into_iter().rev().fold(value, |node, key| {
        let span = key.span.clone();
        Node { span, value: Value::Map(vec![(key, node)]) }
    }))
}

/// A dotted path as a JSON pointer.
pub(super) fn pointer(path: &str) -> String {
    format!("/{}", path.replace('.', "/"))
}

/// Makes paths that were typed in a shell absolute, from the current directory as a shell's user
/// expects; where nothing is there, from the pipeline's folder, as if it were written in the file.
fn absolute_shell_paths(json: &Json, tree: &Node, base: &Path) -> Vec<(&'static str, String)> {
    let absolute = |path: &'static String| {
        tree.find(path).filter(|(_, node)| node.span.source.is_shell())?;
        let text = json.pointer(&pointer(path))?.as_str()?;
        let (beside, here) = (base.join(text), Path::new(text));
        let chosen = if !here.exists() && beside.exists() { beside.as_path() } else { here };
        let absolute = std::path::absolute(chosen).ok()?.to_str()?.to_owned();
        Some((path.as_str(), absolute))
    };
    path_keys().iter().filter_map(absolute).collect()
}

/// Keys whose value is a path.
pub(super) fn path_keys() -> &'static [String] {
    fn visit(shape: &Shape, path: &str, found: &mut Vec<String>) {
        match shape {
            Shape::Text(Some(format)) if format == "path" => found.push(path.to_owned()),
            Shape::Any(shapes) => shapes.iter().for_each(|shape| visit(shape, path, found)),
            Shape::Map(fields) => {
                for field in fields {
                    let path = if path.is_empty() {
                        field.name.clone()
                    } else {
                        format!("{path}.{}", field.name)
                    };
                    visit(&field.shape, &path, found);
                }
            }
            _ => {}
        }
    }
    static KEYS: std::sync::LazyLock<Vec<String>> = std::sync::LazyLock::new(|| {
        let mut found = Vec::new();
        visit(shape::shape(), "", &mut found);
        found
    });
    &KEYS
}

#[cfg(test)]
mod tests {
    use super::*;
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
