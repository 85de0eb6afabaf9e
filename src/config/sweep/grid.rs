//! `grid` and `set` of a sweep file.

use super::{
    read::{Axis, Reader},
    values::{json, leaves, overlap, word},
};
use crate::config::text::node::{Key, Node, Value};

impl Reader {
    pub(super) fn grid(&mut self, key: &Key, node: &Node) -> Vec<Axis> {
        let entries = self.mapping("grid", key, node);
        if entries.is_empty() && matches!(node.value, Value::Map(_)) {
            let help = "name at least one key with its values: `seed: [1, 2, 3]`";
            self.push("grid", &node.span, "`grid` is empty".into(), "no key", help);
        }
        let mut axes: Vec<Axis> = Vec::new();
        for (key, node) in entries {
            let path = format!("grid.{}", key.name);
            self.of_files_only(&path, key);
            if let Some(other) = axes.iter().find(|axis| overlap(&axis.key.name, &key.name)) {
                let message =
                    format!("`{}` and `{}` of the grid overlap", other.key.name, key.name);
                let help =
                    "vary one of them: a value of a mapping may be written as `{kind: fsct}`";
                self.push(&path, &key.span, message, "varied twice", help);
            }
            let values = self.values(&path, key, node);
            axes.push(Axis { key: key.clone(), values });
        }
        axes
    }

    /// The list of a grid's key.
    fn values(&mut self, path: &str, key: &Key, node: &Node) -> Vec<Node> {
        let name = &key.name;
        let Value::List(items) = &node.value else {
            let help = match &node.value {
                Value::Map(entries) => match entries.first() {
                    Some((inner, _)) => format!("write `{name}.{}: [a, b]`", inner.name),
                    None => format!("write `{name}: [a, b]`"),
                },
                Value::Null => format!("write `{name}: [a, b]`"),
                _ => format!("write `{name}: [{}]`", word(&json(node))),
            };
            let span = if node.value == Value::Null { &key.span } else { &node.span };
            let message =
                format!("`grid.{name}` must be a list of values, not {}", node.describe());
            self.push(path, span, message, "not a list", help);
            return Vec::new();
        };
        if items.is_empty() {
            let message = format!("`grid.{name}` has no values");
            self.push(path, &node.span, message, "empty", "name a value, or remove the key");
        }
        for (at, item) in items.iter().enumerate() {
            if items[..at].iter().any(|other| json(other) == json(item)) {
                let message = format!("`grid.{name}` has {} twice", item.describe());
                self.push(path, &item.span, message, "again", "name each value once");
            }
        }
        items.clone()
    }

    /// Keys that only a pipeline file can have.
    pub(super) fn of_files_only(&mut self, path: &str, key: &Key) {
        if ["version", "extends"].contains(&key.name.as_str()) {
            let message = format!("`{}` belongs in a pipeline file", key.name);
            self.push(
                path,
                &key.span,
                message,
                "not here",
                "remove it, or write it in the pipeline",
            );
        }
    }

    /// Values for all cells; `varied` are keys that are varied already, each with its section.
    pub(super) fn set(
        &mut self,
        key: &Key,
        node: &Node,
        varied: &[(&str, &Key)],
    ) -> Vec<(Key, Node)> {
        let entries = self.mapping("set", key, node);
        for (key, _) in entries {
            self.of_files_only(&format!("set.{}", key.name), key);
        }
        for (name, span) in leaves(entries) {
            if let Some((section, key)) = varied.iter().find(|(_, key)| overlap(&key.name, &name)) {
                let message = format!("`set.{name}` is varied by `{section}.{}`", key.name);
                let help = "remove it here or there";
                self.push(&format!("set.{name}"), &span, message, "varied there", help);
            }
        }
        entries.to_vec()
    }
}
