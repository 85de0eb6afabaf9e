//! A YAML value and its place in the text.

use super::source::Span;

/// A value and its location.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// Where it is in its source.
    pub span: Span,
    /// The value at this place.
    pub value: Value,
}

/// A YAML value without its location.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// `null`, `~` or nothing.
    Null,
    /// The value `true` or `false`.
    Bool(bool),
    /// A whole number of up to 128 bits.
    Int(i128),
    /// A number that is not whole.
    Float(f64),
    /// A string, quoted or plain.
    String(String),
    /// A list of located values.
    List(Vec<Node>),
    /// Keys and values in the order of the text.
    Map(Vec<(Key, Node)>),
}

/// A key and its location.
#[derive(Debug, Clone, PartialEq)]
pub struct Key {
    /// The text of the key.
    pub name: String,
    /// Where it is in its source.
    pub span: Span,
}

impl Node {
    /// The value under a key, with the key.
    pub fn get(&self, name: &str) -> Option<(&Key, &Node)> {
        match &self.value {
            Value::Map(entries) => {
                entries.iter().find(|(key, _)| key.name == name).map(|(key, node)| (key, node))
            }
            _ => None,
        }
    }

    /// The value under a dotted path, with its key.
    pub fn find(&self, path: &str) -> Option<(&Key, &Node)> {
        let (first, rest) = path.split_once('.').map_or((path, None), |(a, b)| (a, Some(b)));
        let found = self.get(first)?;
        rest.map_or(Some(found), |rest| found.1.find(rest))
    }

    /// What to call the value in a sentence.
    pub fn describe(&self) -> String {
        let text = || shorten(self.span.text());
        match &self.value {
            Value::Null => "nothing".into(),
            Value::Bool(value) => format!("`{value}`"),
            Value::Int(_) | Value::Float(_) => format!("`{}`", text()),
            // Quotes are what makes `"5"` a string; without them the sentence would be absurd.
            Value::String(_) if text().starts_with(['"', '\'']) => format!("`{}`", text()),
            Value::String(value) => format!("`{}`", shorten(value)),
            Value::List(_) => "a list".into(),
            Value::Map(_) => "a mapping".into(),
        }
    }
}

/// At most forty characters of one line.
pub fn shorten(text: &str) -> String {
    let line = text.lines().next().unwrap_or_default();
    let cut: String = line.chars().take(40).map(|c| if c.is_control() { ' ' } else { c }).collect();
    if cut.len() < text.trim_end().len() { format!("{cut}…") } else { cut }
}
