//! A valid pipeline, and the places of its values.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use serde_json::Value as Json;

use super::paths::{path_keys, pointer};
use crate::config::{
    pipeline::{Pipeline, Rule},
    text::{
        diagnostic::{Diagnostic, Diagnostics},
        node::{Key, Node},
        source::{Source, SourceKind, Span},
    },
};

/// A valid pipeline and where it came from.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// The resolved pipeline, defaults included.
    pub pipeline: Pipeline,
    /// The pipeline file's text.
    pub source: Arc<Source>,
    /// What is legal and unwise in it.
    pub warnings: Diagnostics,
    /// The merged values, defaults included, each with its place.
    pub(super) tree: Node,
}

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// A default, not written in any layer.
    Default,
    /// Written at this place of a layer.
    Written(Span),
}

impl Loaded {
    /// Folder that relative paths in the pipeline are relative to: the file's.
    ///
    /// Paths that were typed in a shell, or that another file names, are absolute already, so
    /// `base_dir().join(path)` is right for every path of the pipeline.
    pub fn base_dir(&self) -> &Path {
        self.source.folder()
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
        self.written(path).map_or(Origin::Default, |(_, node)| Origin::Written(node.span.clone()))
    }

    /// Whether a key is written in a file, the environment or a `--set`.
    pub fn is_written(&self, path: &str) -> bool {
        self.written(path).is_some()
    }

    fn written(&self, path: &str) -> Option<(&Key, &Node)> {
        self.tree.find(path).filter(|(_, node)| !node.span.source.is_default())
    }

    /// A diagnostic of a value, marked where it is written: for rules that need the data or the device.
    pub fn diagnostic(
        &self,
        path: &str,
        message: impl Into<String>,
        help: impl Into<String>,
    ) -> Diagnostics {
        self.diagnostic_of(Rule::Value, path, message).help(help.into()).into()
    }

    /// A diagnostic of any kind, marked at the key's value or at the nearest thing written above it.
    pub fn diagnostic_of(&self, rule: Rule, path: &str, message: impl Into<String>) -> Diagnostic {
        let diagnostic = Diagnostic::new(rule, path, Some(self.nearest(path)), message);
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
        if let Some((_, node)) = self.written(path) {
            return node.span.clone();
        }
        let mut path = path;
        while let Some((parent, _)) = path.rsplit_once('.') {
            if let Some((key, _)) = self.written(parent) {
                return key.span.clone();
            }
            path = parent;
        }
        Span::new(&self.source, 0..0)
    }
}
