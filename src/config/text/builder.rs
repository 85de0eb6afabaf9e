//! Parser events → a tree of nodes, within limits on depth and size.

use std::{collections::HashMap, ops::Range, sync::Arc};

use saphyr_parser::{Event, Parser, ScalarStyle, ScanError, StrInput, Tag};

use super::{
    diagnostic::Diagnostic,
    node::{Key, Node, Value, shorten},
    offsets::Offsets,
    scalar::resolve,
    source::{Source, Span},
    syntax,
};
use crate::config::pipeline::Rule;

/// Deepest nesting; a pipeline needs four.
const MAX_DEPTH: usize = 32;
/// Most values, aliases expanded.
const MAX_NODES: usize = 20_000;

/// Builds the tree of one document.
pub(super) struct Builder<'a> {
    source: &'a Arc<Source>,
    from: usize,
    text: &'a str,
    offsets: Offsets,
    anchors: HashMap<usize, Node>,
    nodes: usize,
    path: Vec<String>,
    diagnostics: &'a mut Vec<Diagnostic>,
    parser: Parser<'a, StrInput<'a>>,
    /// Tabs that made the scanner stop where YAML allows them.
    tabs: Option<Range<usize>>,
}

impl<'a> Builder<'a> {
    /// A builder for `text`, which starts at byte `from` of `source`. Duplicate keys go to
    /// `diagnostics`.
    pub(super) fn new(
        source: &'a Arc<Source>,
        from: usize,
        text: &'a str,
        diagnostics: &'a mut Vec<Diagnostic>,
    ) -> Self {
        Self {
            source,
            from,
            text,
            offsets: Offsets::new(text),
            anchors: HashMap::new(),
            nodes: 0,
            path: Vec::new(),
            diagnostics,
            parser: Parser::new_from_str(text),
            tabs: None,
        }
    }

    /// The tabs at which the scanner stopped although YAML allows them there, if it did.
    pub(super) fn tabs(self) -> Option<Range<usize>> {
        self.tabs
    }

    /// The root of the document; `Value::Null` if the text is empty.
    pub(super) fn document(&mut self) -> Result<Node, Diagnostic> {
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
                Rule::Limit,
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
                                Rule::DuplicateKey,
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
            Rule::Limit,
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
        Diagnostic::new(Rule::Syntax, "", Some(span), message)
    }

    fn scan_error(&mut self, error: &ScanError) -> Diagnostic {
        let at = self.offsets.byte(error.marker().index());
        self.tabs = syntax::tabs_after_colon(error.info(), self.text, at);
        syntax::scan_error(self.source, self.from + at, error.info())
    }
}

fn size(node: &Node) -> usize {
    1 + match &node.value {
        Value::List(items) => items.iter().map(size).sum(),
        Value::Map(entries) => entries.iter().map(|(_, node)| size(node)).sum(),
        _ => 0,
    }
}
