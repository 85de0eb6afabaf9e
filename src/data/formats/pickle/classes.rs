//! The classes of a pickle's images.

use std::collections::BTreeMap;

use super::value::Value;
use crate::data::Split;

/// How classes are named that have numbers alone.
#[derive(Debug, Clone, Copy)]
pub enum Naming {
    /// By the number alone.
    Numbers,
    /// By split and number: files of several splits may each count from 0.
    SplitAndNumber(Split),
}

impl Naming {
    fn name(self, number: i64) -> String {
        match self {
            Self::Numbers => format!("{number:04}"),
            Self::SplitAndNumber(split) => format!("{split}_{number:04}"),
        }
    }
}

/// Numbers of the images of each class: from `class_dict`, or from a label an image in `labels` or
/// tieredImageNet's `label_specific`.
pub fn classes(
    value: &Value,
    file: &[u8],
    naming: Naming,
) -> Result<BTreeMap<String, Vec<i64>>, String> {
    if let Some(Value::Dict(entries)) = value.entry("class_dict", file) {
        let entries = entries.borrow();
        let class = |(name, members): &(Value, Value)| {
            let name = match name {
                Value::Int(number) => naming.name(*number),
                other => other.text(file)?,
            };
            Some((name, members.integers(file)?))
        };
        return entries
            .items
            .iter()
            .map(class)
            .collect::<Option<_>>()
            .ok_or_else(|| "its class_dict is not of names and lists of numbers".into());
    }
    let labels = ["labels", "label_specific"]
        .iter()
        .find_map(|key| value.entry(key, file)?.integers(file))
        .or_else(|| value.integers(file))
        .ok_or("it has neither `class_dict` nor `labels` nor `label_specific`")?;
    let names = names(value, file);
    let mut classes: BTreeMap<String, Vec<i64>> = BTreeMap::new();
    for (image, label) in labels.iter().enumerate() {
        let name = names.get(label).cloned().unwrap_or_else(|| naming.name(*label));
        classes.entry(name).or_default().push(image as i64);
    }
    Ok(classes)
}

/// Names of labels, where the file has them and no two are the same.
fn names(value: &Value, file: &[u8]) -> BTreeMap<i64, String> {
    let keys = ["label_specific_str", "label2catname"];
    let Some(found) = keys.iter().find_map(|key| value.entry(key, file)) else {
        return BTreeMap::new();
    };
    let names: BTreeMap<i64, String> = match &found {
        Value::Dict(entries) => {
            let entries = entries.borrow();
            let name = |(label, name): &(Value, Value)| match label {
                Value::Int(label) => Some((*label, name.text(file)?)),
                _ => None,
            };
            entries.items.iter().filter_map(name).collect()
        }
        list => {
            let items = list.items().unwrap_or_default();
            let texts = items.iter().map_while(|name| name.text(file));
            texts.enumerate().map(|(label, name)| (label as i64, name)).collect()
        }
    };
    let distinct: std::collections::BTreeSet<&String> = names.values().collect();
    if distinct.len() == names.len() { names } else { BTreeMap::new() }
}
