//! `exclude` and `compare` of a sweep file: what refers to the grid.

use super::{
    read::{Axis, Compare, Reader},
    values::{json, word},
};
use crate::config::text::{
    node::{Key, Node, Value},
    source::Span,
    suggest,
};

impl Reader {
    pub(super) fn exclude(
        &mut self,
        key: &Key,
        node: &Node,
        axes: &[Axis],
    ) -> Vec<Vec<(usize, Vec<usize>)>> {
        let Value::List(items) = &node.value else {
            let span = if node.value == Value::Null { &key.span } else { &node.span };
            let message = format!("`exclude` must be a list of mappings, not {}", node.describe());
            let help = "write `exclude: [{KEY: VALUE}]`";
            self.push("exclude", span, message, "not a list", help);
            return Vec::new();
        };
        let mut rules = Vec::new();
        for item in items {
            let entries = match &item.value {
                Value::Map(entries) if !entries.is_empty() => entries,
                _ => {
                    let message =
                        format!("an entry of `exclude` must name keys, not {}", item.describe());
                    self.push("exclude", &item.span, message, "no keys", "write `{KEY: VALUE}`");
                    continue;
                }
            };
            rules.push(self.choices("exclude", entries, axes));
        }
        rules
    }

    /// Keys of the grid with some of their values, written as one value or a list of them.
    pub(super) fn choices(
        &mut self,
        path: &str,
        entries: &[(Key, Node)],
        axes: &[Axis],
    ) -> Vec<(usize, Vec<usize>)> {
        let mut choices = Vec::new();
        for (key, node) in entries {
            let Some(axis) = self.axis(path, &key.name, &key.span, axes) else { continue };
            let position =
                |node: &Node| axes[axis].values.iter().position(|value| json(value) == json(node));
            let alone = [node.clone()];
            let wanted = match &node.value {
                Value::List(items) if position(node).is_none() => items.as_slice(),
                _ => alone.as_slice(),
            };
            let mut numbers = Vec::new();
            for node in wanted {
                match position(node) {
                    Some(number) => numbers.push(number),
                    None => {
                        let values: Vec<String> =
                            axes[axis].values.iter().map(|value| word(&json(value))).collect();
                        let message =
                            format!("`grid.{}` has no value {}", key.name, node.describe());
                        let help = format!(
                            "it has {}",
                            suggest::list(values.iter().map(String::as_str), "and")
                        );
                        let path = format!("{path}.{}", key.name);
                        self.push(&path, &node.span, message, "not in the grid", help);
                    }
                }
            }
            choices.push((axis, numbers));
        }
        choices
    }

    /// The number of the axis with a name.
    fn axis(&mut self, path: &str, name: &str, span: &Span, axes: &[Axis]) -> Option<usize> {
        let found = axes.iter().position(|axis| axis.key.name == name);
        if found.is_none() {
            let names = || axes.iter().map(|axis| axis.key.name.as_str());
            let help = suggest::meant(name, names()).unwrap_or_else(|| match axes {
                [] => "name a key of the grid".into(),
                _ => format!("the grid has {}", suggest::list(names(), "and")),
            });
            let message = format!("the grid does not vary `{name}`");
            self.push(&format!("{path}.{name}"), span, message, "not in the grid", help);
        }
        found
    }

    pub(super) fn compare(&mut self, found: Option<(&Key, &Node)>, axes: &[Axis]) -> Compare {
        let seed = axes.iter().any(|axis| axis.key.name == "seed");
        let usual = if seed { vec!["seed".to_owned()] } else { Vec::new() };
        let Some((key, node)) = found else {
            return Compare { across: usual, ..Compare::default() };
        };
        let entries = self.mapping("compare", key, node);
        self.known(entries, "compare");
        let across = match node.get("across") {
            Some((key, node)) => self.across(key, node, axes),
            None => usual,
        };
        let mut baseline = Vec::new();
        if let Some((key, node)) = node.get("baseline") {
            let entries = self.mapping("compare.baseline", key, node);
            for (axis, numbers) in self.choices("compare.baseline", entries, axes) {
                let axis = &axes[axis];
                if across.contains(&axis.key.name) {
                    let message = format!("`{}` is in `baseline` and in `across`", axis.key.name);
                    let help = "a repetition is no baseline: remove it from one of them";
                    self.push("compare.baseline", &key.span, message, "both", help);
                }
                if let [number] = numbers[..] {
                    baseline.push((axis.key.name.clone(), json(&axis.values[number])));
                } else if numbers.len() > 1 {
                    let message = format!("the baseline has several values of `{}`", axis.key.name);
                    self.push("compare.baseline", &key.span, message, "one of them", "name one");
                }
            }
        }
        Compare { baseline, across }
    }

    fn across(&mut self, key: &Key, node: &Node, axes: &[Axis]) -> Vec<String> {
        let alone = [node.clone()];
        let items = match &node.value {
            Value::List(items) => items.as_slice(),
            _ => alone.as_slice(),
        };
        let mut across = Vec::new();
        for item in items {
            let Value::String(name) = &item.value else {
                let span = if item.value == Value::Null { &key.span } else { &item.span };
                let message =
                    format!("`across` must name keys of the grid, not {}", item.describe());
                self.push("compare.across", span, message, "not a key", "write `across: seed`");
                continue;
            };
            if self.axis("compare.across", name, &item.span, axes).is_some() {
                across.push(name.clone());
            }
        }
        across
    }
}
