//! The keys of a sweep file, with their documentation: for messages, the schema and `fsct explain`.

use std::fmt::Write;

/// A key of a sweep file.
pub struct SweepKey {
    /// Its dotted path, such as `compare.baseline`.
    pub path: &'static str,
    /// What it does; the first sentence stands in lists.
    pub text: &'static str,
    /// How it is written, as lines of YAML.
    pub example: &'static str,
}

/// Version of the sweep file format that this program reads.
pub const VERSION: i128 = 1;

/// Every key, in the order of a file.
pub const KEYS: &[SweepKey] = &[
    SweepKey {
        path: "version",
        text: "Version of the sweep file format. A program that reads only older versions says so.",
        example: "version: 1",
    },
    SweepKey {
        path: "pipeline",
        text: "Pipeline file that is varied. The path is relative to the sweep file; `~` and `${NAME}` \
               are expanded. Required.",
        example: "pipeline: omniglot.yaml",
    },
    SweepKey {
        path: "grid",
        text: "Keys of the pipeline with the values that they take. Every combination of them is a \
               cell: one run. A key is written with dots (`method.kind`), its values as a list; a value \
               may be a mapping, as `method: [{kind: fsct}, {kind: profoct, vic: {}}]`. The first key \
               varies slowest. Required unless there is a `search`.",
        example: "grid:\n  method.kind: [fsct, protonet]\n  seed: [1, 2, 3]",
    },
    SweepKey {
        path: "exclude",
        text: "Combinations that are left out. Each entry names keys of the grid with one value or a \
               list of them, and removes the cells that match all of its keys.",
        example: "exclude: [{method.kind: protonet, seed: [2, 3]}]",
    },
    SweepKey {
        path: "set",
        text: "Values of the pipeline that hold in every cell. They lie over the pipeline file, and \
               below the environment and `--set`. Keys of the grid cannot be set.",
        example: "set: {train.epochs: 5}",
    },
    SweepKey {
        path: "compare",
        text: "How `fsct sweep collect` compares cells.",
        example: "compare: {baseline: {method.kind: fsct}, across: seed}",
    },
    SweepKey {
        path: "compare.baseline",
        text: "Values of grid keys that every other row of the table is compared with. A row is \
               compared with the row that has these values and is otherwise the same. Without it \
               nothing is compared.",
        example: "compare: {baseline: {method.kind: fsct}}",
    },
    SweepKey {
        path: "compare.across",
        text: "Keys of the grid that are repetitions: cells that differ in them alone are one row of \
               the table, with the mean and its interval. One key or a list; `seed` where the grid has \
               it and nothing is written.",
        example: "compare: {across: seed}",
    },
    SweepKey {
        path: "search",
        text: "Candidates that are drawn from ranges of keys and ranked by their validation accuracy. \
               With a `grid`, each candidate is run with every combination of it: repetitions are \
               averaged, and the other keys have a ranking of their own for each of their values.",
        example: "search:\n  method: random\n  budget: 20\n  ranges: {optimizer.learning_rate: {log: [1e-4, 1e-2]}}",
    },
    SweepKey {
        path: "search.method",
        text: "How candidates are trained. `random` trains each to the end; `halving` (successive \
               halving) trains all for a few epochs, keeps the best of them, and so on until the best \
               are trained for `train.epochs`. Required.",
        example: "search: {method: halving}",
    },
    SweepKey {
        path: "search.budget",
        text: "Number of different candidates that are drawn. A larger one keeps the earlier \
               candidates and adds others. Required.",
        example: "search: {budget: 27}",
    },
    SweepKey {
        path: "search.ranges",
        text: "Keys of the pipeline with what their values are drawn from. `log: [a, b]` draws numbers \
               whose logarithm is uniform, `uniform: [a, b]` numbers, `int: [a, b]` whole numbers with \
               both ends, and `choice: [a, b, …]` any of the values. Required.",
        example: "search:\n  ranges:\n    optimizer.learning_rate: {log: [1e-4, 1e-2]}\n    method.heads: {choice: [4, 8]}",
    },
    SweepKey {
        path: "search.seed",
        text: "Seed of the draws, 0 where it is not written. A value depends on this seed, the number \
               of the draw and the key, and on nothing else.",
        example: "search: {seed: 1}",
    },
    SweepKey {
        path: "search.factor",
        text: "Factor between two rungs of `halving`, 3 where it is not written. One of so many \
               candidates is kept, and trained for so many times the epochs.",
        example: "search: {factor: 3}",
    },
    SweepKey {
        path: "published",
        text: "What others report for rows of the table, which `fsct sweep collect` prints beside them. \
               A row without an entry has an empty cell.",
        example: "published:\n  - values: {method.attention: cosine, episode.k_shot: 1}\n    accuracy: 45.69\n    interval: 0.75\n    source: doi 10.1109/ACCESS.2023.3298299",
    },
    SweepKey {
        path: "published.values",
        text: "The row: every key of the grid that is not a repetition, with its value. Required.",
        example: "published: [{values: {episode.k_shot: 1}, accuracy: 45.69, source: …}]",
    },
    SweepKey {
        path: "published.accuracy",
        text: "Accuracy in percent, as it is printed there. Required.",
        example: "published: [{values: {episode.k_shot: 1}, accuracy: 45.69, source: …}]",
    },
    SweepKey {
        path: "published.interval",
        text: "Half-width of its 95 % interval in percentage points, where it is reported.",
        example: "published: [{values: {episode.k_shot: 1}, accuracy: 45.69, interval: 0.75, source: …}]",
    },
    SweepKey {
        path: "published.source",
        text: "Where the number is printed: a DOI, an address, a table. Required.",
        example: "published: [{values: {episode.k_shot: 1}, accuracy: 45.69, source: …}]",
    },
];

/// The key at a dotted path.
pub fn key(path: &str) -> Option<&'static SweepKey> {
    KEYS.iter().find(|key| key.path == path)
}

/// Names of the keys directly under a mapping; `""` is the file.
pub fn names(parent: &str) -> Vec<&'static str> {
    let own = |key: &'static SweepKey| {
        let (above, name) = key.path.rsplit_once('.').unwrap_or(("", key.path));
        (above == parent).then_some(name)
    };
    KEYS.iter().filter_map(own).collect()
}

/// What `fsct explain` says of `sweep`, of `sweep.KEY`, and of a pipeline's key under `sweep.grid`.
pub fn explain(topic: &str) -> Option<String> {
    let topic = match topic.strip_prefix("fsct::") {
        Some(code) => code.replace("::", "."),
        None => topic.to_owned(),
    };
    if topic == "sweep" {
        return Some(format!("sweep\n\nA sweep file varies keys of a pipeline.\n\n{}", overview()));
    }
    let path = topic.strip_prefix("sweep.")?;
    let inner =
        ["grid.", "set.", "compare.baseline.", "exclude.", "search.ranges.", "published.values."];
    if let Some(section) = inner.iter().find(|section| path.starts_with(*section)) {
        let section = key(section.trim_end_matches('.'))?;
        return Some(described(section));
    }
    key(path).map(described)
}

fn described(key: &SweepKey) -> String {
    let example = key.example.replace('\n', "\n  ");
    format!("sweep.{}\n\n{}\n\nin a sweep file\n  {example}\n", key.path, wrapped(key.text))
}

fn wrapped(text: &str) -> String {
    textwrap::wrap(text, textwrap::Options::new(88).break_words(false)).join("\n")
}

/// Every key of a sweep file with its first sentence.
pub fn overview() -> String {
    let mut text = String::from("Keys of a sweep file:\n");
    let width = KEYS.iter().map(|key| key.path.len() + 6).max().unwrap_or(0);
    for SweepKey { path, text: about, .. } in KEYS {
        let first = about.split_inclusive(". ").next().unwrap_or(about).trim_end();
        let _ = writeln!(text, "  {:width$}  {first}", format!("sweep.{path}"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_is_explained() {
        for SweepKey { path, .. } in KEYS {
            let text = explain(&format!("sweep.{path}")).unwrap_or_default();
            assert!(text.starts_with(&format!("sweep.{path}\n")), "{path}: {text}");
        }
        assert!(explain("fsct::sweep::grid::method::kind").is_some_and(|it| it.contains("cell")));
        assert_eq!(explain("sweep.gird"), None);
        assert_eq!(explain("method.kind"), None);
        assert_eq!(names("compare"), ["baseline", "across"]);
    }
}
