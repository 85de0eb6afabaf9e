//! A sweep file by itself: its keys, the lists of its grid, and what refers to them.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use serde::{Deserialize, Serialize};

use super::{keys, search::Search};
use crate::config::{
    pipeline::Rule,
    resolve::paths::expand,
    text::{
        diagnostic::{Diagnostic, Diagnostics},
        node::{Key, Node, Value},
        parse::parse,
        read::read_source,
        source::{Source, Span},
        suggest,
    },
};

/// Most combinations of a grid with its candidates.
pub(super) const MAX_CELLS: usize = 100_000;

/// A sweep file that was read.
#[derive(Debug, Clone)]
pub struct Sweep {
    /// The text of the file.
    pub source: Arc<Source>,
    /// Path of the pipeline that is varied.
    pub pipeline: PathBuf,
    /// How its cells are compared.
    pub compare: Compare,
    /// Candidates that are drawn, in place of a grid or beside it.
    pub search: Option<Search>,
    /// What others report for rows of the table.
    pub published: Vec<Published>,
    pub(super) axes: Vec<Axis>,
    /// For each entry, the axes that it names and the numbers of their values.
    pub(super) exclude: Vec<Vec<(usize, Vec<usize>)>>,
    pub(super) set: Vec<(Key, Node)>,
}

/// How the cells of a sweep are compared.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Compare {
    /// Keys of the grid with the values of the baseline.
    pub baseline: Vec<(String, serde_json::Value)>,
    /// Keys of the grid that are repetitions.
    pub across: Vec<String>,
}

/// What somebody reports for a row of the table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Published {
    /// Keys of the grid that tell rows apart, with the row's values.
    pub values: serde_json::Map<String, serde_json::Value>,
    /// Accuracy in percent, as it is printed.
    pub accuracy: f64,
    /// Half-width of its 95 % interval in percentage points.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interval: Option<f64>,
    /// Where the number is printed.
    pub source: String,
}

/// A key of the grid.
#[derive(Debug, Clone)]
pub(super) struct Axis {
    /// The dotted key and its place.
    pub key: Key,
    /// Its values, each once.
    pub values: Vec<Node>,
}

/// Whether a text looks like a sweep file rather than a pipeline.
pub fn is_sweep(text: &str) -> bool {
    let begins = |key: &str| text.lines().any(|line| line.starts_with(key));
    (begins("grid:") || begins("search:") || begins("pipeline:")) && !begins("backbone:")
}

/// Reads a sweep file by itself; the pipeline is not read.
///
/// # Errors
/// All that is wrong with it.
pub fn load_sweep(path: &Path) -> Result<Sweep, Diagnostics> {
    let source = read_source(path, &path.display().to_string())?;
    let mut reader = Reader { diagnostics: Vec::new() };
    let tree = parse(&source, 0, &mut reader.diagnostics)?;
    let sweep = reader.file(&source, &tree);
    match (sweep, reader.diagnostics) {
        (Some(sweep), diagnostics) if diagnostics.is_empty() => Ok(sweep),
        (_, diagnostics) => Err(Diagnostics::new(diagnostics)),
    }
}

/// Reads a tree; what is wrong with it goes to `diagnostics`.
pub(super) struct Reader {
    diagnostics: Vec<Diagnostic>,
}

impl Reader {
    /// Adds a diagnostic of a key under `sweep`.
    pub(super) fn push(
        &mut self,
        path: &str,
        span: &Span,
        message: String,
        label: &str,
        help: impl Into<String>,
    ) {
        let path = if path.is_empty() { "sweep".into() } else { format!("sweep.{path}") };
        let diagnostic = Diagnostic::new(Rule::Value, path, Some(span.clone()), message);
        self.diagnostics.push(diagnostic.label(label).help(help.into()));
    }

    /// Adds a diagnostic of another rule.
    pub(super) fn diagnose(&mut self, diagnostic: Diagnostic) {
        self.diagnostics.push(diagnostic);
    }

    /// How much is wrong so far.
    pub(super) fn count_found(&self) -> usize {
        self.diagnostics.len()
    }

    fn file(&mut self, source: &Arc<Source>, tree: &Node) -> Option<Sweep> {
        let start = Span::new(source, 0..0);
        let Value::Map(entries) = &tree.value else {
            let help = "write at least `pipeline` and `grid`; see docs/sweeps.md";
            self.push("", &tree.span, "a sweep must be a mapping".into(), "no mapping", help);
            return None;
        };
        self.known(entries, "");
        self.version(tree);
        for required in ["pipeline", "grid"] {
            // A search needs no grid.
            let searches = required == "grid" && tree.get("search").is_some();
            if tree.get(required).is_none() && !searches {
                let example = keys::key(required).map_or("", |key| key.example);
                self.diagnostics.push(
                    Diagnostic::new(
                        Rule::MissingKey,
                        format!("sweep.{required}"),
                        Some(start.clone()),
                        format!("the key `{required}` is missing"),
                    )
                    .label(format!("`{required}` belongs here"))
                    .help(format!("add\n{example}")),
                );
            }
        }
        let pipeline = tree.get("pipeline").and_then(|(key, node)| self.pipeline(key, node));
        let axes = tree.get("grid").map(|(key, node)| self.grid(key, node)).unwrap_or_default();
        let search = tree.get("search").and_then(|(key, node)| self.search(key, node, &axes));
        let drawn = search.iter().flat_map(|search| &search.ranges).map(|range| &range.key);
        let varied: Vec<(&str, &Key)> = (axes.iter().map(|axis| ("grid", &axis.key)))
            .chain(drawn.map(|key| ("search.ranges", key)))
            .collect();
        let set =
            tree.get("set").map(|(key, node)| self.set(key, node, &varied)).unwrap_or_default();
        let exclude = tree
            .get("exclude")
            .map(|(key, node)| self.exclude(key, node, &axes))
            .unwrap_or_default();
        let compare = self.compare(tree.get("compare"), &axes);
        if let (Some(_), Some((key, _))) = (tree.get("search"), tree.find("compare.baseline")) {
            let message = "`compare.baseline` has no rows to compare in a search".to_owned();
            let help = "remove it; compare the values that the search found in a sweep with a grid";
            self.push("compare.baseline", &key.span, message, "not with `search`", help);
        }
        let published = tree.get("published").map(|(key, node)| {
            let is_search = tree.get("search").is_some();
            self.published(key, node, &axes, &compare.across, is_search)
        });
        let sweep = Sweep {
            source: Arc::clone(source),
            pipeline: pipeline?,
            compare,
            search,
            published: published.unwrap_or_default(),
            axes,
            exclude,
            set,
        };
        if self.diagnostics.is_empty()
            && let Some((key, _)) = tree.get("grid").or_else(|| tree.get("search"))
        {
            self.count(&sweep, key);
        }
        Some(sweep)
    }

    /// Keys that a mapping of the file does not have.
    pub(super) fn known(&mut self, entries: &[(Key, Node)], parent: &str) {
        let names = keys::names(parent);
        for (key, _) in entries.iter().filter(|(key, _)| !names.contains(&key.name.as_str())) {
            let place = if parent.is_empty() { "a sweep".into() } else { format!("`{parent}`") };
            let written = |name: &&str| !entries.iter().any(|(key, _)| key.name == *name);
            let help = suggest::meant(&key.name, names.iter().copied().filter(written))
                .unwrap_or_else(|| match crate::config::resolve::schema::property(&key.name) {
                    Some(_) if parent.is_empty() && !key.name.is_empty() => {
                        format!(
                            "a key of the pipeline belongs under `set`: `set: {{{}: …}}`",
                            key.name
                        )
                    }
                    _ => format!("{place} has {}", suggest::list(names.iter().copied(), "and")),
                });
            let path = match parent {
                "" => format!("sweep.{}", key.name),
                parent => format!("sweep.{parent}.{}", key.name),
            };
            let message = format!("{place} has no key `{}`", key.name);
            self.diagnostics.push(
                Diagnostic::new(Rule::UnknownKey, path, Some(key.span.clone()), message)
                    .label("unknown key")
                    .help(help),
            );
        }
    }

    fn version(&mut self, tree: &Node) {
        let Some((_, node)) = tree.get("version") else { return };
        match node.value {
            Value::Int(keys::VERSION) => {}
            Value::Int(version) if version > keys::VERSION => {
                let message = format!("`version: {version}` is newer than this fsct");
                let help =
                    format!("update fsct, or rewrite the file for `version: {}`", keys::VERSION);
                self.push("version", &node.span, message, "too new", help);
            }
            _ => {
                let message = format!("`version` must be `1`, not {}", node.describe());
                self.push("version", &node.span, message, "not 1", "write `version: 1`");
            }
        }
    }

    fn pipeline(&mut self, key: &Key, node: &Node) -> Option<PathBuf> {
        let Value::String(text) = &node.value else {
            let span = if node.value == Value::Null { &key.span } else { &node.span };
            let message = format!("`pipeline` must be the path of a file, not {}", node.describe());
            self.push("pipeline", span, message, "not a path", "write `pipeline: omniglot.yaml`");
            return None;
        };
        let expanded = expand(text, "sweep.pipeline", &node.span);
        let path = expanded.map_err(|diagnostic| self.diagnostics.push(diagnostic)).ok()?;
        let path = node.span.source.folder().join(path);
        if !path.is_file() {
            let message = format!("there is no file `{}`", path.display());
            let help = "correct the path; it is relative to the sweep file";
            self.push("pipeline", &node.span, message, "not there", help);
            return None;
        }
        Some(path)
    }

    /// Entries of a key that must be a mapping.
    pub(super) fn mapping<'a>(
        &mut self,
        path: &str,
        key: &Key,
        node: &'a Node,
    ) -> &'a [(Key, Node)] {
        let Value::Map(entries) = &node.value else {
            let example = keys::key(path).map_or("", |key| key.example);
            let span = if node.value == Value::Null { &key.span } else { &node.span };
            let message = format!("`{path}` must be a mapping, not {}", node.describe());
            self.push(path, span, message, "not a mapping", format!("write\n{example}"));
            return &[];
        };
        entries
    }

    fn count(&mut self, sweep: &Sweep, grid: &Key) {
        let candidates = sweep.search.as_ref().map_or(1, |search| search.budget);
        let combinations = sweep.combinations().saturating_mul(candidates);
        if combinations > MAX_CELLS {
            let of = if sweep.search.is_some() { " with its candidates" } else { "" };
            let message =
                format!("the grid{of} has {combinations} combinations, more than {MAX_CELLS}");
            let help = "vary fewer keys, or make several sweeps";
            self.push("grid", &grid.span, message, "too many", help);
        } else if sweep.cells().is_empty() {
            let message = "`exclude` leaves no cell".to_owned();
            self.push("exclude", &grid.span, message, "all excluded", "exclude fewer combinations");
        }
    }
}
