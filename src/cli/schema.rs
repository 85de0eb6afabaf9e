//! `fsct schema`

use std::path::PathBuf;

use crate::cli::print::{errln, out};
use crate::{Error, config};

/// Print the JSON schema of pipeline files
#[derive(Debug, clap::Args)]
pub struct Schema {
    /// Compare with a file instead, and fail if it is stale
    #[arg(long, value_name = "FILE", num_args = 0..=1, default_missing_value = "schemas/pipeline.schema.json")]
    check: Option<PathBuf>,
    /// Write it to a file instead
    #[arg(long, short, value_name = "FILE", conflicts_with = "check")]
    output: Option<PathBuf>,
}

impl Schema {
    /// Prints, writes or compares the schema.
    pub fn run(self) -> Result<(), Error> {
        let text = config::schema_text();
        if let Some(path) = self.output {
            return crate::atomic_file::write(&path, text.as_bytes()).map_err(|error| {
                Error::failed(format!("`{}` cannot be written: {error}", path.display()))
            });
        }
        let Some(path) = self.check else {
            out!("{text}")?;
            return Ok(());
        };
        let found = std::fs::read_to_string(&path).map_err(|error| {
            Error::failed_with_help(
                format!("`{}` cannot be read: {error}", path.display()),
                "name the schema file, or write it with `fsct schema --output FILE`",
            )
        })?;
        // A checkout may have rewritten the line ends.
        if found.replace("\r\n", "\n") == text {
            return Ok(());
        }
        errln!("`{0}` is stale: run `fsct schema --output {0}`", path.display());
        Err(Error::Rejected)
    }
}
