//! `fsct migrate`

use std::path::{Path, PathBuf};

use super::print_diagnostics;
use crate::atomic_file;
use crate::cli::print::{errln, out};
use crate::{
    Error, Failure,
    config::{self, Diagnostics, MigrateSource},
};

/// Turn a `train_test.py` command line into a pipeline
///
/// The pipeline goes to standard output, what it does differently to standard error. Exit code 1
/// when this version cannot run the pipeline.
#[derive(Debug, clap::Args)]
pub struct Migrate {
    /// Folder of the data set
    #[arg(long, value_name = "DIR")]
    root: Option<String>,
    /// Whose train_test.py it is [default: the fork's where a flag or the method is only the fork's,
    /// else the published one]
    #[arg(long, value_enum)]
    from: Option<From>,
    /// Write the pipeline to a file instead; an existing one is kept
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    /// The command line: `fsct migrate -- --method FSCT_cosine --n_way 5`
    #[arg(last = true, value_name = "ARGS")]
    words: Vec<String>,
}

/// Whose `train_test.py` a command line is for.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum From {
    /// The published code: no AMP, no accumulation, an ImageNet ResNet that is never trained
    Original,
    /// The fork with ProFOCT and memory options: AMP and two accumulation steps unless given
    Fork,
}

impl Migrate {
    /// Prints the pipeline or writes it to the file.
    pub fn run(self) -> Result<(), Error> {
        let source = self.from.map(|from| match from {
            From::Original => MigrateSource::Original,
            From::Fork => MigrateSource::Fork,
        });
        let migrated = config::migrate(&self.words, self.root.as_deref(), source);
        match &self.output {
            None => out!("{}", migrated.yaml)?,
            Some(path) => write_with_schema(path, &migrated.yaml)?,
        }
        for note in &migrated.notes {
            errln!("note: {note}");
        }
        if migrated.diagnostics.is_empty() {
            return Ok(());
        }
        print_diagnostics(&Diagnostics::new(migrated.diagnostics));
        Err(Error::Rejected)
    }
}

/// Writes a pipeline, and beside it the schema that its first line names: an editor then completes
/// and checks without looking anything up.
pub(super) fn write_with_schema(path: &Path, text: &str) -> Result<(), Error> {
    write_new(path, text)?;
    let schema = path.with_file_name(config::FILE_NAME);
    atomic_file::write(&schema, config::schema_text().as_bytes()).map_err(|error| {
        Error::failed(format!("`{}` cannot be written: {error}", schema.display()))
    })
}

/// Writes a file that is not there yet.
fn write_new(path: &Path, text: &str) -> Result<(), Error> {
    atomic_file::write_new(path, text.as_bytes()).map_err(|error| {
        let failure = Failure::new(format!("`{}` cannot be written: {error}", path.display()));
        let help = match error.kind() {
            std::io::ErrorKind::AlreadyExists => "choose another name, or remove the file first",
            _ => "name a file in a folder that you may write to",
        };
        failure.help(help).into()
    })
}
