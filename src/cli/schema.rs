//! `fsct schema`

use std::path::PathBuf;

use crate::cli::print::{errln, out};
use crate::{Error, config};

/// Print the JSON schema of pipeline files, or of sweep files
#[derive(Debug, clap::Args)]
pub struct Schema {
    /// Which files
    #[arg(value_enum, default_value_t)]
    of: Of,
    /// Compare with a file instead, and fail if it is stale
    #[arg(long, value_name = "FILE", num_args = 0..=1)]
    check: Option<Option<PathBuf>>,
    /// Write it to a file instead
    #[arg(long, short, value_name = "FILE", conflicts_with = "check")]
    output: Option<PathBuf>,
}

/// The files that a schema is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
enum Of {
    /// Pipeline files
    #[default]
    Pipeline,
    /// Sweep files
    Sweep,
}

impl Of {
    fn text(self) -> String {
        match self {
            Self::Pipeline => config::schema_text(),
            Self::Sweep => config::sweep_schema_text(),
        }
    }

    /// Where the repository keeps it.
    fn path(self) -> PathBuf {
        PathBuf::from(match self {
            Self::Pipeline => "schemas/pipeline.schema.json",
            Self::Sweep => "schemas/sweep.schema.json",
        })
    }

    /// The command that prints it.
    fn command(self) -> &'static str {
        match self {
            Self::Pipeline => "fsct schema",
            Self::Sweep => "fsct schema sweep",
        }
    }
}

impl Schema {
    /// Prints, writes or compares the schema.
    pub fn run(self) -> Result<(), Error> {
        let text = self.of.text();
        if let Some(path) = self.output {
            return crate::atomic_file::write(&path, text.as_bytes()).map_err(|error| {
                Error::failed(format!("`{}` cannot be written: {error}", path.display()))
            });
        }
        let Some(path) = self.check else {
            out!("{text}")?;
            return Ok(());
        };
        let path = path.unwrap_or_else(|| self.of.path());
        let command = self.of.command();
        let found = std::fs::read_to_string(&path).map_err(|error| {
            Error::failed_with_help(
                format!("`{}` cannot be read: {error}", path.display()),
                format!("name the schema file, or write it with `{command} --output FILE`"),
            )
        })?;
        // A checkout may have rewritten the line ends.
        if found.replace("\r\n", "\n") == text {
            return Ok(());
        }
        errln!("`{0}` is stale: run `{command} --output {0}`", path.display());
        Err(Error::Rejected)
    }
}
