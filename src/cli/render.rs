//! `fsct render`

use super::PipelineArgs;
use crate::cli::print::out;
use crate::{Error, config};

/// Print the resolved pipeline with where each value came from
#[derive(Debug, clap::Args)]
pub struct Render {
    #[command(flatten)]
    pipeline: PipelineArgs,
    /// Output format
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// How a resolved pipeline is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
enum Format {
    /// A pipeline file with the origin of each value as a comment
    #[default]
    Yaml,
    /// An array with one object per value
    Json,
}

impl Render {
    /// Prints the resolved pipeline.
    pub fn run(self) -> Result<(), Error> {
        let loaded = self.pipeline.load()?;
        match self.format {
            Format::Yaml => out!("{}", config::render(&loaded))?,
            Format::Json => out!("{}", config::render_json(&loaded))?,
        }
        Ok(())
    }
}
