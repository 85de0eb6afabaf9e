//! The values of candidates: each is drawn from a digest of the seed, the candidate's number and the key.
//!
//! So a value depends on nothing else: a larger budget keeps the earlier candidates, and another key
//! changes no value of the others.

use std::collections::HashSet;

use sha2::{Digest, Sha256};

use super::range::{Range, Ranged, number, whole};
use crate::config::{sweep::values::json, text::node::Node};

/// Significant digits of a number that is drawn.
const DIGITS: i32 = 6;
/// Draws for each candidate, and beyond, before the ranges count as exhausted: of `n` values that are
/// drawn at random, all are seen after about `n ln n` draws.
const DRAWS: (usize, usize) = (64, 4096);

/// The first candidates of a seed, each once; fewer where the ranges do not have that many.
pub fn candidates(ranges: &[Ranged], seed: u64, count: usize) -> Vec<Vec<Node>> {
    let mut seen = HashSet::new();
    let mut candidates = Vec::new();
    for draw in 0..DRAWS.0 * count + DRAWS.1 {
        if candidates.len() == count {
            break;
        }
        let values: Vec<Node> = ranges.iter().map(|range| value(range, seed, draw)).collect();
        let text: Vec<String> = values.iter().map(|value| json(value).to_string()).collect();
        if seen.insert(text) {
            candidates.push(values);
        }
    }
    candidates
}

fn value(ranged: &Ranged, seed: u64, draw: usize) -> Node {
    let share = share(seed, draw, &ranged.key.name);
    let span = &ranged.span;
    match &ranged.range {
        Range::Uniform(low, high) => {
            let (low, high) = (low.number, high.number);
            let drawn = rounded(low + share * (high - low), (high - low).abs());
            number(drawn.clamp(low, high), span)
        }
        Range::Log(low, high) => {
            let (low, high) = (low.number, high.number);
            let drawn = libm::exp(libm::log(low) + share * (libm::log(high) - libm::log(low)));
            number(rounded(drawn, drawn).clamp(low, high), span)
        }
        Range::Int(low, high) => {
            let drawn = (low.number + share * (high.number - low.number + 1.0)).floor();
            whole(drawn.min(high.number), span)
        }
        Range::Choice(values) => {
            let at = (share * values.len() as f64) as usize;
            values[at.min(values.len() - 1)].clone()
        }
    }
}

/// A number in [0, 1), the same on every machine.
fn share(seed: u64, draw: usize, key: &str) -> f64 {
    let digest = Sha256::digest(format!("fsct search\n{seed}\n{draw}\n{key}"));
    let bits = digest.iter().take(8).fold(0_u64, |bits, byte| bits << 8 | u64::from(*byte));
    // A double has 53 bits.
    (bits >> 11) as f64 / (1_u64 << 53) as f64
}

/// A number with as many decimals as `scale` needs for six digits: what a person can read, and the same
/// where the last bit of a logarithm is not.
fn rounded(number: f64, scale: f64) -> f64 {
    let decimals = DIGITS - 1 - libm::log10(scale).floor() as i32;
    match usize::try_from(decimals) {
        // Through the text: the nearest number to those decimals.
        Ok(decimals) => format!("{number:.decimals$}").parse().unwrap_or(number),
        Err(_) => number.round(),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::config::sweep::search::range::Bound;
    use crate::config::text::{
        node::{Key, Value},
        source::{Source, SourceKind, Span},
    };

    fn span() -> Span {
        Span::new(&Arc::new(Source::new(SourceKind::File, "s.yaml", "")), 0..0)
    }

    fn ranged(key: &str, range: Range) -> Ranged {
        Ranged { key: Key { name: key.into(), span: span() }, span: span(), range }
    }

    fn bound(number: f64) -> Bound {
        Bound { number, span: span() }
    }

    fn choice(words: &[&str]) -> Range {
        let node = |word: &&str| Node { span: span(), value: Value::String((*word).into()) };
        Range::Choice(words.iter().map(node).collect())
    }

    fn numbers(range: Range, count: usize) -> Vec<f64> {
        let drawn = candidates(&[ranged("a.b", range)], 7, count);
        let number = |values: &Vec<Node>| json(&values[0]).as_f64().unwrap();
        drawn.iter().map(number).collect()
    }

    fn texts(candidates: &[Vec<Node>]) -> Vec<String> {
        let text = |values: &Vec<Node>| {
            values.iter().map(|it| json(it).to_string()).collect::<Vec<_>>().join(" ")
        };
        candidates.iter().map(text).collect()
    }

    /// The share of the draws below a number is near to what the range says: within three deviations of
    /// a binomial distribution.
    #[test]
    fn draws_are_spread_as_the_range_says() {
        let below = |values: &[f64], limit: f64| {
            values.iter().filter(|it| **it < limit).count() as f64 / values.len() as f64
        };
        let count = 4000;
        let near = |found: f64, expected: f64| {
            let deviation = (expected * (1.0 - expected) / count as f64).sqrt();
            assert!((found - expected).abs() < 3.0 * deviation, "{found} for {expected}");
        };
        let log = numbers(Range::Log(bound(1e-4), bound(1e-2)), count);
        assert!(log.iter().all(|it| (1e-4..=1e-2).contains(it)));
        near(below(&log, 1e-3), 0.5);
        near(below(&log, 10f64.powf(-3.5)), 0.25);
        let uniform = numbers(Range::Uniform(bound(-1.0), bound(3.0)), count);
        assert!(uniform.iter().all(|it| (-1.0..=3.0).contains(it)));
        near(below(&uniform, 0.0), 0.25);
        near(below(&uniform, 2.0), 0.75);
        let values: Vec<f64> = (0..count)
            .map(|draw| value(&ranged("k", Range::Int(bound(1.0), bound(4.0))), 1, draw))
            .map(|node| json(&node).as_f64().unwrap())
            .collect();
        for limit in [2.0, 3.0, 4.0] {
            near(below(&values, limit), (limit - 1.0) / 4.0);
        }
        assert!(values.contains(&1.0) && values.contains(&4.0), "both ends are drawn");
    }

    #[test]
    fn a_larger_budget_and_another_key_keep_the_candidates() {
        let a = || ranged("a", Range::Log(bound(1e-5), bound(1.0)));
        let b = || ranged("b", choice(&["x", "y", "z"]));
        let few = candidates(&[a(), b()], 1, 5);
        let many = candidates(&[a(), b()], 1, 50);
        assert_eq!(texts(&few), texts(&many)[..5]);
        let alone = candidates(&[a()], 1, 5);
        for (alone, both) in alone.iter().zip(&few) {
            assert_eq!(json(&alone[0]), json(&both[0]));
        }
        assert_ne!(texts(&few), texts(&candidates(&[a(), b()], 2, 5)), "another seed");
        assert_eq!(texts(&few), texts(&candidates(&[a(), b()], 1, 5)), "again");
    }

    /// The same on every machine: computed by Python's hashlib and math.
    #[test]
    fn the_first_draws_are_those_that_python_computes() {
        let drawn = candidates(&[ranged("a", Range::Log(bound(1e-4), bound(1e-2)))], 0, 3);
        assert_eq!(texts(&drawn), FIRST);
    }

    const FIRST: [&str; 3] = ["0.00018208", "0.00056197", "0.00138821"];

    #[test]
    fn no_candidate_is_drawn_twice() {
        let ranges =
            [ranged("a", Range::Int(bound(1.0), bound(3.0))), ranged("b", choice(&["x", "y"]))];
        let all = candidates(&ranges, 3, 6);
        let mut sorted = texts(&all);
        sorted.sort();
        sorted.dedup();
        assert_eq!(sorted.len(), 6, "every combination of so few values");
        assert_eq!(candidates(&ranges, 3, 7).len(), 6);
    }

    #[test]
    fn numbers_have_six_digits() {
        assert_eq!(rounded(0.000_312_345_678, 0.000_312_345_678), 0.000_312_346);
        assert_eq!(rounded(12_345_678.9, 12_345_678.9), 12_345_679.0);
        assert_eq!(rounded(0.123_456_789, 4.0), 0.123_46);
    }
}
