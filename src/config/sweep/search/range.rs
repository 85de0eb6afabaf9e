//! A key with the range that its values are drawn from.

use crate::config::{
    resolve::schema::property,
    text::{
        node::{Key, Node, Value},
        source::Span,
    },
};

/// A key with the range that its values are drawn from.
#[derive(Debug, Clone)]
pub struct Ranged {
    /// The dotted key and its place.
    pub key: Key,
    /// The place of the whole range.
    pub span: Span,
    /// What is drawn from.
    pub range: Range,
}

/// What a value is drawn from.
#[derive(Debug, Clone)]
pub enum Range {
    /// Numbers whose logarithm is uniform.
    Log(Bound, Bound),
    /// Numbers between two others.
    Uniform(Bound, Bound),
    /// Whole numbers, both ends included.
    Int(Bound, Bound),
    /// Any of these values.
    Choice(Vec<Node>),
}

/// An end of a range.
#[derive(Debug, Clone)]
pub struct Bound {
    /// The number as it is used.
    pub number: f64,
    /// Its place in the sweep file.
    pub span: Span,
}

impl Range {
    /// The values at the ends of the range, or all that can be chosen: what a key must allow.
    pub fn ends(&self) -> Vec<Node> {
        match self {
            Self::Log(low, high) | Self::Uniform(low, high) => {
                [low, high].map(|end| number(end.number, &end.span)).into()
            }
            Self::Int(low, high) => [low, high].map(|end| whole(end.number, &end.span)).into(),
            Self::Choice(values) => values.clone(),
        }
    }

    /// Whether the values are whole numbers, or can be.
    pub fn is_whole(&self) -> bool {
        matches!(self, Self::Int(..) | Self::Choice(_))
    }
}

/// A number as a value of the sweep file.
pub fn number(number: f64, span: &Span) -> Node {
    Node { span: span.clone(), value: Value::Float(number) }
}

/// A whole number as a value of the sweep file.
pub fn whole(number: f64, span: &Span) -> Node {
    Node { span: span.clone(), value: Value::Int(number as i128) }
}

/// Whether a key of the pipeline takes whole numbers and no others.
pub fn takes_whole(key: &str) -> bool {
    let types = |schema: &serde_json::Value| -> Vec<String> {
        let names = match &schema["type"] {
            serde_json::Value::Array(names) => names.clone(),
            name => vec![name.clone()],
        };
        names.iter().filter_map(|name| name.as_str()).map(str::to_owned).collect()
    };
    let Some(schema) = property(key) else { return false };
    let alternatives = schema["anyOf"].as_array().into_iter().flatten();
    let all: Vec<String> = std::iter::once(schema).chain(alternatives).flat_map(types).collect();
    all.iter().any(|name| name == "integer") && !all.iter().any(|name| name == "number")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_that_take_whole_numbers_are_known() {
        assert!(takes_whole("episode.k_shot") && takes_whole("method.heads"));
        assert!(!takes_whole("optimizer.learning_rate") && !takes_whole("method.kind"));
        assert!(!takes_whole("nothing"));
    }
}
