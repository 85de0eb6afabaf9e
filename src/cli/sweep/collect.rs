//! `fsct sweep collect`: from the results to a table.

use std::path::{Path, PathBuf};

use crate::Error;
use crate::cli::print::out;
use crate::run::folder::write_atomically;
use crate::sweep::collect::{Format, collect, write};
use crate::sweep::manifest::Manifest;

/// Turn the results into a table
///
/// An unfinished sweep is collected as far as it is; the table says what is missing.
#[derive(Debug, clap::Args)]
pub struct Collect {
    /// Folder of the sweep
    folder: PathBuf,
    /// Output format [default: text, or what the ending of --output says]
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// Write the table to a file
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
}

impl Collect {
    /// Prints or writes the table.
    pub fn run(self) -> Result<(), Error> {
        let table = collect(&Manifest::read(&self.folder)?);
        let named = self.output.as_deref().and_then(of_ending);
        let text = write(&table, self.format.or(named).unwrap_or_default());
        match &self.output {
            Some(path) => Ok(write_atomically(path, text.as_bytes())?),
            None => out!("{text}"),
        }
    }
}

fn of_ending(path: &Path) -> Option<Format> {
    Some(match path.extension()?.to_str()? {
        "csv" => Format::Csv,
        "json" => Format::Json,
        "tex" => Format::Latex,
        "md" => Format::Markdown,
        _ => return None,
    })
}
