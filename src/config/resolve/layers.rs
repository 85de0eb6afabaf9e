//! The layers of a pipeline, merged by figment: defaults ← file ← environment ← `--set`.
//!
//! Figment decides which value holds; the trees that the layers were read into know where each one
//! stands in its text. Defaults are the types' own.

use figment::value::{Dict, Map, Value};
use figment::{Error, Figment, Metadata, Profile, Provider};
use serde_json::Value as Json;

use super::shape;
use crate::config::pipeline::Pipeline;
use crate::config::text::source::SourceKind;
use crate::config::text::tree::Node;

/// What is written, layer over layer.
#[derive(Debug, Clone)]
pub struct Layers(Figment);

/// One text: the file, an environment variable or a `--set`.
struct Layer {
    name: String,
    values: Json,
}

impl Provider for Layer {
    fn metadata(&self) -> Metadata {
        Metadata::named(self.name.clone())
    }

    fn data(&self) -> Result<Map<Profile, Dict>, Error> {
        let dict = Value::serialize(&self.values)?.into_dict().unwrap_or_default();
        Ok(Profile::Default.collect(dict))
    }
}

impl Layers {
    /// The lowest layer.
    pub fn new(file: &Node) -> Self {
        Self(Figment::new()).over(file)
    }

    /// Lays another one over it.
    pub fn over(self, node: &Node) -> Self {
        let source = &node.span.source;
        let name = match source.kind {
            SourceKind::File => source.name.clone(),
            SourceKind::Environment | SourceKind::Set => source.text.clone(),
        };
        Self(self.0.merge(Layer { name, values: shape::values(node) }))
    }

    /// Replaces the value of one key.
    pub fn replace(self, key: &str, value: &str) -> Self {
        Self(self.0.merge((key, value)))
    }

    /// The pipeline that they make together.
    pub fn extract(&self) -> Result<Pipeline, Error> {
        self.0.extract()
    }
}
