//! Scan errors of the YAML parser in words that name the likely slip.

use std::{ops::Range, sync::Arc};

use super::{
    diagnostic::Diagnostic,
    source::{Source, Span},
};
use crate::config::pipeline::Rule;

/// The scanner stopped at a byte of the source with this message.
pub fn scan_error(source: &Arc<Source>, at: usize, info: &str) -> Diagnostic {
    let syntax =
        |span: Span, message: String| Diagnostic::new(Rule::Syntax, "", Some(span), message);
    let text = &source.text;
    let at = text.floor_char_boundary(at);
    let end = at + text[at..].chars().next().map_or(0, char::len_utf8);
    let line_start = text[..at].rfind('\n').map_or(0, |newline| newline + 1);
    let line = text[line_start..].lines().next().unwrap_or_default();
    if let Some(tab) = indent_tab(line) {
        let tab = line_start + tab;
        return syntax(Span::new(source, tab..tab + 1), "a tab indents this line".into())
            .label("a tab")
            .help("indent with spaces; YAML forbids tabs there".to_owned());
    }
    if info.contains("unknown escape")
        && let Some((start, letter)) = escape(text, at)
    {
        let span = Span::new(source, start..start + 1 + letter.len_utf8());
        return syntax(span, format!("`\\{letter}` is not an escape of a text in double quotes"))
            .label("not an escape")
            .help("write the text in single quotes, or each `\\` as `/` or `\\\\`".to_owned());
    }
    // The parser stops at a colon; what is wrong is the indentation of the key before it.
    let start = match info.contains("mapping values") {
        true => line_start + line.len() - line.trim_start().len(),
        false => at,
    };
    syntax(Span::new(source, start..end), format!("this is not YAML: {info}"))
        .label("the parser stopped here")
        .help(help(info, line))
}

/// The tabs before `at` that the scanner refuses after a colon, although YAML allows them there.
pub fn tabs_after_colon(info: &str, text: &str, at: usize) -> Option<Range<usize>> {
    let before = text.get(..at).filter(|_| info.starts_with("':' must be followed"))?;
    let start = before.trim_end_matches('\t').len();
    (before[..start].ends_with(':') && start < at).then_some(start..at)
}

/// The first backslash from `at` on that escapes nothing, and the character after it.
fn escape(text: &str, at: usize) -> Option<(usize, char)> {
    const KNOWN: &str = "0abt\tnvfre \"/\\N_LPxuU\r\n";
    let mut chars = text[at..].char_indices();
    while let Some((start, c)) = chars.next() {
        if c == '\\' {
            let (_, letter) = chars.next()?;
            if !KNOWN.contains(letter) {
                return Some((at + start, letter));
            }
        }
    }
    None
}

fn indent_tab(line: &str) -> Option<usize> {
    let indent = line.len() - line.trim_start_matches([' ', '\t']).len();
    line[..indent].find('\t')
}

/// What most likely led the parser astray.
fn help(info: &str, line: &str) -> String {
    if line.contains("${") {
        return "write a value with `${…}` in quotes inside `{ }` and `[ ]`: `\"${DATA}/mini\"`"
            .into();
    }
    if line.contains('@') || line.contains('`') || line.contains('%') {
        return "quote values that start with a special character".into();
    }
    if info.contains("anchor") || info.contains("alias") {
        return "a value that starts with `*` or `&` needs quotes".into();
    }
    if info.contains("flow") || info.contains("',' or") || info.contains("bracket") {
        return "close every `[` and `{`, and put commas between the items".into();
    }
    if info.contains("quoted") {
        return "close the quotes".into();
    }
    if info.contains("simple key") || info.contains("mapping values") || info.contains("':'") {
        return "write `key: value`, with a space after the colon, and indent the keys of one mapping alike".into();
    }
    "check indentation, colons, quotes and brackets around this place".into()
}

#[cfg(test)]
mod tests {
    use super::super::{node::Value, parse::parse, source::SourceKind};
    use super::*;

    fn read(text: &str) -> Result<Value, Diagnostic> {
        let source = Arc::new(Source::new(SourceKind::File, "x", text));
        parse(&source, 0, &mut Vec::new()).map(|node| node.value)
    }

    #[test]
    fn a_tab_may_stand_between_a_colon_and_its_value() -> Result<(), Diagnostic> {
        for text in ["a:\tx\n", "a:\t\tx\nb:\ty\n", "a: 1\nb:\tx\n", "a:\t1\n"] {
            let Value::Map(entries) = read(text)? else { panic!("a mapping") };
            assert_eq!(entries.len(), text.lines().count(), "{text:?}");
        }
        let Value::Map(entries) = read("a:\tx\nb: \"c:\tx\"\n")? else { panic!("a mapping") };
        assert_eq!(entries[1].1.value, Value::String("c:\tx".into()), "quoted tabs stay");
        assert!(read(&"a:\tx\n".repeat(100)).is_err(), "with an error rather than a slow answer");
        Ok(())
    }

    #[test]
    fn an_escape_in_a_windows_path_is_named() {
        let error = read("root: \"C:\\data\\mini\"\n").expect_err("an escape");
        assert!(error.message.contains("`\\d`"), "{}", error.message);
        assert!(
            error.help.as_ref().is_some_and(|help| help.contains("single quotes")),
            "{error:?}"
        );
    }

    #[test]
    fn a_variable_in_a_flow_mapping_is_named() {
        let error = read("data: {root: ${DATA}/mini, size: 28}\n").expect_err("a brace");
        assert!(error.help.as_ref().is_some_and(|help| help.contains("in quotes")), "{error:?}");
    }
}
