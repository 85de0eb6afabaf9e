//! Which tensors of a file are a network's: the naming and the prefix that fit best.

use std::collections::{BTreeMap, BTreeSet};

use super::request::{Request, Scope};
use super::{WeightsError, WeightsFile};
use crate::model::names::Naming;

/// How a file names the tensors of a network.
pub(super) struct Recognised {
    /// The program whose names they are.
    pub naming: Naming,
    /// Prefix of each name, such as `state_dict.module.`.
    pub prefix: String,
}

/// A naming and a prefix under which the file has some of the tensors.
struct Candidate {
    naming: Naming,
    prefix: String,
    /// Full names in the file.
    names: BTreeSet<String>,
    /// How many of them have the network's shape.
    fitting: usize,
}

impl Candidate {
    /// More tensors are better, then a shorter prefix.
    fn beats(&self, other: &Self) -> bool {
        let (ours, theirs) = (self.names.len(), other.names.len());
        ours > theirs || (ours == theirs && self.prefix.len() < other.prefix.len())
    }
}

/// The naming and prefix under which the file has most of the tensors.
///
/// A prefix is any text before a name, so `state_dict.`, the `module.` of a parallel wrapper and
/// similar ones need no list.
///
/// # Errors
/// When the file has none of the tensors, or when it has two models that fit as well as each other.
pub(super) fn recognise(
    file: &WeightsFile,
    wanted: &[&(String, Vec<usize>)],
    request: &Request,
) -> Result<Recognised, WeightsError> {
    let candidates = candidates(file, wanted, request);
    let mut best: Option<&Candidate> = None;
    for candidate in &candidates {
        if best.is_none_or(|best| candidate.beats(best)) {
            best = Some(candidate);
        }
    }
    let Some(best) = best else {
        return Err(match request.prefix {
            Some(prefix) => nothing_under(file, prefix),
            None => nothing_in_common(file, wanted, request),
        });
    };
    let rivals = rivals(best, &candidates, wanted.len());
    if !rivals.is_empty() {
        return Err(ambiguous(file, best, &rivals, request));
    }
    Ok(Recognised { naming: best.naming, prefix: best.prefix.clone() })
}

fn candidates(
    file: &WeightsFile,
    wanted: &[&(String, Vec<usize>)],
    request: &Request,
) -> Vec<Candidate> {
    let mut candidates = Vec::new();
    for naming in request.namings {
        let expected: BTreeMap<String, &[usize]> = wanted
            .iter()
            .filter_map(|(path, shape)| Some((naming.name(path)?, shape.as_slice())))
            .collect();
        let mut found: BTreeMap<&str, Candidate> = BTreeMap::new();
        for name in file.names() {
            // Every place where a name could begin: the start, and after each dot.
            let starts = name.match_indices('.').map(|(dot, _)| dot + 1);
            for start in std::iter::once(0).chain(starts) {
                let Some(shape) = expected.get(&name[start..]) else { continue };
                let prefix = &name[..start];
                if request.prefix.is_some_and(|asked| !is_under(prefix, asked)) {
                    continue;
                }
                let candidate = found.entry(prefix).or_insert_with(|| Candidate {
                    naming: *naming,
                    prefix: prefix.to_owned(),
                    names: BTreeSet::new(),
                    fitting: 0,
                });
                candidate.names.insert(name.to_owned());
                let fits = file.shape(name).is_some_and(|found| found == *shape);
                candidate.fitting += usize::from(fits);
            }
        }
        candidates.extend(found.into_values());
    }
    candidates
}

/// Whether a prefix of the file is the one that was asked for, or lies below it.
fn is_under(prefix: &str, asked: &str) -> bool {
    let asked = asked.trim_end_matches('.');
    prefix.strip_prefix(asked).is_some_and(|rest| rest.starts_with('.'))
}

/// Other models in the file that could be meant: they share no tensor with the best one, and have
/// as many of the network's, or all of them.
fn rivals<'a>(best: &Candidate, candidates: &'a [Candidate], wanted: usize) -> Vec<&'a Candidate> {
    let mut seen: Vec<&BTreeSet<String>> = vec![&best.names];
    let mut rivals = Vec::new();
    // A few names in common say nothing.
    let enough = best.names.len() * 2 > wanted;
    for candidate in candidates.iter().filter(|_| enough) {
        let as_good = candidate.names.len() == best.names.len() || candidate.fitting == wanted;
        if as_good && seen.iter().all(|names| names.is_disjoint(&candidate.names)) {
            seen.push(&candidate.names);
            rivals.push(candidate);
        }
    }
    rivals
}

fn ambiguous(
    file: &WeightsFile,
    best: &Candidate,
    rivals: &[&Candidate],
    request: &Request,
) -> WeightsError {
    let mut prefixes: Vec<&str> =
        std::iter::once(best).chain(rivals.iter().copied()).map(|it| it.prefix.as_str()).collect();
    prefixes.sort_unstable();
    let listed: Vec<String> = prefixes
        .iter()
        .map(|prefix| match *prefix {
            "" => "the names without a prefix".to_owned(),
            prefix => format!("`{prefix}`"),
        })
        .collect();
    let example = prefixes.iter().rfind(|prefix| !prefix.is_empty()).copied().unwrap_or_default();
    WeightsError::Misfit {
        path: file.path().to_owned(),
        problems: vec![format!(
            "{} models in it fit the network: {}",
            listed.len(),
            listed.join(" and ")
        )],
        help: match request.scope {
            Scope::Backbone => {
                format!("name one of them: `backbone.weights.prefix: {example}`")
            }
            Scope::Head | Scope::Whole => format!("name one of them: `--prefix {example}`"),
        },
    }
}

/// Tensors of the file that a deeper network of the same family has and this one lacks, without
/// their prefix.
pub(super) fn of_a_deeper_network<'a>(
    names: impl Iterator<Item = &'a str>,
    prefix: &str,
    expected: &BTreeSet<String>,
) -> Vec<&'a str> {
    let families: BTreeSet<String> = expected.iter().map(|name| family(name)).collect();
    names
        .filter_map(|name| name.strip_prefix(prefix))
        .filter(|name| !expected.contains(*name) && families.contains(&family(name)))
        .collect()
}

/// A name without the numbers of its blocks: `layer1.2.conv1.weight` → `layer1.#.conv1.weight`.
fn family(name: &str) -> String {
    let is_number = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    let parts: Vec<&str> =
        name.split('.').map(|part| if is_number(part) { "#" } else { part }).collect();
    parts.join(".")
}

fn nothing_under(file: &WeightsFile, prefix: &str) -> WeightsError {
    let tops: BTreeSet<&str> =
        file.names().filter_map(|name| Some(name.split_once('.')?.0)).collect();
    let tops: Vec<String> = tops.iter().take(8).map(|top| format!("`{top}.`")).collect();
    WeightsError::Misfit {
        path: file.path().to_owned(),
        problems: vec![format!(
            "no tensor of the network is under the prefix `{prefix}`: the file has {}",
            tops.join(", ")
        )],
        help: "name one of them, or leave the prefix out".into(),
    }
}

fn nothing_in_common(
    file: &WeightsFile,
    wanted: &[&(String, Vec<usize>)],
    request: &Request,
) -> WeightsError {
    let has: Vec<String> = file.names().take(3).map(|name| format!("`{name}`")).collect();
    let sought = request
        .namings
        .iter()
        .filter_map(|naming| wanted.iter().find_map(|(path, _)| naming.name(path)))
        .map(|name| format!("`{name}`"))
        .collect::<BTreeSet<_>>();
    let sought: Vec<String> = sought.into_iter().collect();
    WeightsError::Misfit {
        path: file.path().to_owned(),
        problems: vec![format!(
            "it names none of the network's tensors: it has {}, and the network needs {}",
            has.join(", "),
            sought.join(" or ")
        )],
        help: match request.scope {
            Scope::Backbone => {
                "check `backbone.kind`, `backbone.trunk` and `backbone.weights.from`"
            }
            scope => scope.help(),
        }
        .into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_is_a_whole_part_of_a_name() {
        assert!(is_under("ema.", "ema"));
        assert!(is_under("ema.module.", "ema."));
        assert!(!is_under("ema_old.", "ema"));
        assert!(!is_under("", "ema"));
    }

    #[test]
    fn a_deeper_network_has_more_blocks_of_the_same_kind() {
        let expected = BTreeSet::from(["layer1.0.conv1.weight".to_owned()]);
        let names = ["m.layer1.0.conv1.weight", "m.layer1.2.conv1.weight", "m.fc.weight"];
        let deeper = of_a_deeper_network(names.into_iter(), "m.", &expected);
        assert_eq!(deeper, ["layer1.2.conv1.weight"]);
    }
}
