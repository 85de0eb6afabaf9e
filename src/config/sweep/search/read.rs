//! `search` of a sweep file: its keys and its ranges.

use super::{
    FACTOR, Search, SearchMethod,
    draw::candidates,
    range::{Bound, Range, Ranged, takes_whole},
};
use crate::config::{
    pipeline::Rule,
    sweep::{
        keys,
        read::{Axis, MAX_CELLS, Reader},
        values::{json, overlap},
    },
    text::{
        diagnostic::Diagnostic,
        node::{Key, Node, Value},
        source::Span,
        suggest,
    },
};

/// Kinds of ranges.
const KINDS: [&str; 4] = ["log", "uniform", "int", "choice"];
/// Whole numbers that are drawn from lie below it: a double has every one of them.
const WHOLE: f64 = 9_007_199_254_740_992.0;

impl Reader {
    /// The search; `None` where something is wrong with it.
    pub(in crate::config::sweep) fn search(
        &mut self,
        key: &Key,
        node: &Node,
        axes: &[Axis],
    ) -> Option<Search> {
        let before = self.count_found();
        let entries = self.mapping("search", key, node);
        if !matches!(node.value, Value::Map(_)) {
            return None;
        }
        self.known(entries, "search");
        for name in ["method", "budget", "ranges"] {
            if node.get(name).is_none() {
                self.missing(name, &key.span);
            }
        }
        let method = node.get("method").and_then(|(key, node)| self.method(key, node));
        let whole = |reader: &mut Self, name: &str, least: i128, most: i128| {
            let (key, node) = node.get(name)?;
            reader.whole(name, key, node, least, most)
        };
        let most = MAX_CELLS as i128;
        let budget = whole(self, "budget", 1, most);
        let seed = whole(self, "seed", 0, i128::from(u64::MAX)).unwrap_or(0);
        let factor = whole(self, "factor", 2, most).unwrap_or(FACTOR as i128);
        let ranges = node.get("ranges").map(|(key, node)| self.ranges(key, node, axes));
        if let (Some(SearchMethod::Random), Some((key, _))) = (method, node.get("factor")) {
            let message = "`search.factor` is of `method: halving`".to_owned();
            let help = "remove it, or write `method: halving`";
            self.push("search.factor", &key.span, message, "not used", help);
        }
        if let (Some(SearchMethod::Halving), Some(budget)) = (method, budget)
            && budget < factor
            && let Some((_, node)) = node.get("budget")
        {
            let message = format!(
                "`search.budget: {budget}` is below `search.factor: {factor}`: no candidate would be \
                 dropped"
            );
            let help = format!(
                "draw {factor} candidates or more, say {}; or write `method: random`",
                factor * factor
            );
            self.push("search.budget", &node.span, message, "too few", help);
        }
        if method == Some(SearchMethod::Halving) {
            let varied = axes.iter().map(|axis| ("grid", &axis.key));
            let drawn = ranges.iter().flatten().map(|range| ("search.ranges", &range.key));
            for (section, key) in
                varied.chain(drawn).filter(|it| overlap(&it.1.name, "train.epochs"))
            {
                let message = format!("`{}` cannot be varied: halving sets it", key.name);
                let help = "remove it; `set: {train.epochs: …}` is the length of the last rung";
                self.push(
                    &format!("{section}.{}", key.name),
                    &key.span,
                    message,
                    "of the rungs",
                    help,
                );
            }
        }
        if self.count_found() > before {
            return None;
        }
        let (method, ranges) = (method?, ranges?);
        let (budget, factor) = (usize::try_from(budget?).ok()?, usize::try_from(factor).ok()?);
        let seed = u64::try_from(seed).ok()?;
        let candidates = candidates(&ranges, seed, budget);
        if candidates.len() < budget
            && let Some((_, node)) = node.get("budget")
        {
            let found = candidates.len();
            let message = format!(
                "`search.budget: {budget}` is more than the ranges have: {found} different candidates"
            );
            let help = format!("write `budget: {found}`, or widen a range");
            self.push("search.budget", &node.span, message, "too many", help);
            return None;
        }
        Some(Search { method, budget, seed, factor, ranges, candidates, span: key.span.clone() })
    }

    fn missing(&mut self, name: &str, span: &Span) {
        let path = format!("search.{name}");
        let example = keys::key(&path).map_or("", |key| key.example);
        let message = format!("the key `{path}` is missing");
        self.diagnose(
            Diagnostic::new(Rule::MissingKey, format!("sweep.{path}"), Some(span.clone()), message)
                .label(format!("`{name}` belongs here"))
                .help(format!("write\n{example}")),
        );
    }

    fn method(&mut self, key: &Key, node: &Node) -> Option<SearchMethod> {
        match &node.value {
            Value::String(word) if word == "random" => Some(SearchMethod::Random),
            Value::String(word) if word == "halving" => Some(SearchMethod::Halving),
            _ => {
                let span = if node.value == Value::Null { &key.span } else { &node.span };
                let message = format!(
                    "`search.method` must be `random` or `halving`, not {}",
                    node.describe()
                );
                let help = match &node.value {
                    Value::String(word) => suggest::meant(word, ["random", "halving"]),
                    _ => None,
                };
                let help = help.unwrap_or_else(|| "write one of them".into());
                self.push("search.method", span, message, "not a method", help);
                None
            }
        }
    }

    fn whole(
        &mut self,
        name: &str,
        key: &Key,
        node: &Node,
        least: i128,
        most: i128,
    ) -> Option<i128> {
        if let Value::Int(number) = node.value
            && (least..=most).contains(&number)
        {
            return Some(number);
        }
        let path = format!("search.{name}");
        let span = if node.value == Value::Null { &key.span } else { &node.span };
        let message = format!(
            "`{path}` must be a whole number from {least} to {most}, not {}",
            node.describe()
        );
        let example = keys::key(&path).map_or("", |key| key.example);
        self.push(&path, span, message, "not such a number", format!("write\n{example}"));
        None
    }

    fn ranges(&mut self, key: &Key, node: &Node, axes: &[Axis]) -> Vec<Ranged> {
        let entries = self.mapping("search.ranges", key, node);
        if entries.is_empty() && matches!(node.value, Value::Map(_)) {
            let help = "name at least one key: `optimizer.learning_rate: {log: [1e-4, 1e-2]}`";
            self.push(
                "search.ranges",
                &node.span,
                "`search.ranges` is empty".into(),
                "no key",
                help,
            );
        }
        let mut ranges: Vec<Ranged> = Vec::new();
        for (key, node) in entries {
            let path = format!("search.ranges.{}", key.name);
            self.of_files_only(&path, key);
            let twice = |other: &Key| overlap(&other.name, &key.name);
            let grid = axes.iter().map(|axis| (&axis.key, "grid"));
            let drawn = ranges.iter().map(|range| (&range.key, "search.ranges"));
            if let Some((other, section)) = grid.chain(drawn).find(|(other, _)| twice(other)) {
                let message = format!("`{path}` is varied by `{section}.{}` already", other.name);
                self.push(&path, &key.span, message, "varied twice", "remove it here or there");
            }
            if let Some(range) = self.range(&path, key, node) {
                ranges.push(Ranged { key: key.clone(), span: node.span.clone(), range });
            }
        }
        ranges
    }

    fn range(&mut self, path: &str, key: &Key, node: &Node) -> Option<Range> {
        let name = &key.name;
        let (kind, inner) = match &node.value {
            Value::Map(entries) if entries.len() == 1 => &entries[0],
            _ => {
                let span = if node.value == Value::Null { &key.span } else { &node.span };
                let help = match &node.value {
                    Value::List(_) => format!("write `{name}: {{choice: {}}}`", node.span.text()),
                    _ => format!(
                        "write `{name}: {{log: [a, b]}}`, or `uniform`, `int` or `choice` in place of \
                         `log`"
                    ),
                };
                let message = format!("`{path}` must be one range, not {}", node.describe());
                self.push(path, span, message, "not a range", help);
                return None;
            }
        };
        if !KINDS.contains(&kind.name.as_str()) {
            let message = format!("`{path}` has no kind of range `{}`", kind.name);
            let inner_key = format!("{name}.{}", kind.name);
            let help = suggest::meant(&kind.name, KINDS).unwrap_or_else(|| match &inner.value {
                Value::Map(_) => format!("write the key with dots: `{inner_key}: {{log: [a, b]}}`"),
                _ => format!("write one of {}", suggest::list(KINDS, "or")),
            });
            self.push(path, &kind.span, message, "unknown kind", help);
            return None;
        }
        if kind.name == "choice" {
            return self.choice(path, name, inner);
        }
        let (low, high) = self.bounds(path, kind, inner)?;
        let refused = match kind.name.as_str() {
            "log" if low.number <= 0.0 => Some((
                &low,
                "numbers above 0 have a logarithm",
                "start above 0, or write `uniform`",
            )),
            "int" if low.number.fract() != 0.0 => Some((&low, "not whole", "write whole numbers")),
            "int" if high.number.fract() != 0.0 => {
                Some((&high, "not whole", "write whole numbers"))
            }
            "int" if low.number < -WHOLE => Some((&low, "too small", "write a larger number")),
            "int" if high.number > WHOLE => Some((&high, "too large", "write a smaller number")),
            _ => None,
        };
        if let Some((bound, label, help)) = refused {
            let message = format!("`{path}` cannot draw `{}` from `{}`", kind.name, bound.number);
            self.push(path, &bound.span.clone(), message, label, help);
            return None;
        }
        let range = match kind.name.as_str() {
            "log" => Range::Log(low, high),
            "uniform" => Range::Uniform(low, high),
            _ => Range::Int(low, high),
        };
        if takes_whole(name) && !range.is_whole() {
            let message = format!("`{name}` takes whole numbers, and `{}` draws others", kind.name);
            let help =
                format!("write `{name}: {{int: [a, b]}}`, or list some: `{{choice: [a, b]}}`");
            self.push(path, &kind.span, message, "draws fractions", help);
            return None;
        }
        Some(range)
    }

    fn choice(&mut self, path: &str, name: &str, node: &Node) -> Option<Range> {
        let Value::List(items) = &node.value else {
            let message = format!("`{path}` must choose from a list, not {}", node.describe());
            let help = format!("write `{name}: {{choice: [a, b]}}`");
            self.push(path, &node.span, message, "not a list", help);
            return None;
        };
        if items.is_empty() {
            let message = format!("`{path}` has nothing to choose from");
            self.push(path, &node.span, message, "empty", "name a value, or remove the key");
            return None;
        }
        for (at, item) in items.iter().enumerate() {
            if items[..at].iter().any(|other| json(other) == json(item)) {
                let message = format!("`{path}` has {} twice", item.describe());
                self.push(path, &item.span, message, "again", "name each value once");
            }
        }
        Some(Range::Choice(items.clone()))
    }

    /// Two numbers, the first below the second.
    fn bounds(&mut self, path: &str, kind: &Key, node: &Node) -> Option<(Bound, Bound)> {
        let number = |node: &Node| {
            let number = match node.value {
                Value::Int(number) => number as f64,
                Value::Float(number) => number,
                _ => return None,
            };
            number.is_finite().then(|| Bound { number, span: node.span.clone() })
        };
        let found = match &node.value {
            Value::List(items) if items.len() == 2 => number(&items[0]).zip(number(&items[1])),
            _ => None,
        };
        let help = format!("write `{}: [a, b]` with numbers, the lower one first", kind.name);
        let Some((low, high)) = found else {
            let message = format!("`{path}` needs two numbers, not {}", node.span.text());
            self.push(path, &node.span, message, "not two numbers", help);
            return None;
        };
        if low.number >= high.number {
            let message = format!("`{path}` starts at {} and ends at {}", low.number, high.number);
            self.push(path, &node.span, message, "does not rise", help);
            return None;
        }
        Some((low, high))
    }
}
