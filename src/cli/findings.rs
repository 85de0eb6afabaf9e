//! The diagnostics of many files, for people and for programs.

use std::fmt::Write;

use serde_json::{Value, json};

use super::render_diagnostics;
use crate::config::{Diagnostic, Diagnostics, Rule, keys};

/// How findings are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Format {
    /// Each diagnostic with the surrounding text
    #[default]
    Text,
    /// An array with one object per error
    Json,
    /// SARIF 2.1.0, for code scanning
    Sarif,
    /// Workflow commands that annotate a pull request
    Github,
}

/// A file and what is wrong with it.
#[derive(Debug, Clone)]
pub struct Finding {
    /// The file as the user named it.
    pub file: String,
    /// Its diagnostics, warnings included.
    pub diagnostics: Diagnostics,
}

/// Writes the findings of all files; a quiet text has no summary.
pub fn write(findings: &[Finding], format: Format, quiet: bool) -> String {
    match format {
        Format::Text if quiet => diagnostics(findings),
        Format::Text => text(findings),
        Format::Json => json_array(findings),
        Format::Sarif => sarif(findings),
        Format::Github => github(findings),
    }
}

fn each(findings: &[Finding]) -> impl Iterator<Item = (&str, &Diagnostic)> {
    findings.iter().flat_map(|finding| {
        finding.diagnostics.iter().map(|diagnostic| (finding.file.as_str(), diagnostic))
    })
}

fn severity(diagnostic: &Diagnostic) -> &'static str {
    if diagnostic.is_warning() { "warning" } else { "error" }
}

fn diagnostics(findings: &[Finding]) -> String {
    findings.iter().map(|finding| render_diagnostics::for_stdout(&finding.diagnostics)).collect()
}

fn text(findings: &[Finding]) -> String {
    let mut text = diagnostics(findings);
    let errors = each(findings).filter(|(_, diagnostic)| !diagnostic.is_warning()).count();
    let warnings = each(findings).count() - errors;
    let valid = findings.iter().filter(|finding| !finding.diagnostics.has_errors()).count();
    if !text.is_empty() {
        text.push('\n');
    }
    let _ = write!(text, "{}: {valid} valid", count(findings.len(), "file"));
    if errors > 0 {
        let _ =
            write!(text, ", {} invalid with {}", findings.len() - valid, count(errors, "error"));
    }
    if warnings > 0 {
        let _ = write!(text, ", {}", count(warnings, "warning"));
    }
    text.push('\n');
    text
}

fn count(number: usize, noun: &str) -> String {
    if number == 1 { format!("1 {noun}") } else { format!("{number} {noun}s") }
}

/// `file line column path code severity message help`; a diagnostic that is in no text has no line, and
/// one that came from the environment is in the file `environment`.
fn json_array(findings: &[Finding]) -> String {
    let diagnostics: Vec<Value> = each(findings)
        .map(|(file, diagnostic)| {
            let place = diagnostic.place();
            let in_shell = diagnostic.span.as_ref().is_some_and(|span| span.source.is_shell());
            json!({
                "file": if in_shell { place.map_or(file, |(name, ..)| name) } else { file },
                "line": place.map(|(_, line, _)| line),
                "column": place.map(|(_, _, column)| column),
                "path": diagnostic.path,
                "code": diagnostic.code(),
                "severity": severity(diagnostic),
                "message": diagnostic.message,
                "help": diagnostic.help,
            })
        })
        .collect();
    format!("{:#}\n", Value::Array(diagnostics))
}

/// `::error file=…,line=…,col=…,title=code::message`
fn github(findings: &[Finding]) -> String {
    let mut text = String::new();
    for (file, diagnostic) in each(findings) {
        let _ = write!(text, "::{} file={}", severity(diagnostic), property(file));
        if let Some(((_, line, column), (end_line, end_column))) =
            diagnostic.place().zip(end(diagnostic))
        {
            let _ = write!(text, ",line={line},col={column}");
            if end_line == line {
                let _ = write!(text, ",endLine={end_line},endColumn={end_column}");
            }
        }
        let _ =
            write!(text, ",title={}::{}", property(&diagnostic.code()), data(&diagnostic.message));
        if let Some(help) = &diagnostic.help {
            let _ = write!(text, "%0A{}", data(help));
        }
        text.push('\n');
    }
    text
}

fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

fn end(diagnostic: &Diagnostic) -> Option<(usize, usize)> {
    diagnostic.span.as_ref().map(|span| span.source.line_column(span.bytes.end))
}

fn sarif(findings: &[Finding]) -> String {
    let mut rules: Vec<(String, String, String)> = Vec::new();
    let results: Vec<Value> = each(findings)
        .map(|(file, diagnostic)| {
            let code = diagnostic.code();
            let index = rules.iter().position(|(id, ..)| *id == code).unwrap_or_else(|| {
                rules.push(rule(&code));
                rules.len() - 1
            });
            let mut location = json!({"artifactLocation": {"uri": uri(file)}});
            if let Some(((_, line, column), (end_line, end_column))) =
                diagnostic.place().zip(end(diagnostic))
                && diagnostic.span.as_ref().is_some_and(|span| !span.source.is_shell())
            {
                location["region"] = json!({
                    "startLine": line, "startColumn": column,
                    "endLine": end_line, "endColumn": end_column,
                });
            }
            let message = match &diagnostic.help {
                Some(help) => format!("{}; {help}", diagnostic.message),
                None => diagnostic.message.clone(),
            };
            json!({
                "ruleId": code,
                "ruleIndex": index,
                "level": severity(diagnostic),
                "message": {"text": message},
                "locations": [{"physicalLocation": location}],
            })
        })
        .collect();
    let rules: Vec<Value> = rules
        .into_iter()
        .map(|(id, title, text)| {
            json!({
                "id": id,
                "shortDescription": {"text": title},
                "fullDescription": {"text": text},
                "help": {"text": format!("fsct explain {id}")},
            })
        })
        .collect();
    let log = json!({
        "$schema": "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": {"driver": {
                "name": "fsct",
                "semanticVersion": env!("CARGO_PKG_VERSION"),
                "rules": rules,
            }},
            "columnKind": "unicodeCodePoints",
            "results": results,
        }],
    });
    format!("{log:#}\n")
}

fn rule(code: &str) -> (String, String, String) {
    if let Some(rule) = Rule::of_code(code) {
        return (code.into(), rule.title().into(), rule.text().into());
    }
    let key = code.trim_start_matches("fsct::").replace("::", ".");
    let title = match keys().contains(&key) {
        true => format!("`{key}` has a value that is not allowed"),
        false => "a value is not allowed".into(),
    };
    let text = crate::config::explain(&key).unwrap_or_else(|_| title.clone());
    (code.into(), title, text)
}

/// A path as a relative URI reference.
fn uri(path: &str) -> String {
    let mut uri = String::new();
    for byte in path.replace('\\', "/").bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'.' | b'-' | b'_' | b'~' => {
                uri.push(byte as char);
            }
            _ => {
                let _ = write!(uri, "%{byte:02X}");
            }
        }
    }
    uri
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Overrides, load_str};

    fn findings() -> Vec<Finding> {
        let text = "data: {format: omniglott}\nbackbone: {kind: conv4s}\nmethod: {kind: fsct}\n";
        let diagnostics = load_str("a b.yaml", text, &Overrides::default()).expect_err("a slip");
        vec![Finding { file: "a b.yaml".into(), diagnostics }]
    }

    #[test]
    fn json_has_the_promised_fields() -> Result<(), serde_json::Error> {
        let diagnostics: Value = serde_json::from_str(&write(&findings(), Format::Json, false))?;
        assert_eq!(
            diagnostics[0],
            json!({
                "file": "a b.yaml", "line": 1, "column": 16, "path": "data.format",
                "code": "fsct::data::format", "severity": "error",
                "message": "`data.format` must be `synthetic`, `omniglot`, `filelist`, `csv`, `cub`, `folder`, `cifar_fs`, `easyfsl`, `pickle` or `pack`, not `omniglott`",
                "help": "did you mean `omniglot`?",
            })
        );
        let none: Value = serde_json::from_str(&write(&[], Format::Json, false))?;
        assert_eq!(none, json!([]));
        Ok(())
    }

    #[test]
    fn workflow_commands_escape_what_would_end_them() {
        assert_eq!(
            write(&findings(), Format::Github, false),
            "::error file=a b.yaml,line=1,col=16,endLine=1,endColumn=25,title=fsct%3A%3Adata%3A%3Aformat::\
             `data.format` must be `synthetic`, `omniglot`, `filelist`, `csv`, `cub`, `folder`, `cifar_fs`, `easyfsl`, `pickle` or `pack`, not `omniglott`%0Adid you mean `omniglot`?\n"
        );
        assert_eq!(data("50%\n"), "50%25%0A");
    }

    #[test]
    fn sarif_points_into_the_file() -> Result<(), serde_json::Error> {
        let log: Value = serde_json::from_str(&write(&findings(), Format::Sarif, false))?;
        let result = &log["runs"][0]["results"][0];
        let location = &result["locations"][0]["physicalLocation"];
        assert_eq!(location["artifactLocation"]["uri"], "a%20b.yaml");
        assert_eq!(location["region"]["startColumn"], 16);
        let rules = &log["runs"][0]["tool"]["driver"]["rules"];
        assert_eq!(rules[0]["id"], result["ruleId"]);
        Ok(())
    }
}
