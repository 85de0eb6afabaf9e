//! What the checks of an element look at, and what they find.

use super::rule::Rule;

/// A broken rule of a pipeline whose values are right one by one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The rule that is broken.
    pub rule: Rule,
    /// The key that breaks it.
    pub key: String,
    /// The key whose location is marked, if it is a different one.
    pub at: Option<String>,
    /// What is wrong, with the user's own key and value.
    pub message: String,
    /// What stands under the marked text, where its origin says too little.
    pub label: Option<&'static str>,
    /// What to do next.
    pub help: String,
}

impl Finding {
    /// A finding at a key.
    pub fn new(
        rule: Rule,
        key: impl Into<String>,
        message: impl Into<String>,
        help: impl Into<String>,
    ) -> Self {
        let (key, message, help) = (key.into(), message.into(), help.into());
        Self { rule, key, at: None, message, label: None, help }
    }

    /// Sets what stands under the marked text.
    #[must_use]
    pub fn label(mut self, label: &'static str) -> Self {
        self.label = Some(label);
        self
    }

    /// Marks the place of another key.
    #[must_use]
    pub fn at(mut self, key: impl Into<String>) -> Self {
        self.at = Some(key.into());
        self
    }
}

/// One pass of checks over a pipeline.
pub struct Checks<'a> {
    is_written: &'a dyn Fn(&str) -> bool,
    found: Vec<Finding>,
}

impl<'a> Checks<'a> {
    pub(super) fn new(is_written: &'a dyn Fn(&str) -> bool) -> Self {
        Self { is_written, found: Vec::new() }
    }

    /// Whether a key is written, rather than left to its default.
    pub fn is_written(&self, key: &str) -> bool {
        (self.is_written)(key)
    }

    /// Adds a finding to those found so far.
    pub fn push(&mut self, finding: Finding) {
        self.found.push(finding);
    }

    pub(super) fn into_findings(self) -> Vec<Finding> {
        self.found
    }
}

/// A choice as it is written in YAML.
pub fn word(choice: &impl serde::Serialize) -> String {
    let value = serde_json::to_value(choice).ok();
    value.and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
}
