//! `fsct validate`

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use walkdir::{DirEntry, WalkDir};

use super::{
    Output,
    findings::{Finding, Format, write},
};
use crate::cli::print::{errln, out};
use crate::{
    Error,
    config::{self, Diagnostic, Diagnostics, Loaded, Overrides, Rule, check_files, load},
    data::{self, Batches, DataError, DataWarning, Sampler, Split, Stream},
    device::{self, DeviceError},
    graph,
    weights::WeightsError,
};

/// Check pipeline files and sweep files without running them
///
/// Exit code: 0 all valid, 1 some are not, 2 something could not be read.
#[derive(Debug, clap::Args)]
pub struct Validate {
    /// Files, folders (every .yaml and .yml below them) and patterns such as `pipelines/**/*.yaml`
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Output format
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    /// Treat warnings as errors
    #[arg(long)]
    deny_warnings: bool,
    /// Check the text alone, without reading data or devices
    #[arg(long)]
    offline: bool,
    /// Set a value in every file: `--set memory.amp=f16`; may be repeated
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
}

impl Validate {
    /// Checks every file and prints all errors.
    pub fn run(self, output: Output) -> Result<(), Error> {
        let overrides = Overrides::from_process(self.set.clone());
        let findings: Vec<Finding> = files(&self.paths)
            .into_iter()
            .map(|file| {
                let diagnostics = match &file {
                    Ok(path) => self.check(path, &overrides),
                    Err(diagnostic) => diagnostic.clone().into(),
                };
                let file = file
                    .map_or_else(|diagnostic| diagnostic.path, |path| path.display().to_string());
                Finding { file, diagnostics }
            })
            .collect();
        out!("{}", write(&findings, self.format, output.quiet))?;
        if findings.iter().any(|finding| finding.diagnostics.is_unreadable()) {
            return Err(Error::Unreadable);
        }
        let rejected = |finding: &Finding| {
            finding.diagnostics.has_errors()
                || (self.deny_warnings && !finding.diagnostics.is_empty())
        };
        if findings.iter().any(rejected) { Err(Error::Rejected) } else { Ok(()) }
    }

    fn check(&self, path: &Path, overrides: &Overrides) -> Diagnostics {
        // A file that cannot be read as text is reported as a pipeline.
        if std::fs::read_to_string(path).is_ok_and(|text| config::is_sweep(&text)) {
            let resolved = super::sweep::resolve(path, overrides, self.offline);
            return resolved.map_or_else(|found| found, |(_, resolved)| resolved.warnings);
        }
        match load(path, overrides) {
            Err(diagnostics) => diagnostics,
            Ok(loaded) if self.offline => loaded.warnings,
            Ok(loaded) => {
                let outside = outside(&loaded);
                Diagnostics::new(loaded.warnings.into_iter().chain(outside).collect())
            }
        }
    }
}

/// What the text alone does not show: files, the device, and whether the data has such episodes.
pub(super) fn outside(loaded: &Loaded) -> Vec<Diagnostic> {
    let mut diagnostics = check_files(loaded);
    if let Err(error) = device::check(loaded.pipeline.device) {
        let rule = match error {
            DeviceError::NotCompiled(_) => Rule::DeviceNotCompiled,
            DeviceError::Absent { .. } => Rule::DeviceAbsent,
            DeviceError::Full { .. } => Rule::DeviceFull,
        };
        let help = miette::Diagnostic::help(&error).map(|help| help.to_string());
        let diagnostic = loaded.diagnostic_of(rule, "device", error.to_string());
        diagnostics.push(diagnostic.label("asked for here").help(help));
    }
    if diagnostics.is_empty()
        && let Err(error) = weights(loaded)
    {
        let help = miette::Diagnostic::help(&error).map(|help| help.to_string());
        let key = "backbone.weights.path";
        diagnostics
            .push(loaded.diagnostic_of(Rule::UnfitWeights, key, error.to_string()).help(help));
    }
    // Synthetic glyphs would have to be drawn first, and a check writes nothing.
    if diagnostics.is_empty() && loaded.pipeline.data.format != Some(config::Format::Synthetic) {
        match episodes(loaded) {
            Ok(warnings) => diagnostics.extend(warnings.into_iter().map(|warning| {
                let DataWarning { message, help } = warning;
                loaded.diagnostic_of(Rule::Overlap, "data.root", message).help(help.to_owned())
            })),
            Err(error) => diagnostics.push(data_diagnostic(loaded, error)),
        }
    }
    diagnostics
}

/// Whether the weights fit, and every value of them is finite.
fn weights(loaded: &Loaded) -> Result<(), WeightsError> {
    graph::match_weights(&loaded.absolute())?.map_or(Ok(()), |weights| weights.check_values())
}

/// A problem of the data, under the key that can fix it.
fn data_diagnostic(loaded: &Loaded, error: DataError) -> Diagnostic {
    if let DataError::Pipeline { key, message, help } = error {
        return loaded.diagnostic_of(Rule::Value, &key, message).help(help);
    }
    let help = miette::Diagnostic::help(&error).map(|help| help.to_string());
    let help = help.unwrap_or_else(|| "repair the data set, or name another folder".into());
    loaded.diagnostic_of(Rule::UnusableData, "data.root", error.to_string()).help(help)
}

/// Checks that every split that the pipeline draws from has its episodes. Returns what is unwise.
fn episodes(loaded: &Loaded) -> Result<Vec<DataWarning>, DataError> {
    let pipeline = &loaded.absolute();
    let data = data::open(pipeline, Path::new("."))?;
    for note in data.notes() {
        errln!("note: {note}");
    }
    for (split, stream, episodes) in [
        (Split::Base, Stream::Train, pipeline.train.trained_epochs()),
        (Split::Val, Stream::Validate, pipeline.validate.episodes),
        (Split::Novel, Stream::Test, pipeline.test.episodes),
    ] {
        if episodes > 0 {
            Sampler::of(data.split(split), pipeline, stream)?;
        }
    }
    if let Some(pretrain) = &pipeline.train.pretrain {
        Batches::new(data.split(Split::Base), pipeline.seed, pretrain.batch_size)?;
    }
    Ok(data.warnings().to_vec())
}

/// The files that the arguments name, each once, in the order of the arguments.
fn files(arguments: &[PathBuf]) -> Vec<Result<PathBuf, Diagnostic>> {
    let mut seen = BTreeSet::new();
    let mut files = Vec::new();
    for argument in arguments {
        // A pattern is UTF-8; a folder or a file may have any name.
        let pattern = argument.to_str().filter(|text| text.contains(['*', '?', '[']));
        let found = if argument.is_dir() {
            below(argument)
        } else if let Some(pattern) = pattern.filter(|_| !argument.exists()) {
            matching(pattern)
        } else {
            Ok(vec![argument.clone()])
        };
        let shown = argument.display().to_string();
        let none = |found: &Vec<PathBuf>| found.is_empty();
        match found {
            Err(message) => files.push(Err(diagnostic(&shown, message))),
            Ok(found) if none(&found) => {
                files.push(Err(diagnostic(&shown, format!("`{shown}` names no YAML file"))));
            }
            Ok(found) => {
                files.extend(found.into_iter().filter(|path| seen.insert(path.clone())).map(Ok));
            }
        }
    }
    files
}

fn diagnostic(argument: &str, message: String) -> Diagnostic {
    Diagnostic::new(Rule::File, argument, None, message)
        .help("name a pipeline file, a folder with some, or a pattern".to_owned())
}

/// Every `.yaml` and `.yml` below a folder, sorted; hidden folders and links to folders are left out.
fn below(folder: &Path) -> Result<Vec<PathBuf>, String> {
    let is_shown = |entry: &DirEntry| {
        entry.depth() == 0 || !entry.file_name().to_string_lossy().starts_with('.')
    };
    let mut found = Vec::new();
    for entry in WalkDir::new(folder).into_iter().filter_entry(is_shown) {
        let entry = entry.map_err(|error| {
            let path = error.path().unwrap_or(folder).display().to_string();
            let reason = error.io_error().map_or_else(|| error.to_string(), ToString::to_string);
            format!("`{path}` cannot be read: {reason}")
        })?;
        let is_yaml = entry.path().extension().is_some_and(|end| end == "yaml" || end == "yml");
        if is_yaml && !entry.file_type().is_dir() {
            found.push(entry.into_path());
        }
    }
    found.sort();
    Ok(found)
}

fn matching(pattern: &str) -> Result<Vec<PathBuf>, String> {
    let paths =
        glob::glob(pattern).map_err(|error| format!("`{pattern}` is not a pattern: {error}"))?;
    let mut found = Vec::new();
    for path in paths {
        let path = path.map_err(|error| format!("`{}` cannot be read", error.path().display()))?;
        if path.is_dir() {
            found.extend(below(&path)?);
        } else {
            found.push(path);
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_patterns_and_files_are_found_once() -> std::io::Result<()> {
        let folder = tempfile::tempdir()?;
        for name in ["b.yaml", "a.yml", "c.txt", "deep/d.yaml", ".hidden/e.yaml"] {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap_or(folder.path()))?;
            std::fs::write(path, "")?;
        }
        let names = |arguments: &[PathBuf]| -> Vec<Option<String>> {
            files(arguments)
                .into_iter()
                .map(|file| {
                    let file = file.ok()?;
                    Some(file.strip_prefix(folder.path()).ok()?.to_string_lossy().into_owned())
                })
                .collect()
        };
        let some =
            |names: &[&str]| names.iter().map(|name| Some((*name).to_owned())).collect::<Vec<_>>();
        let at = |name: &str| folder.path().join(name);
        assert_eq!(names(&[at("")]), some(&["a.yml", "b.yaml", "deep/d.yaml"]));
        assert_eq!(
            names(&[at("**/*.yaml"), at("b.yaml")]),
            some(&[".hidden/e.yaml", "b.yaml", "deep/d.yaml"])
        );
        assert_eq!(names(&[at("c.txt")]), some(&["c.txt"]), "a named file is taken at its word");
        assert_eq!(names(&[at("*.json")]), [None], "a pattern without a match is said");
        Ok(())
    }
}
