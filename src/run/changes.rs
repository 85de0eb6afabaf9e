//! How two pipelines differ, key by key, and which keys may differ for what.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::config::Pipeline;

/// A key with another value.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Change {
    /// Dotted path of the key.
    pub key: String,
    /// The value before; `null` where the key was not set.
    pub was: Value,
    /// The value now; `null` where the key is not set.
    pub now: Value,
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = |value: &Value| match value {
            Value::Null => "not set".to_owned(),
            Value::String(text) => text.clone(),
            value => value.to_string(),
        };
        write!(f, "`{}`: {} → {}", self.key, word(&self.was), word(&self.now))
    }
}

/// Keys whose values differ, in alphabetical order.
pub fn changes(was: &Pipeline, now: &Pipeline) -> Vec<Change> {
    let (was, now) = (leaves(was), leaves(now));
    let keys: std::collections::BTreeSet<&String> = was.keys().chain(now.keys()).collect();
    let value = |leaves: &BTreeMap<String, Value>, key: &str| leaves.get(key).cloned();
    keys.into_iter()
        .map(|key| Change {
            key: key.clone(),
            was: value(&was, key).unwrap_or_default(),
            now: value(&now, key).unwrap_or_default(),
        })
        .filter(|change| change.was != change.now)
        .collect()
}

/// Keys that a resumed run may change: its length, its device, what is written and tested, and
/// memory settings that do not change a gradient.
const RESUMABLE: [&str; 12] = [
    "device",
    "memory.allocator",
    "memory.budget",
    "memory.clear_cache_after_epoch",
    "memory.clear_cache_every",
    "memory.on_oom",
    "memory.recompute",
    "report",
    "test",
    "train.checkpoint_every",
    "train.early_stopping",
    "train.epochs",
];

/// Whether a resumed run may change a key.
pub fn is_resumable(key: &str) -> bool {
    RESUMABLE.iter().any(|it| is_under(key, it))
}

/// The keys of [`is_resumable`], for messages.
pub fn resumable() -> String {
    let keys = RESUMABLE.map(|key| format!("`{key}`"));
    format!("{} and {}", keys[..keys.len() - 1].join(", "), keys[keys.len() - 1])
}

/// The greatest number of shots, for which prototypes have weights.
const SHOTS: [&str; 2] = ["episode.k_shot", "episode.k_shot.max"];

/// Whether the tensors of a trained model depend on a key: it has the same value wherever that
/// model is loaded.
pub fn fixes_model(key: &str, trained: &Pipeline) -> bool {
    let of_loss = is_under(key, "method.vic")
        || ["method.balance", "method.label_smoothing", "method.loss"].contains(&key);
    let of_head = is_under(key, "method") && !of_loss;
    // A method without weights has its settings from the pipeline alone.
    let is_setting = !trained.method.kind.has_weights() && key != "method.kind";
    of_head && !is_setting
        || ["backbone.kind", "backbone.trunk", "data.image_size"].contains(&key)
        || (trained.method.weighs_shots() && SHOTS.contains(&key))
        || (trained.method.is_tied_to_episode() && key == "episode.n_way")
}

/// Whether a test of a trained model cannot change a key.
///
/// With shared prototypes a model is tested at other shots than it was trained with, as the means
/// of the shots.
pub fn is_fixed_in_test(key: &str, trained: &Pipeline) -> bool {
    match SHOTS.contains(&key) {
        true => trained.method.is_tied_to_episode(),
        false => fixes_model(key, trained),
    }
}

/// Whether a test of a trained model depends on a key.
pub fn affects_test(key: &str) -> bool {
    const KEYS: [&str; 10] = [
        "backbone.batch_norm",
        "data",
        "device",
        "episode",
        "memory.allocator",
        "method",
        "name",
        "seed",
        "test",
        "validate",
    ];
    // The images that are embedded at once, which changes no result.
    let at_once = ["memory.accumulation_steps", "memory.accumulation_unit"].contains(&key);
    let of_training = ["data.augment", "method.label_smoothing", "method.vic"];
    let of_test =
        KEYS.iter().any(|it| is_under(key, it)) && !of_training.iter().any(|it| is_under(key, it));
    of_test || at_once
}

/// Whether a key is `parent` or lies under it.
pub fn is_under(key: &str, parent: &str) -> bool {
    key.strip_prefix(parent).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

/// Every value of a pipeline that is not a mapping, by its dotted key.
fn leaves(pipeline: &Pipeline) -> BTreeMap<String, Value> {
    fn collect(value: Value, key: &str, leaves: &mut BTreeMap<String, Value>) {
        match value {
            Value::Object(fields) if !fields.is_empty() => {
                for (name, value) in fields {
                    let key = if key.is_empty() { name } else { format!("{key}.{name}") };
                    collect(value, &key, leaves);
                }
            }
            value => drop(leaves.insert(key.to_owned(), value)),
        }
    }
    let mut all = BTreeMap::new();
    collect(serde_json::to_value(pipeline).unwrap_or_default(), "", &mut all);
    all.retain(|_, value| !value.is_null());
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Overrides, load_str};

    fn pipeline(set: &[&str]) -> Pipeline {
        let text = "data: {format: synthetic}\nbackbone: {kind: conv4s}\nmethod: {kind: fsct}\n";
        let set = set.iter().map(|it| (*it).to_owned()).collect();
        let overrides = Overrides { set, ..Overrides::default() };
        load_str("test", text, &overrides).unwrap().pipeline
    }

    #[test]
    fn changes_name_the_key_and_both_values() {
        let was = pipeline(&[]);
        let now = pipeline(&["optimizer.learning_rate=0.5", "memory.budget=1GiB"]);
        let text: Vec<String> = changes(&was, &now).iter().map(ToString::to_string).collect();
        assert_eq!(
            text,
            ["`memory.budget`: not set → 1GiB", "`optimizer.learning_rate`: 0.001 → 0.5"]
        );
        assert!(changes(&was, &was.clone()).is_empty());
    }

    #[test]
    fn every_key_named_here_exists() {
        let keys = crate::config::keys();
        let exists = |key: &str| keys.iter().any(|it| is_under(it, key));
        for key in RESUMABLE {
            assert!(exists(key), "{key}");
        }
        assert!(keys.iter().any(|key| !affects_test(key)));
    }

    #[test]
    fn what_fixes_a_model_is_known() {
        let fsct = pipeline(&[]);
        let always = ["backbone.kind", "method.heads", "method.prototypes", "data.image_size"];
        for key in always.into_iter().chain(["episode.n_way", "episode.k_shot"]) {
            assert!(fixes_model(key, &fsct) && is_fixed_in_test(key, &fsct), "{key}");
            assert!(!is_resumable(key), "{key}");
        }
        for key in [
            "method.vic.preset",
            "method.label_smoothing",
            "backbone.train",
            "data.root",
            "train.epochs",
        ] {
            assert!(!fixes_model(key, &fsct), "{key}");
        }
        let shared = pipeline(&["method.prototypes=shared"]);
        assert!(!is_fixed_in_test("episode.n_way", &shared));
        assert!(!is_fixed_in_test("episode.k_shot", &shared));
        assert!(fixes_model("episode.k_shot", &shared), "its weights of the shots have that shape");
        assert!(fixes_model("episode.k_shot.max", &shared));
        assert!(!fixes_model("episode.k_shot.min", &shared));
        let knn = pipeline(&["method.kind=knn", "train.epochs=0"]);
        assert!(is_fixed_in_test("method.kind", &knn));
        assert!(
            !is_fixed_in_test("method.n_neighbors", &knn) && affects_test("method.n_neighbors")
        );
        assert!(!affects_test("method.label_smoothing"));
        assert!(is_resumable("test.episodes") && !is_resumable("validate.episodes"));
        assert!(!is_resumable("memory.amp") && !affects_test("optimizer.learning_rate"));
    }
}
