//! The layers of a pipeline, merged by figment: defaults ← files ← environment ← `--set`.
//!
//! Figment gets the values as they are written, without a schema, and decides which layer each
//! merged value is from. Its metadata leads back to that layer's own tree, which has the place.

use figment::{
    Error, Figment, Metadata, Profile, Provider, Source,
    value::{Dict, Empty, Map, Num, Tag, Value as Merged},
};

use super::defaults::defaults;
use crate::config::text::{
    node::{Key, Node, Value},
    source::Span,
};

/// Trees over each other.
#[derive(Debug, Clone)]
pub struct Layers {
    figment: Figment,
    /// The place of the pipeline as a whole.
    root: Span,
    /// The written trees from the lowest to the highest, then the defaults; a layer's number in
    /// figment's metadata is its index.
    trees: Vec<Node>,
}

/// One tree as figment sees it.
struct Layer<'a> {
    number: usize,
    tree: &'a Node,
}

impl Provider for Layer<'_> {
    fn metadata(&self) -> Metadata {
        let name = self.tree.span.source.name.clone();
        Metadata::from(name, Source::Custom(self.number.to_string()))
    }

    fn data(&self) -> Result<Map<Profile, Dict>, Error> {
        let dict = value(self.tree).into_dict().unwrap_or_default();
        Ok(Profile::Default.collect(dict))
    }
}

/// A value as written in its layer; figment sets the tags.
fn value(node: &Node) -> Merged {
    let tag = Tag::Default;
    match &node.value {
        Value::Null => Merged::Empty(tag, Empty::Unit),
        Value::Bool(value) => Merged::Bool(tag, *value),
        Value::Int(value) => Merged::Num(tag, Num::I128(*value)),
        Value::Float(value) => Merged::Num(tag, Num::F64(*value)),
        Value::String(text) => Merged::String(tag, text.clone()),
        Value::List(items) => Merged::Array(tag, items.iter().map(value).collect()),
        Value::Map(entries) => Merged::Dict(
            tag,
            entries.iter().map(|(key, node)| (key.name.clone(), value(node))).collect(),
        ),
    }
}

impl Layers {
    /// No layers yet; `root` is the place of the pipeline as a whole.
    pub fn new(root: Span) -> Self {
        Self { figment: Figment::new(), root, trees: Vec::new() }
    }

    /// Lays a tree over what is there.
    #[must_use]
    pub fn over(mut self, tree: Node) -> Self {
        self.figment = self.figment.merge(Layer { number: self.trees.len(), tree: &tree });
        self.trees.push(tree);
        self
    }

    /// The merged pipeline, defaults included: each value with its place in the text it is from.
    pub fn merged(mut self) -> Result<Node, Error> {
        let written = self.tree()?;
        let defaults = defaults(&written);
        self.figment = self.figment.join(Layer { number: self.trees.len(), tree: &defaults });
        self.trees.push(defaults);
        self.tree()
    }

    fn tree(&self) -> Result<Node, Error> {
        let merged = self.figment.find_value("")?;
        let mut path = Vec::new();
        self.node(&merged, &mut path)
            .ok_or_else(|| Error::from("a merged value is in none of the layers".to_owned()))
    }

    /// A merged value with its place; `None` where figment names a layer that does not have it.
    fn node<'a>(&self, merged: &'a Merged, path: &mut Vec<&'a str>) -> Option<Node> {
        let Merged::Dict(_, dict) = merged else {
            return Some(self.find(merged, path)?.1.clone());
        };
        let mut entries = Vec::new();
        for (name, value) in dict {
            path.push(name);
            let key = match value {
                Merged::Dict(..) => self.mapping(path)?.0.clone(),
                value => self.find(value, path)?.0.clone(),
            };
            let node = self.node(value, path);
            path.pop();
            entries.push((key, node?));
        }
        let span = match path.as_slice() {
            [] => self.root.clone(),
            path => self.mapping(path)?.1.span.clone(),
        };
        Some(Node { span, value: Value::Map(entries) })
    }

    /// Key and value of a scalar or a list, in the layer that figment says it is from.
    fn find(&self, merged: &Merged, path: &[&str]) -> Option<(&Key, &Node)> {
        let Source::Custom(number) = self.figment.get_metadata(merged.tag())?.source.as_ref()?
        else {
            return None;
        };
        at(self.trees.get(number.parse::<usize>().ok()?)?, path)
    }

    /// Key and value of a mapping, which several layers may have: the lowest one that is still seen.
    fn mapping(&self, path: &[&str]) -> Option<(&Key, &Node)> {
        let written = self.trees.iter().filter(|tree| !tree.span.source.is_default()).rev();
        let mut found = None;
        for entry in written.filter_map(|tree| at(tree, path)) {
            match entry.1.value {
                Value::Map(_) => found = Some(entry),
                _ => break,
            }
        }
        found.or_else(|| self.trees.iter().find_map(|tree| at(tree, path)))
    }
}

/// The value under a path, with its key; keys may hold dots.
fn at<'a>(tree: &'a Node, path: &[&str]) -> Option<(&'a Key, &'a Node)> {
    let (first, rest) = path.split_first()?;
    let found = tree.get(first)?;
    if rest.is_empty() { Some(found) } else { at(found.1, rest) }
}
