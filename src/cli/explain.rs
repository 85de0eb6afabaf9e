//! `fsct explain`

use crate::cli::print::out;
use crate::{Error, config};

/// Explain a key of a pipeline, or the code of a diagnostic
#[derive(Debug, clap::Args)]
pub struct Explain {
    /// Key (`memory.amp`) or code (`fsct::memory::amp`); all of them by default
    #[arg(value_name = "KEY|CODE")]
    topic: Option<String>,
}

impl Explain {
    /// Prints the explanation of the topic.
    pub fn run(self) -> Result<(), Error> {
        let Some(topic) = self.topic else {
            out!("{}", config::overview())?;
            return Ok(());
        };
        let text = config::explain(&topic).map_err(|help| {
            Error::failed_with_help(format!("there is no key or code `{topic}`"), help)
        })?;
        out!("{text}")?;
        Ok(())
    }
}
