//! Every cell of a sweep file, resolved and checked as `fsct validate` checks a pipeline.

use std::collections::HashMap;
use std::path::Path;

use serde_json::Value;

use crate::cli::validate::outside;
use crate::config::{
    Diagnostic, Diagnostics, Loaded, Overrides, Pipeline, ResolvedSweep, Sweep, load_sweep,
};

/// Reads a sweep file and resolves its cells; unless `offline`, also looks at data, weights and devices.
///
/// # Errors
/// All that is wrong with the file or with any cell.
pub fn resolve(
    path: &Path,
    overrides: &Overrides,
    offline: bool,
) -> Result<(Sweep, ResolvedSweep), Diagnostics> {
    let sweep = load_sweep(path)?;
    let mut known: HashMap<String, Vec<Diagnostic>> = HashMap::new();
    let look = |loaded: &Loaded| match offline {
        true => Vec::new(),
        false => known.entry(outer(&loaded.absolute())).or_insert_with(|| outside(loaded)).clone(),
    };
    let resolved = sweep.resolve(overrides, look)?;
    Ok((sweep, resolved))
}

/// The part of a pipeline that data, weights and devices are looked up by: cells that share it are looked
/// up once.
pub fn outer(pipeline: &Pipeline) -> String {
    let mut json = serde_json::to_value(pipeline).unwrap_or_default();
    let Value::Object(entries) = &mut json else { return String::new() };
    for key in ["name", "seed", "optimizer", "memory", "method"] {
        entries.remove(key);
    }
    let data = entries.get("train").and_then(|it| it.get("data")).cloned();
    entries.insert("train".into(), data.unwrap_or_default());
    json.to_string()
}
