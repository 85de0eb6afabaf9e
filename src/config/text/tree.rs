//! YAML text → a tree in which every key and value knows where it stands.
//!
//! Built from parser events rather than through serde, for three reasons. Every diagnostic wants a place
//! in the text, and serde keeps none. Values from the environment and `--set` are texts too, and
//! want the same diagnostics. And limits on depth, size and alias expansion have to act while the
//! tree grows, or a file of a few hundred bytes can fill the memory.
//!
//! Scalars are resolved by the YAML 1.2 core schema, as editors do: `off` is a string, `1e-3` a
//! number.

use std::{collections::HashMap, sync::Arc};

use saphyr_parser::{Event, Parser, ScalarStyle, ScanError, StrInput, Tag};

use super::{
    diagnostic::{Diagnostic, DiagnosticKind},
    source::{Source, Span},
};

/// Largest text in bytes; the largest shipped pipeline has two thousand.
pub const MAX_BYTES: usize = 1 << 20;
/// Deepest nesting; a pipeline needs four.
const MAX_DEPTH: usize = 32;
/// Most values, aliases expanded.
const MAX_NODES: usize = 20_000;

/// A value and where it stands.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// Where it stands.
    pub span: Span,
    /// What it is.
    pub value: Value,
}

/// A YAML value.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// `null`, `~` or nothing.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A whole number.
    Int(i128),
    /// Any other number.
    Float(f64),
    /// A string.
    String(String),
    /// A list.
    List(Vec<Node>),
    /// Keys and values in the order of the text.
    Map(Vec<(Key, Node)>),
}

/// A key and where it stands.
#[derive(Debug, Clone, PartialEq)]
pub struct Key {
    /// Its text.
    pub name: String,
    /// Where it stands.
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

    /// Lays `other` over this one: mappings merge, anything else is replaced.
    pub fn overlay(&mut self, other: Node) {
        match (&mut self.value, other.value) {
            (Value::Map(entries), Value::Map(others)) => {
                for (key, node) in others {
                    match entries.iter_mut().find(|(own, _)| own.name == key.name) {
                        None => entries.push((key, node)),
                        Some((own, value)) => {
                            if !matches!(node.value, Value::Map(_)) {
                                *own = key;
                            }
                            value.overlay(node);
                        }
                    }
                }
            }
            (_, value) => *self = Node { span: other.span, value },
        }
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

/// Parses the bytes of `source` from `from` on; places count in the whole text.
///
/// An empty text is `Value::Null`. Duplicate keys are reported in `diagnostics` and the first one is
/// kept; what cannot be understood as YAML is the error.
pub fn parse(
    source: &Arc<Source>,
    from: usize,
    diagnostics: &mut Vec<Diagnostic>,
) -> Result<Node, Diagnostic> {
    let text = &source.text[from..];
    if text.len() > MAX_BYTES {
        return Err(too_large(source));
    }
    if let Some(at) = text.find(unprintable) {
        let found = text[at..].chars().next().unwrap_or_default();
        return Err(Diagnostic::new(
            DiagnosticKind::Encoding,
            "",
            Some(Span::new(source, from + at..from + at + found.len_utf8())),
            format!("the text holds the control character U+{:04X}", found as u32),
        )
        .label("here")
        .help("delete it; a pipeline is plain UTF-8 text".to_owned()));
    }
    let mut builder = Builder {
        source,
        from,
        offsets: Offsets::new(text),
        anchors: HashMap::new(),
        nodes: 0,
        path: Vec::new(),
        diagnostics,
        parser: Parser::new_from_str(text),
    };
    builder.document()
}

pub fn too_large(source: &Arc<Source>) -> Diagnostic {
    Diagnostic::new(
        DiagnosticKind::Limit,
        "",
        Some(Span::new(source, 0..0)),
        format!("the text is larger than {} MiB", MAX_BYTES >> 20),
    )
    .label("far more than a pipeline has")
    .help("check that this is a pipeline file".to_owned())
}

fn unprintable(c: char) -> bool {
    (c.is_control() && !matches!(c, '\t' | '\n' | '\r' | '\u{85}')) || c == '\u{feff}'
}

/// Characters → bytes; the parser counts characters.
enum Offsets {
    Ascii,
    Table(Vec<u32>),
}

impl Offsets {
    fn new(text: &str) -> Self {
        if text.is_ascii() {
            return Self::Ascii;
        }
        let bytes = text.char_indices().map(|(byte, _)| byte as u32);
        Self::Table(bytes.chain([text.len() as u32]).collect())
    }

    fn byte(&self, index: usize) -> usize {
        match self {
            Self::Ascii => index,
            Self::Table(bytes) => {
                bytes.get(index).or(bytes.last()).map_or(0, |&byte| byte as usize)
            }
        }
    }
}

struct Builder<'a> {
    source: &'a Arc<Source>,
    from: usize,
    offsets: Offsets,
    anchors: HashMap<usize, Node>,
    nodes: usize,
    path: Vec<String>,
    diagnostics: &'a mut Vec<Diagnostic>,
    parser: Parser<'a, StrInput<'a>>,
}

impl<'a> Builder<'a> {
    fn document(&mut self) -> Result<Node, Diagnostic> {
        let mut root = None;
        loop {
            let (event, span) = self.next()?;
            match event {
                Event::StreamStart | Event::DocumentEnd | Event::Nothing => {}
                Event::DocumentStart(_) if root.is_some() => {
                    return Err(self
                        .syntax(span, "a pipeline file holds one document")
                        .label("a second one starts here")
                        .help("put each pipeline into a file of its own".to_owned()));
                }
                Event::DocumentStart(_) => {}
                Event::StreamEnd => {
                    let end = Span::new(self.source, self.from..self.from);
                    return Ok(root.unwrap_or(Node { span: end, value: Value::Null }));
                }
                event => root = Some(self.node(event, span, 0)?),
            }
        }
    }

    fn next(&mut self) -> Result<(Event<'a>, Span), Diagnostic> {
        match self.parser.next_event() {
            Some(Ok((event, span))) => {
                let bytes = self.byte(span.start.index())..self.byte(span.end.index());
                Ok((event, Span::new(self.source, bytes)))
            }
            Some(Err(error)) => Err(self.scan_error(&error)),
            None => {
                let end = self.source.text.len();
                Err(self.syntax(Span::new(self.source, end..end), "the text ends too early"))
            }
        }
    }

    fn byte(&self, index: usize) -> usize {
        self.from + self.offsets.byte(index)
    }

    fn node(&mut self, event: Event<'a>, span: Span, depth: usize) -> Result<Node, Diagnostic> {
        self.count(1, &span)?;
        if depth > MAX_DEPTH {
            return Err(Diagnostic::new(
                DiagnosticKind::Limit,
                "",
                Some(span),
                format!("the text is nested more than {MAX_DEPTH} levels deep"),
            )
            .label("this level is one too many")
            .help("a pipeline needs four; check brackets and indentation".to_owned()));
        }
        let (anchor, node) = match event {
            Event::Alias(id) => {
                let Some(node) = self.anchors.get(&id).cloned() else {
                    return Err(self
                        .syntax(span, "an alias refers to itself")
                        .label("inside its own anchor")
                        .help("write the value out".to_owned()));
                };
                self.count(size(&node), &span)?;
                (0, node)
            }
            Event::Scalar(text, style, anchor, tag) => {
                let value = self.scalar(&text, style, tag.as_deref(), &span)?;
                (anchor, Node { span, value })
            }
            Event::SequenceStart(anchor, tag) => {
                self.no_tag(tag.as_deref(), "seq", &span)?;
                let mut items = Vec::new();
                let end = loop {
                    match self.next()? {
                        (Event::SequenceEnd, end) => break end,
                        (event, span) => items.push(self.node(event, span, depth + 1)?),
                    }
                };
                let last = items.last().map(|item: &Node| item.span.bytes.end);
                (anchor, Node { span: self.join(&span, &end, last), value: Value::List(items) })
            }
            Event::MappingStart(anchor, tag) => {
                self.no_tag(tag.as_deref(), "map", &span)?;
                let mut entries: Vec<(Key, Node)> = Vec::new();
                let end = loop {
                    let (event, key_span) = match self.next()? {
                        (Event::MappingEnd, end) => break end,
                        next => next,
                    };
                    let key = self.key(event, key_span)?;
                    let (event, value_span) = self.next()?;
                    self.path.push(key.name.clone());
                    let node = self.node(event, value_span, depth + 1)?;
                    let path = self.path.join(".");
                    self.path.pop();
                    match entries.iter().find(|(other, _)| other.name == key.name) {
                        None => entries.push((key, node)),
                        Some((first, _)) => self.diagnostics.push(
                            Diagnostic::new(
                                DiagnosticKind::DuplicateKey,
                                path,
                                Some(key.span.clone()),
                                format!("the key `{}` is written twice", shorten(&key.name)),
                            )
                            .label("again here")
                            .help("keep one of the two".to_owned())
                            .related(Some(first.span.clone()), "first here"),
                        ),
                    }
                };
                let last = entries.last().map(|(_, node)| node.span.bytes.end);
                let start = entries.first().map_or(&span, |(key, _)| &key.span).clone();
                let start = if self.source.text[span.bytes.start..].starts_with('{') {
                    span
                } else {
                    start
                };
                (anchor, Node { span: self.join(&start, &end, last), value: Value::Map(entries) })
            }
            _ => return Err(self.syntax(span, "a value is missing here")),
        };
        if anchor > 0 {
            self.anchors.insert(anchor, node.clone());
        }
        Ok(node)
    }

    /// From the start to the closing bracket, or to the last item of a block.
    fn join(&self, start: &Span, end: &Span, last: Option<usize>) -> Span {
        let to = match end.text() {
            "]" | "}" => end.bytes.end,
            _ => last.unwrap_or(start.bytes.end).max(start.bytes.start),
        };
        // An alias ends where its anchor does, perhaps before the start.
        Span::new(self.source, start.bytes.start..to.max(start.bytes.end))
    }

    fn key(&mut self, event: Event<'a>, span: Span) -> Result<Key, Diagnostic> {
        match event {
            Event::Scalar(name, style, _, None) => {
                if name == "<<" && style == ScalarStyle::Plain {
                    return Err(self
                        .syntax(span, "merge keys (`<<`) are not part of YAML 1.2")
                        .label("not merged")
                        .help("write the keys out".to_owned()));
                }
                Ok(Key { name: name.into_owned(), span })
            }
            _ => Err(self
                .syntax(span, "a key is a plain word")
                .label("not a plain word")
                .help("write keys as `key: value`; a value with `{`, `[`, `*` or `?` goes after the colon".to_owned())),
        }
    }

    fn count(&mut self, nodes: usize, span: &Span) -> Result<(), Diagnostic> {
        self.nodes += nodes;
        if self.nodes <= MAX_NODES {
            return Ok(());
        }
        Err(Diagnostic::new(
            DiagnosticKind::Limit,
            "",
            Some(span.clone()),
            format!("the text has more than {MAX_NODES} values, aliases expanded"),
        )
        .label("the limit is reached here")
        .help("check that this is a pipeline file, and that no alias repeats an alias".to_owned()))
    }

    fn scalar(
        &self,
        text: &str,
        style: ScalarStyle,
        tag: Option<&Tag>,
        span: &Span,
    ) -> Result<Value, Diagnostic> {
        let Some(tag) = tag else {
            return Ok(if style == ScalarStyle::Plain {
                resolve(text)
            } else {
                Value::String(text.to_owned())
            });
        };
        let resolved = resolve(text);
        match (tag.is_yaml_core_schema().then_some(tag.suffix.as_str()), resolved) {
            (Some("str"), _) => Ok(Value::String(text.to_owned())),
            (Some("int"), value @ Value::Int(_))
            | (Some("float"), value @ Value::Float(_))
            | (Some("bool"), value @ Value::Bool(_))
            | (Some("null"), value @ Value::Null) => Ok(value),
            (Some("float"), Value::Int(value)) => Ok(Value::Float(value as f64)),
            _ => Err(self.tag_diagnostic(tag, span)),
        }
    }

    fn no_tag(&self, tag: Option<&Tag>, allowed: &str, span: &Span) -> Result<(), Diagnostic> {
        match tag {
            Some(tag) if !(tag.is_yaml_core_schema() && tag.suffix == allowed) => {
                Err(self.tag_diagnostic(tag, span))
            }
            _ => Ok(()),
        }
    }

    fn tag_diagnostic(&self, tag: &Tag, span: &Span) -> Diagnostic {
        self.syntax(
            span.clone(),
            format!("the tag `{}` means nothing here", shorten(&tag.to_string())),
        )
        .label("tagged value")
        .help("remove the tag; values of a pipeline need none".to_owned())
    }

    fn syntax(&self, span: Span, message: impl Into<String>) -> Diagnostic {
        Diagnostic::new(DiagnosticKind::Syntax, "", Some(span), message)
    }

    fn scan_error(&self, error: &ScanError) -> Diagnostic {
        let at = self.byte(error.marker().index());
        let text = &self.source.text;
        let end = at + text[floor(text, at)..].chars().next().map_or(0, char::len_utf8);
        let span = Span::new(self.source, at..end);
        let line_start = text[..floor(text, at)].rfind('\n').map_or(0, |newline| newline + 1);
        let line = text[line_start..].lines().next().unwrap_or_default();
        if let Some(tab) = indent_tab(line) {
            let tab = line_start + tab;
            return self
                .syntax(Span::new(self.source, tab..tab + 1), "a tab indents this line")
                .label("a tab")
                .help("indent with spaces; YAML forbids tabs there".to_owned());
        }
        // The parser stops at a colon; what is wrong is the indentation of the key before it.
        let span = if error.info().contains("mapping values") {
            let indent = line.len() - line.trim_start().len();
            Span::new(self.source, line_start + indent..end)
        } else {
            span
        };
        self.syntax(span, format!("this is not YAML: {}", error.info()))
            .label("the parser stopped here")
            .help(syntax_help(error.info(), line))
    }
}

fn floor(text: &str, byte: usize) -> usize {
    let mut byte = byte.min(text.len());
    while !text.is_char_boundary(byte) {
        byte -= 1;
    }
    byte
}

fn indent_tab(line: &str) -> Option<usize> {
    let indent = line.len() - line.trim_start_matches([' ', '\t']).len();
    line[..indent].find('\t')
}

/// What most likely led the parser astray.
fn syntax_help(info: &str, line: &str) -> String {
    if line.contains("@") || line.contains('`') || line.contains('%') {
        return "quote values that start with a special character".into();
    }
    if info.contains("anchor") || info.contains("alias") {
        return "a value that starts with `*` or `&` needs quotes".into();
    }
    if info.contains("flow") || info.contains("',' or") || info.contains("bracket") {
        return "close every `[` and `{`, and put commas between the items".into();
    }
    if info.contains("quoted") {
        return "close the quotation".into();
    }
    if info.contains("simple key") || info.contains("mapping values") || info.contains("':'") {
        return "write `key: value`, with a space after the colon, and indent the keys of one mapping alike".into();
    }
    "check indentation, colons, quotes and brackets around this place".into()
}

fn size(node: &Node) -> usize {
    1 + match &node.value {
        Value::List(items) => items.iter().map(size).sum(),
        Value::Map(entries) => entries.iter().map(|(_, node)| size(node)).sum(),
        _ => 0,
    }
}

/// A plain scalar by the YAML 1.2 core schema.
fn resolve(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Value::Null,
        "true" | "True" | "TRUE" => return Value::Bool(true),
        "false" | "False" | "FALSE" => return Value::Bool(false),
        ".nan" | ".NaN" | ".NAN" => return Value::Float(f64::NAN),
        _ => {}
    }
    let (sign, digits) = match text.as_bytes()[0] {
        b'-' => (-1.0, &text[1..]),
        b'+' => (1.0, &text[1..]),
        _ => (1.0, text),
    };
    if matches!(digits, ".inf" | ".Inf" | ".INF") {
        return Value::Float(sign * f64::INFINITY);
    }
    let radix = |prefix: &str, radix| {
        let digits = text.strip_prefix(prefix)?;
        let valid = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        valid.then(|| i128::from_str_radix(digits, radix).ok()).flatten()
    };
    if let Some(value) = radix("0x", 16).or_else(|| radix("0o", 8)) {
        return Value::Int(value);
    }
    let is_number = digits.bytes().next().is_some_and(|byte| byte.is_ascii_digit() || byte == b'.')
        && digits.bytes().any(|byte| byte.is_ascii_digit())
        && digits
            .bytes()
            .all(|byte| matches!(byte, b'0'..=b'9' | b'.' | b'e' | b'E' | b'+' | b'-'));
    if is_number {
        if digits.bytes().all(|byte| byte.is_ascii_digit())
            && let Ok(value) = text.parse()
        {
            return Value::Int(value);
        }
        if let Ok(value) = text.parse() {
            return Value::Float(value);
        }
    }
    Value::String(text.to_owned())
}
