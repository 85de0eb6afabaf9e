//! `published` of a sweep file: what others report for rows of the table.

use serde_json::{Map, Value as Json};

use super::{
    keys,
    read::{Axis, Published, Reader},
    values::json,
};
use crate::config::{
    pipeline::Rule,
    text::{
        diagnostic::Diagnostic,
        node::{Key, Node, Value},
        suggest,
    },
};

impl Reader {
    pub(super) fn published(
        &mut self,
        key: &Key,
        node: &Node,
        axes: &[Axis],
        across: &[String],
        is_search: bool,
    ) -> Vec<Published> {
        if is_search {
            let message = "`published` has no rows in a search: they are candidates".to_owned();
            self.push("published", &key.span, message, "not with `search`", "remove it");
            return Vec::new();
        }
        let Value::List(items) = &node.value else {
            let span = if node.value == Value::Null { &key.span } else { &node.span };
            let message = format!("`published` must be a list of entries, not {}", node.describe());
            let example = keys::key("published").map_or("", |key| key.example);
            self.push("published", span, message, "not a list", format!("write\n{example}"));
            return Vec::new();
        };
        let mut published: Vec<Published> = Vec::new();
        for item in items {
            let Some(entry) = self.entry(item, axes, across) else { continue };
            if published.iter().any(|other| other.values == entry.values) {
                let message = "`published` has this row twice".to_owned();
                self.push("published", &item.span, message, "again", "keep one of them");
            }
            published.push(entry);
        }
        published
    }

    fn entry(&mut self, item: &Node, axes: &[Axis], across: &[String]) -> Option<Published> {
        let Value::Map(entries) = &item.value else {
            let message =
                format!("an entry of `published` must be a mapping, not {}", item.describe());
            let help = "write `{values: {KEY: VALUE}, accuracy: 45.69, source: …}`";
            self.push("published", &item.span, message, "not a mapping", help);
            return None;
        };
        self.known(entries, "published");
        for name in ["values", "accuracy", "source"] {
            if item.get(name).is_none() {
                let message = format!("an entry of `published` lacks the key `{name}`");
                let path = format!("sweep.published.{name}");
                let span = Some(item.span.clone());
                self.diagnose(
                    Diagnostic::new(Rule::MissingKey, path, span, message)
                        .label(format!("`{name}` belongs here"))
                        .help(
                            "write `{values: {KEY: VALUE}, accuracy: 45.69, source: …}`".to_owned(),
                        ),
                );
            }
        }
        let (key, node) = item.get("values")?;
        let values = self.row(key, node, axes, across);
        let accuracy = item.get("accuracy").and_then(|it| self.percent("accuracy", it));
        let interval = item.get("interval").and_then(|it| self.percent("interval", it));
        let (key, node) = item.get("source")?;
        let Value::String(source) = &node.value else {
            let span = if node.value == Value::Null { &key.span } else { &node.span };
            let message = format!("`published.source` must be a text, not {}", node.describe());
            self.push("published.source", span, message, "not a text", "say where it is printed");
            return None;
        };
        Some(Published { values: values?, accuracy: accuracy?, interval, source: source.clone() })
    }

    /// The values of a row: every key of the grid that is not a repetition.
    fn row(
        &mut self,
        key: &Key,
        node: &Node,
        axes: &[Axis],
        across: &[String],
    ) -> Option<Map<String, Json>> {
        let entries = self.mapping("published.values", key, node);
        let before = self.count_found();
        let chosen = self.choices("published.values", entries, axes);
        let mut values = Map::new();
        for (axis, numbers) in &chosen {
            let axis = &axes[*axis];
            let name = &axis.key.name;
            match numbers[..] {
                _ if across.contains(name) => {
                    let message = format!("`{name}` is a repetition: rows are means over it");
                    let help = "remove it here";
                    self.push("published.values", &key.span, message, "no row has it", help);
                }
                [number] => drop(values.insert(name.clone(), json(&axis.values[number]))),
                [] => {}
                _ => {
                    let message = format!("a row has one value of `{name}`");
                    let help = "write an entry for each";
                    self.push("published.values", &key.span, message, "several", help);
                }
            }
        }
        let lacks = axes.iter().map(|axis| axis.key.name.as_str()).filter(|name| {
            let is_named = entries.iter().any(|(key, _)| key.name == *name);
            !is_named && !across.iter().any(|it| it == name)
        });
        let lacks: Vec<&str> = lacks.collect();
        if !lacks.is_empty() && matches!(node.value, Value::Map(_)) {
            let lacks = suggest::list(lacks, "and");
            let message = format!("`published.values` does not name one row: it lacks {lacks}");
            let help = "name every key of the grid that is not a repetition";
            self.push("published.values", &key.span, message, "several rows", help);
        }
        (self.count_found() == before).then_some(values)
    }

    fn percent(&mut self, name: &str, (key, node): (&Key, &Node)) -> Option<f64> {
        let number = match node.value {
            Value::Int(number) => number as f64,
            Value::Float(number) => number,
            _ => f64::NAN,
        };
        if number > 0.0 && number <= 100.0 {
            return Some(number);
        }
        let path = format!("published.{name}");
        let span = if node.value == Value::Null { &key.span } else { &node.span };
        let message = format!(
            "`{path}` must be a number of percent above 0 up to 100, not {}",
            node.describe()
        );
        self.push(&path, span, message, "not in percent", format!("write `{name}: 45.69`"));
        None
    }
}
