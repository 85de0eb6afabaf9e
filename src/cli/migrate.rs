//! `fsct migrate`

use std::path::{Path, PathBuf};

use super::print_diagnostics;
use crate::atomic_file;
use crate::cli::print::{errln, out};
use crate::{
    Error, Failure,
    config::{self, Diagnostics},
};

/// Turn a `train_test.py` command line into a pipeline
///
/// The pipeline goes to standard output, what it does differently to standard error. Exit code 1
/// when this version cannot run it yet.
#[derive(Debug, clap::Args)]
pub struct Migrate {
    /// Folder of the data set
    #[arg(long, value_name = "DIR")]
    root: Option<String>,
    /// Write the pipeline to a file instead; an existing one is kept
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    /// The command line: `fsct migrate -- --method FSCT_cosine --n_way 5`
    #[arg(last = true, value_name = "ARGS")]
    words: Vec<String>,
}

impl Migrate {
    /// Prints the pipeline or writes it to the file.
    pub fn run(self) -> Result<(), Error> {
        let migrated = config::migrate(&self.words, self.root.as_deref());
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
