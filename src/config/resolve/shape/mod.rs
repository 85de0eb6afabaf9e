//! What a pipeline may look like: compiled from the schema of its types.

mod compile;
mod help;
mod read;

use crate::config::text::{node::Value, suggest::list};

pub use compile::shape;
pub use help::plain;
pub use read::read;

/// What a value may be.
#[derive(Debug, Clone, PartialEq)]
pub enum Shape {
    /// A mapping with these keys and no others.
    Map(Vec<Field>),
    /// A list of values of one shape, of a fixed length where one is given.
    List(Box<Shape>, Option<usize>),
    /// A whole number within bounds.
    Int(Bounds),
    /// A number within bounds.
    Float(Bounds),
    /// The value `true` or `false`.
    Bool,
    /// One of a few words.
    Choice(Vec<String>),
    /// Any string; `format` names the reader it must satisfy.
    Text(Option<String>),
    /// A value that is left empty.
    Null,
    /// One of several shapes.
    Any(Vec<Shape>),
}

/// A key of a mapping.
#[derive(Debug, Clone, PartialEq)]
pub struct Field {
    /// The key of this field.
    pub name: String,
    /// What its value may be.
    pub shape: Shape,
    /// Whether it must be written.
    pub required: bool,
}

/// Bounds of a number.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Bounds {
    /// The least value that is allowed.
    pub min: Option<f64>,
    /// The greatest value that is allowed.
    pub max: Option<f64>,
    /// The value must be greater than this.
    pub above: Option<f64>,
    /// The value must be less than this.
    pub below: Option<f64>,
}

impl Shape {
    /// The shape under a dotted path.
    pub fn find(&self, path: &str) -> Option<&Shape> {
        let (first, rest) = path.split_once('.').map_or((path, None), |(a, b)| (a, Some(b)));
        let field = self.fields()?.iter().find(|field| field.name == first)?;
        rest.map_or(Some(&field.shape), |rest| field.shape.find(rest))
    }

    /// The keys, where it can be a mapping.
    pub fn fields(&self) -> Option<&[Field]> {
        match self {
            Self::Map(fields) => Some(fields),
            Self::Any(shapes) => shapes.iter().find_map(Self::fields),
            _ => None,
        }
    }

    /// Whether it can be a mapping or a value of another kind.
    pub fn is_mapping_or_value(&self) -> bool {
        let Self::Any(shapes) = self else { return false };
        let of_value = |shape: &Self| !matches!(shape, Self::Map(_) | Self::Null);
        self.fields().is_some() && shapes.iter().any(of_value)
    }

    /// What is allowed, to follow "must be".
    pub fn describe(&self) -> String {
        match self {
            Self::Map(fields) if fields.is_empty() => "a mapping".into(),
            Self::Map(fields) => {
                let names: Vec<&str> = fields.iter().map(|field| field.name.as_str()).collect();
                match names.as_slice() {
                    ["min", "max"] => "a range `{min: …, max: …}`".into(),
                    [only] => format!("a mapping with the key `{only}`"),
                    _ => format!(
                        "a mapping with keys such as {}",
                        list(names.into_iter().take(3), "and")
                    ),
                }
            }
            Self::List(_, None) => "a list".into(),
            Self::List(item, Some(length)) => {
                let item = item.describe();
                let item = item.strip_prefix("a ").unwrap_or(&item);
                format!("a list of {length} values, each a {item}")
            }
            Self::Int(Bounds { min: Some(min), max: Some(max), .. }) if min == max => {
                format!("`{}`", number(*min))
            }
            Self::Int(bounds) => format!("a whole number{}", bounds.describe()),
            Self::Float(bounds) => format!("a number{}", bounds.describe()),
            Self::Bool => "`true` or `false`".into(),
            Self::Choice(words) => list(words.iter().map(String::as_str), "or"),
            Self::Text(Some(format)) if format == "device" => {
                "`auto`, `cpu`, `cuda` or `cuda:N`".into()
            }
            Self::Text(Some(format)) if format == "byte-size" => {
                "an amount of memory such as `8GiB` or `500 MB`".into()
            }
            Self::Text(Some(format)) if format == "path" => "a path".into(),
            Self::Text(Some(format)) if format == "name" => "a name for a folder".into(),
            Self::Text(_) => "a string".into(),
            Self::Null => "nothing".into(),
            Self::Any(shapes) => {
                let words: Vec<String> = shapes
                    .iter()
                    .filter(|shape| **shape != Self::Null)
                    .map(Self::describe)
                    .collect();
                words.join(" or ")
            }
        }
    }

    /// Whether it admits a value of this kind, whatever its size or words.
    fn admits_kind_of(&self, value: &Value) -> bool {
        match self {
            Self::Any(shapes) => shapes.iter().any(|shape| shape.admits_kind_of(value)),
            Self::Map(_) => matches!(value, Value::Map(_)),
            Self::List(..) => matches!(value, Value::List(_)),
            Self::Int(_) | Self::Float(_) => matches!(value, Value::Int(_) | Value::Float(_)),
            Self::Bool => matches!(value, Value::Bool(_)),
            Self::Choice(_) | Self::Text(_) => matches!(value, Value::String(_)),
            Self::Null => matches!(value, Value::Null),
        }
    }
}

impl Bounds {
    fn admit(&self, value: f64) -> bool {
        self.min.is_none_or(|min| value >= min)
            && self.max.is_none_or(|max| value <= max)
            && self.above.is_none_or(|above| value > above)
            && self.below.is_none_or(|below| value < below)
    }

    /// The range, to follow "a number".
    pub fn describe(&self) -> String {
        let high = match (self.max, self.below) {
            (Some(max), _) => Some(format!("up to {}", number(max))),
            (None, Some(below)) => Some(format!("below {}", number(below))),
            (None, None) => None,
        };
        match (self.min, self.above, self.max, high) {
            (Some(min), _, Some(max), _) => format!(" from {} to {}", number(min), number(max)),
            (Some(min), _, None, None) => format!(" of {} or more", number(min)),
            (Some(min), _, None, Some(high)) => format!(" from {} to {high}", number(min)),
            (None, Some(above), _, None) => format!(" above {}", number(above)),
            (None, Some(above), _, Some(high)) => format!(" above {} and {high}", number(above)),
            (None, None, _, Some(high)) => format!(" {high}"),
            (None, None, _, None) => String::new(),
        }
    }

    /// The bound that a number breaks.
    fn broken(&self, value: f64) -> Option<String> {
        let at_least = self.min.filter(|&min| value < min).map(|min| ("at least", min));
        let above = self.above.filter(|&above| value <= above).map(|above| ("above", above));
        let at_most = self.max.filter(|&max| value > max).map(|max| ("at most", max));
        let below = self.below.filter(|&below| value >= below).map(|below| ("below", below));
        let (words, bound) = at_least.or(above).or(at_most).or(below)?;
        Some(format!("{words} {}", number(bound)))
    }
}

/// A bound without a tail of zeros.
fn number(value: f64) -> String {
    let is_readable = value == 0.0 || (1e-6..1e9).contains(&value.abs());
    if is_readable { format!("{value}") } else { format!("{value:e}") }
}

/// A dotted path and a key below it.
pub fn join(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}
