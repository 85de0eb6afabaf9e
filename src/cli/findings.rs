//! The faults of many files, for people and for programs.

use std::fmt::Write;

use serde_json::{Value, json};

use super::render_faults;
use crate::config::{self, Fault, Faults, keys};

/// How findings are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Format {
    /// With the text around each fault
    #[default]
    Text,
    /// An array with one object a fault
    Json,
    /// SARIF 2.1.0, for code scanning
    Sarif,
    /// Workflow commands that annotate a pull request
    Github,
}

/// A file and what is wrong with it.
#[derive(Debug, Clone)]
pub struct Finding {
    /// The file as it was named.
    pub file: String,
    /// Its faults, warnings included.
    pub faults: Faults,
}

/// Writes the findings of all files; a quiet text has no summary.
pub fn write(findings: &[Finding], format: Format, quiet: bool) -> String {
    match format {
        Format::Text if quiet => faults(findings),
        Format::Text => text(findings),
        Format::Json => json_array(findings),
        Format::Sarif => sarif(findings),
        Format::Github => github(findings),
    }
}

fn each(findings: &[Finding]) -> impl Iterator<Item = (&str, &Fault)> {
    findings
        .iter()
        .flat_map(|finding| finding.faults.iter().map(|fault| (finding.file.as_str(), fault)))
}

fn severity(fault: &Fault) -> &'static str {
    if fault.is_warning() { "warning" } else { "error" }
}

fn faults(findings: &[Finding]) -> String {
    findings.iter().map(|finding| render_faults::for_stdout(&finding.faults)).collect()
}

fn text(findings: &[Finding]) -> String {
    let mut text = faults(findings);
    let errors = each(findings).filter(|(_, fault)| !fault.is_warning()).count();
    let warnings = each(findings).count() - errors;
    let valid = findings.iter().filter(|finding| !finding.faults.has_errors()).count();
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

/// `file line column path code severity message help`; a fault that is in no text has no line, and
/// one that came from the environment is in the file `environment`.
fn json_array(findings: &[Finding]) -> String {
    let faults: Vec<Value> = each(findings)
        .map(|(file, fault)| {
            let place = fault.place();
            let in_shell = fault.span.as_ref().is_some_and(|span| span.source.is_shell());
            json!({
                "file": if in_shell { place.map_or(file, |(name, ..)| name) } else { file },
                "line": place.map(|(_, line, _)| line),
                "column": place.map(|(_, _, column)| column),
                "path": fault.path,
                "code": fault.code(),
                "severity": severity(fault),
                "message": fault.message,
                "help": fault.help,
            })
        })
        .collect();
    format!("{:#}\n", Value::Array(faults))
}

/// `::error file=…,line=…,col=…,title=code::message`
fn github(findings: &[Finding]) -> String {
    let mut text = String::new();
    for (file, fault) in each(findings) {
        let _ = write!(text, "::{} file={}", severity(fault), property(file));
        if let Some(((_, line, column), (end_line, end_column))) = fault.place().zip(end(fault)) {
            let _ = write!(text, ",line={line},col={column}");
            if end_line == line {
                let _ = write!(text, ",endLine={end_line},endColumn={end_column}");
            }
        }
        let _ = write!(text, ",title={}::{}", property(&fault.code()), data(&fault.message));
        if let Some(help) = &fault.help {
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

fn end(fault: &Fault) -> Option<(usize, usize)> {
    fault.span.as_ref().map(|span| span.source.line_column(span.bytes.end))
}

fn sarif(findings: &[Finding]) -> String {
    let mut rules: Vec<(String, String, String)> = Vec::new();
    let results: Vec<Value> = each(findings)
        .map(|(file, fault)| {
            let code = fault.code();
            let index = rules.iter().position(|(id, ..)| *id == code).unwrap_or_else(|| {
                rules.push(rule(&code));
                rules.len() - 1
            });
            let mut location = json!({"artifactLocation": {"uri": uri(file)}});
            if let Some(((_, line, column), (end_line, end_column))) = fault.place().zip(end(fault))
                && fault.span.as_ref().is_some_and(|span| !span.source.is_shell())
            {
                location["region"] = json!({
                    "startLine": line, "startColumn": column,
                    "endLine": end_line, "endColumn": end_column,
                });
            }
            let message = match &fault.help {
                Some(help) => format!("{}; {help}", fault.message),
                None => fault.message.clone(),
            };
            json!({
                "ruleId": code,
                "ruleIndex": index,
                "level": severity(fault),
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
    if let Some(entry) = config::code(code) {
        return (code.into(), entry.title.into(), entry.text.into());
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
        let faults = load_str("a b.yaml", text, &Overrides::default()).expect_err("a slip");
        vec![Finding { file: "a b.yaml".into(), faults }]
    }

    #[test]
    fn json_has_the_promised_fields() -> Result<(), serde_json::Error> {
        let faults: Value = serde_json::from_str(&write(&findings(), Format::Json, false))?;
        assert_eq!(
            faults[0],
            json!({
                "file": "a b.yaml", "line": 1, "column": 16, "path": "data.format",
                "code": "fsct::data::format", "severity": "error",
                "message": "`data.format` must be `synthetic`, `omniglot`, `filelist`, `csv`, `folder`, `cifar_fs`, `easyfsl`, `pickle` or `pack`, not `omniglott`",
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
             `data.format` must be `synthetic`, `omniglot`, `filelist`, `csv`, `folder`, `cifar_fs`, `easyfsl`, `pickle` or `pack`, not `omniglott`%0Adid you mean `omniglot`?\n"
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
