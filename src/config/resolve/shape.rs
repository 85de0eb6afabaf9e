//! Tree against schema: every key and value that cannot be right, at once.
//!
//! serde stops at the first error, so the tree is first read by the schema that the same types
//! generate. What passes is handed to serde, which then has nothing left to say; and what fails
//! here fails in an editor and in any schema checker too, by construction.

use std::sync::LazyLock;

use serde_json::{Map, Number, Value as Json};

use crate::config::{
    resolve::schema::schema,
    text::{
        diagnostic::{Diagnostic, DiagnosticKind},
        source::Span,
        suggest,
        tree::{Node, Value, shorten},
    },
};

/// What a value may be.
#[derive(Debug, Clone, PartialEq)]
pub enum Shape {
    /// A mapping with these keys and no others.
    Map(Vec<Field>),
    /// A list.
    List(Box<Shape>),
    /// A whole number within bounds.
    Int(Bounds),
    /// A number within bounds.
    Float(Bounds),
    /// `true` or `false`.
    Bool,
    /// One of a few words.
    Choice(Vec<String>),
    /// Any string; `format` names the reader it must satisfy.
    Text(Option<String>),
    /// Nothing.
    Null,
    /// One of several shapes.
    Any(Vec<Shape>),
}

/// A key of a mapping.
#[derive(Debug, Clone, PartialEq)]
pub struct Field {
    /// Its name.
    pub name: String,
    /// What its value may be.
    pub shape: Shape,
    /// Whether it must be written.
    pub required: bool,
}

/// Bounds of a number.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Bounds {
    /// Least value.
    pub min: Option<f64>,
    /// Greatest value.
    pub max: Option<f64>,
    /// The value must be greater than this.
    pub above: Option<f64>,
    /// The value must be less than this.
    pub below: Option<f64>,
}

/// The shape of a pipeline.
pub fn shape() -> &'static Shape {
    static SHAPE: LazyLock<Shape> = LazyLock::new(|| compile(schema()));
    &SHAPE
}

/// Reads the tree; what is wrong goes to `diagnostics`, and `None` says that something was.
pub fn read(node: &Node, diagnostics: &mut Vec<Diagnostic>) -> Option<Json> {
    let before = diagnostics.len();
    let mut reader = Reader { diagnostics };
    let json = reader.read(shape(), node, "", &node.span);
    (diagnostics.len() == before).then_some(json)
}

/// The values of a tree that may be a part of a pipeline only; what is wrong in it is null.
pub fn values(node: &Node) -> Json {
    Reader { diagnostics: &mut Vec::new() }.read(shape(), node, "", &node.span)
}

fn compile(schema: &Json) -> Shape {
    if let Some(Json::Array(choices)) = schema.get("enum") {
        return Shape::Choice(choices.iter().filter_map(Json::as_str).map(Into::into).collect());
    }
    if let Some(Json::String(only)) = schema.get("const") {
        return Shape::Choice(vec![only.clone()]);
    }
    for of in ["anyOf", "oneOf"] {
        if let Some(Json::Array(shapes)) = schema.get(of) {
            return Shape::Any(shapes.iter().map(compile).collect());
        }
    }
    if let Some(Json::Array(types)) = schema.get("type") {
        let alone = |kind: &Json| {
            let mut schema = schema.clone();
            schema["type"] = kind.clone();
            compile(&schema)
        };
        return Shape::Any(types.iter().map(alone).collect());
    }
    let number = |key: &str| schema.get(key).and_then(Json::as_f64);
    let bounds = Bounds {
        min: number("minimum"),
        max: number("maximum"),
        above: number("exclusiveMinimum"),
        below: number("exclusiveMaximum"),
    };
    match schema.get("type").and_then(Json::as_str) {
        // Conditions (`if`, `then`) are rules over several keys; `check` words them better.
        Some("object") => Shape::Map(compile_fields(schema)),
        Some("array") => Shape::List(Box::new(compile(&schema["items"]))),
        Some("integer") => Shape::Int(bounds),
        Some("number") => Shape::Float(bounds),
        Some("boolean") => Shape::Bool,
        Some("null") => Shape::Null,
        _ => Shape::Text(schema.get("format").and_then(Json::as_str).map(Into::into)),
    }
}

fn compile_fields(schema: &Json) -> Vec<Field> {
    let Some(Json::Object(properties)) = schema.get("properties") else { return Vec::new() };
    let required = schema.get("required").and_then(Json::as_array);
    properties
        .iter()
        .map(|(name, schema)| Field {
            name: name.clone(),
            shape: compile(schema),
            required: required.is_some_and(|keys| keys.iter().any(|key| key == name)),
        })
        .collect()
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

    /// What is allowed, to follow "must be".
    pub fn describe(&self) -> String {
        match self {
            Self::Map(fields) if fields.is_empty() => "a mapping".into(),
            Self::Map(fields) => {
                let names: Vec<&str> = fields.iter().map(|field| field.name.as_str()).collect();
                match names.as_slice() {
                    [only] => format!("a mapping with the key `{only}`"),
                    _ => format!(
                        "a mapping with keys such as {}",
                        suggest::list(names.into_iter().take(3), "and")
                    ),
                }
            }
            Self::List(_) => "a list".into(),
            Self::Int(Bounds { min: Some(min), max: Some(max), .. }) if min == max => {
                format!("`{}`", number(*min))
            }
            Self::Int(bounds) => format!("a whole number{}", bounds.describe()),
            Self::Float(bounds) => format!("a number{}", bounds.describe()),
            Self::Bool => "`true` or `false`".into(),
            Self::Choice(words) => suggest::list(words.iter().map(String::as_str), "or"),
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

    fn admits_kind_of(&self, value: &Value) -> bool {
        match self {
            Self::Any(shapes) => shapes.iter().any(|shape| shape.admits_kind_of(value)),
            Self::Map(_) => matches!(value, Value::Map(_)),
            Self::List(_) => matches!(value, Value::List(_)),
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
    if value.abs() < 1e9 { format!("{value}") } else { format!("{value:e}") }
}

struct Reader<'a> {
    diagnostics: &'a mut Vec<Diagnostic>,
}

impl Reader<'_> {
    fn read(&mut self, shape: &Shape, node: &Node, path: &str, key: &Span) -> Json {
        match (shape, &node.value) {
            (Shape::Any(shapes), _) => return self.read_any(shape, shapes, node, path, key),
            (Shape::Map(fields), Value::Map(_)) => return self.read_map(fields, node, path, key),
            (Shape::List(item), Value::List(nodes)) => {
                return nodes
                    .iter()
                    .enumerate()
                    .map(|(index, node)| {
                        self.read(item, node, &join(path, &index.to_string()), &node.span)
                    })
                    .collect();
            }
            (Shape::Bool, Value::Bool(value)) => return (*value).into(),
            (Shape::Null, Value::Null) => return Json::Null,
            (Shape::Choice(words), Value::String(text)) if words.contains(text) => {
                return text.clone().into();
            }
            (Shape::Int(bounds), Value::Int(value)) if bounds.admit(*value as f64) => {
                if let Some(number) = Number::from_i128(*value) {
                    return number.into();
                }
            }
            // `2e2` is as whole a number as `200`, to YAML and to JSON schema alike.
            (Shape::Int(bounds), Value::Float(value))
                if value.fract() == 0.0 && value.abs() < 1e15 && bounds.admit(*value) =>
            {
                return (*value as i64).into();
            }
            (Shape::Float(bounds), Value::Int(value)) if bounds.admit(*value as f64) => {
                return (*value as f64).into();
            }
            (Shape::Float(bounds), Value::Float(value))
                if value.is_finite() && bounds.admit(*value) =>
            {
                return (*value).into();
            }
            (Shape::Text(format), Value::String(text)) => {
                match check_text(format.as_deref(), text) {
                    Ok(()) => return text.clone().into(),
                    Err(help) => {
                        self.push(
                            self.value_diagnostic(shape, node, path, key)
                                .help(help.or_else(|| value_help(shape, node, path))),
                        );
                        return Json::Null;
                    }
                }
            }
            // A shell has no quotes left to say that a number or a boolean is meant as text.
            (Shape::Text(format), Value::Int(_) | Value::Float(_) | Value::Bool(_))
                if node.span.source.is_shell() =>
            {
                let text = node.span.text();
                match check_text(format.as_deref(), text) {
                    Ok(()) => return text.into(),
                    Err(help) => {
                        let diagnostic = self.value_diagnostic(shape, node, path, key);
                        self.push(diagnostic.help(help.or_else(|| value_help(shape, node, path))));
                        return Json::Null;
                    }
                }
            }
            _ => {}
        }
        let diagnostic =
            self.value_diagnostic(shape, node, path, key).help(value_help(shape, node, path));
        self.push(diagnostic);
        Json::Null
    }

    fn read_map(&mut self, fields: &[Field], node: &Node, path: &str, at: &Span) -> Json {
        let Value::Map(entries) = &node.value else { return Json::Null };
        let mut json = Map::new();
        for (key, value) in entries {
            let path = join(path, &key.name);
            match fields.iter().find(|field| field.name == key.name) {
                Some(field) => {
                    let value = self.read(&field.shape, value, &path, &key.span);
                    json.insert(key.name.clone(), value);
                }
                None => self.unknown(fields, entries, key, &path),
            }
        }
        let missing =
            fields.iter().filter(|field| field.required && !json.contains_key(&field.name));
        for field in missing {
            // A misspelt key is reported as such, not also as missing.
            let misspelt = entries.iter().any(|(key, _)| {
                suggest::closest(&key.name, [field.name.as_str()]).is_some()
                    && !fields.iter().any(|known| known.name == key.name)
            });
            if !misspelt {
                self.missing(field, path, at);
            }
        }
        Json::Object(json)
    }

    fn missing(&mut self, field: &Field, path: &str, at: &Span) {
        let full = join(path, &field.name);
        let message = match path {
            "" => format!("the key `{}` is missing", field.name),
            _ => format!("`{path}` lacks the key `{}`", field.name),
        };
        let at = match path {
            "" => Span::new(&at.source, at.bytes.start..at.bytes.start),
            _ => at.clone(),
        };
        let example = match &field.shape {
            Shape::Map(fields) if fields.iter().any(|field| field.required) => {
                let inner = fields
                    .iter()
                    .filter(|field| field.required)
                    .map(|field| format!("{}: {}", field.name, example(&field.shape)));
                format!("add `{}: {{{}}}`", field.name, inner.collect::<Vec<_>>().join(", "))
            }
            shape => format!("add `{}:` with {}", field.name, shape.describe()),
        };
        self.push(
            Diagnostic::new(DiagnosticKind::MissingKey, full, Some(at), message)
                .label(format!("`{}` belongs here", field.name))
                .help(example),
        );
    }

    fn unknown(
        &mut self,
        fields: &[Field],
        entries: &[(crate::config::text::tree::Key, Node)],
        key: &crate::config::text::tree::Key,
        path: &str,
    ) {
        let parent = path.rsplit_once('.').map_or("", |(parent, _)| parent);
        let place = if parent.is_empty() { "a pipeline".into() } else { format!("`{parent}`") };
        let free = fields
            .iter()
            .map(|field| field.name.as_str())
            .filter(|name| !entries.iter().any(|(other, _)| other.name == *name));
        let help = if let Some(meant) = suggest::meant(&key.name, free) {
            meant
        } else if let Some(home) = home_of(&key.name, parent) {
            format!("`{}` belongs under `{home}`", key.name)
        } else {
            let names = fields.iter().map(|field| field.name.as_str());
            format!("{place} has {}", suggest::list(names, "and"))
        };
        self.push(
            Diagnostic::new(
                DiagnosticKind::UnknownKey,
                path,
                Some(key.span.clone()),
                format!("{place} has no key `{}`", shorten(&key.name)),
            )
            .label("unknown key")
            .help(help),
        );
    }

    fn read_any(
        &mut self,
        shape: &Shape,
        shapes: &[Shape],
        node: &Node,
        path: &str,
        key: &Span,
    ) -> Json {
        let mut attempts = Vec::new();
        for alternative in shapes {
            let mut diagnostics = Vec::new();
            let json = Reader { diagnostics: &mut diagnostics }.read(alternative, node, path, key);
            if diagnostics.is_empty() {
                return json;
            }
            if alternative.admits_kind_of(&node.value) {
                attempts.push(diagnostics);
            }
        }
        // One alternative of the right kind knows best what is wrong inside a mapping or a list.
        if let (Value::Map(_) | Value::List(_), Some(diagnostics)) = (&node.value, attempts.pop()) {
            self.diagnostics.extend(diagnostics);
        } else {
            let diagnostic =
                self.value_diagnostic(shape, node, path, key).help(value_help(shape, node, path));
            self.push(diagnostic);
        }
        Json::Null
    }

    fn value_diagnostic(&self, shape: &Shape, node: &Node, path: &str, key: &Span) -> Diagnostic {
        let mut allowed = shape.describe();
        let number = match node.value {
            Value::Int(value) => Some(value as f64),
            Value::Float(value) => Some(value),
            _ => None,
        };
        // Of a number's whole range only the end that it misses is of interest.
        match (shape, number) {
            (Shape::Int(bounds), Some(value)) if value.fract() == 0.0 => {
                allowed = bounds.broken(value).unwrap_or(allowed);
            }
            (Shape::Int(_), _) => allowed = "a whole number".into(),
            (Shape::Float(bounds), Some(value)) => {
                allowed = bounds.broken(value).unwrap_or_else(|| "a finite number".into());
            }
            (Shape::Float(_), _) => allowed = "a number".into(),
            _ => {}
        }
        let name = if path.is_empty() { "a pipeline".to_owned() } else { format!("`{path}`") };
        if node.value == Value::Null {
            // Nothing is hard to point at: mark the key.
            return Diagnostic::new(
                DiagnosticKind::Value,
                path,
                Some(key.clone()),
                if path.is_empty() {
                    "the pipeline is empty".into()
                } else {
                    format!("{name} has no value")
                },
            )
            .label(if path.is_empty() {
                "nothing here".into()
            } else {
                format!("expected {allowed}")
            });
        }
        Diagnostic::new(
            DiagnosticKind::Value,
            path,
            Some(node.span.clone()),
            format!("{name} must be {allowed}, not {}", node.describe()),
        )
        .label(kind_of(shape, node))
    }

    fn push(&mut self, diagnostic: Diagnostic) {
        self.diagnostics.push(diagnostic);
    }
}

/// What the marked text is.
fn kind_of(shape: &Shape, node: &Node) -> String {
    let numeric = shape.admits_kind_of(&Value::Int(0));
    match &node.value {
        Value::Float(value) if value.fract() != 0.0 && matches!(shape, Shape::Int(_)) => {
            "not whole".into()
        }
        Value::Int(_) | Value::Float(_) if numeric => "out of range".into(),
        Value::String(text) if text.is_empty() => "empty".into(),
        Value::String(_) if !words(shape).is_empty() => "not one of these".into(),
        Value::String(_) if shape.admits_kind_of(&node.value) => "not allowed".into(),
        Value::Null => "no value".into(),
        Value::Bool(_) => "a boolean".into(),
        Value::Int(_) | Value::Float(_) => "a number".into(),
        Value::String(_) => "a string".into(),
        Value::List(_) => "a list".into(),
        Value::Map(_) => "a mapping".into(),
    }
}

/// The next action for a value that does not fit.
fn value_help(shape: &Shape, node: &Node, path: &str) -> Option<String> {
    let choices = words(shape);
    match &node.value {
        Value::Null => {
            return Some(match shape {
                Shape::Map(_) if path.is_empty() => START.into(),
                Shape::Map(_) => "give it keys, or remove it to take the defaults".into(),
                _ => format!("write {}, or remove the key", shape.describe()),
            });
        }
        Value::Float(value) if value.fract() != 0.0 && matches!(shape, Shape::Int(_)) => {
            return Some(format!("write {} or {}", value.floor(), value.ceil()));
        }
        Value::String(text) => {
            if let Some(meant) = suggest::meant(text, choices.iter().copied()) {
                return Some(meant);
            }
            if *shape == Shape::Bool {
                return Some(match text.to_lowercase().as_str() {
                    "yes" | "on" | "y" => "write `true`; YAML 1.2 reads this as a word".into(),
                    "no" | "off" | "n" => "write `false`; YAML 1.2 reads this as a word".into(),
                    _ => "write `true` or `false`".into(),
                });
            }
            if shape.admits_kind_of(&Value::Int(0)) {
                if let Ok(number) = text.trim().replace(['_', ','], "").parse::<f64>() {
                    return Some(format!("write it without quotes and separators: `{number}`"));
                }
                let digits = text.trim().trim_end_matches(|c: char| c.is_alphabetic() || c == ' ');
                if digits != text.trim() && digits.parse::<f64>().is_ok() {
                    return Some(format!("write the number without a unit: `{digits}`"));
                }
            }
            // `backbone: conv4s`: the word says which, and the key that takes it is missing.
            let takes = |field: &&Field| words(&field.shape).contains(&text.as_str());
            if let Some(field) = shape.fields().into_iter().flatten().find(takes) {
                return Some(format!("write `{{{}: {text}}}`", field.name));
            }
            if let (Shape::Map(fields), Some((key, value))) = (shape, text.split_once(':'))
                && fields.iter().any(|field| field.name == key)
            {
                return Some(format!("write a space after the colon: `{key}: {value}`"));
            }
        }
        Value::Bool(value) => {
            let word = if *value { ["on", "true"] } else { ["off", "none"] };
            if let Some(word) = word.iter().find(|word| choices.contains(word)) {
                return Some(format!("write `{word}`"));
            }
            if matches!(shape, Shape::Text(_)) {
                return Some(format!("quote it: `\"{value}\"`"));
            }
        }
        Value::Int(_) | Value::Float(_) if matches!(shape, Shape::Text(Some(format)) if format == "byte-size") => {
            if let Some(help) = crate::config::pipeline::ByteSize::slip(node.span.text()) {
                return Some(help);
            }
        }
        Value::Int(_) | Value::Float(_) if matches!(shape, Shape::Text(_)) => {
            return Some(format!("quote it: `\"{}\"`", node.span.text()));
        }
        Value::List(items) => {
            if let [only] = items.as_slice()
                && shape.admits_kind_of(&only.value)
            {
                return Some("write the one value without a dash or brackets".into());
            }
        }
        _ => {}
    }
    match shape {
        Shape::Map(_) if path.is_empty() => Some(START.into()),
        Shape::Map(_) => Some("write its keys below it, indented".into()),
        // The message has listed them already; what they mean helps more than the list again.
        Shape::Choice(words) if words.len() > 4 => {
            Some(format!("`fsct explain {path}` tells them apart"))
        }
        shape => {
            let default = crate::config::resolve::schema::property(path)
                .and_then(|schema| schema.get("default"));
            let default = default.filter(|default| !default.is_object() && !default.is_null());
            let default = default.map(|default| format!("; the default is `{}`", plain(default)));
            Some(format!("write {}{}", shape.describe(), default.unwrap_or_default()))
        }
    }
}

/// What to do with a file that is no mapping.
const START: &str =
    "write at least `data`, `backbone` and `method`; `fsct init` writes a starter pipeline";

/// A default as it would be written.
pub fn plain(value: &Json) -> String {
    match value {
        Json::String(text) => text.clone(),
        Json::Number(number) => match number.as_f64().filter(|_| number.is_f64()) {
            Some(float) if float != 0.0 && float.abs() < 1e-2 => format!("{float:e}"),
            Some(float) => format!("{float}"),
            None => number.to_string(),
        },
        other => other.to_string(),
    }
}

fn words(shape: &Shape) -> Vec<&str> {
    match shape {
        Shape::Choice(words) => words.iter().map(String::as_str).collect(),
        Shape::Any(shapes) => shapes.iter().flat_map(words).collect(),
        _ => Vec::new(),
    }
}

fn check_text(format: Option<&str>, text: &str) -> Result<(), Option<String>> {
    match format {
        Some("device") => {
            text.parse::<crate::config::pipeline::DeviceSpec>().map(drop).map_err(|_| {
                let gpu =
                    ["gpu", "nvidia", "cuda"].iter().any(|word| text.to_lowercase().contains(word));
                if gpu {
                    return Some("write `cuda`, or `cuda:N` for GPU number N".into());
                }
                suggest::meant(text, ["auto", "cpu", "cuda"])
            })
        }
        Some("byte-size") => text
            .parse::<crate::config::pipeline::ByteSize>()
            .map(drop)
            .map_err(|_| crate::config::pipeline::ByteSize::slip(text)),
        Some("name") => {
            let mut chars = text.chars();
            let first = chars.next().is_some_and(|c| !c.is_whitespace() && !"./\\:".contains(c));
            let rest = chars.clone().count() < 100 && chars.all(|c| !"/\\:\r\n\t".contains(c));
            let help =
                "use up to 100 characters without `/`, `\\` and `:`, and no leading dot or space";
            if first && rest { Ok(()) } else { Err(Some(help.into())) }
        }
        Some("path") if text.is_empty() => Err(Some("write a path, or remove the key".into())),
        _ => Ok(()),
    }
}

fn example(shape: &Shape) -> String {
    match shape {
        Shape::Choice(words) => words.first().cloned().unwrap_or_default(),
        _ => "…".into(),
    }
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

/// The one mapping elsewhere that has a key of this name.
fn home_of(name: &str, not: &str) -> Option<String> {
    fn visit(shape: &Shape, path: &str, name: &str, found: &mut Vec<String>) {
        for field in shape.fields().unwrap_or_default() {
            if field.name == name {
                found.push(path.to_owned());
            }
            visit(&field.shape, &join(path, &field.name), name, found);
        }
    }
    let mut found = Vec::new();
    visit(shape(), "", name, &mut found);
    found.retain(|path| path != not);
    match found.as_slice() {
        [only] if !only.is_empty() => Some(only.clone()),
        [only] if only.is_empty() => None,
        _ => None,
    }
}
