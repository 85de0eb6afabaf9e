//! `fsct completions`

use clap::CommandFactory;
use clap_complete::Shell;

use crate::Error;

/// Print the completions of a shell
#[derive(Debug, clap::Args)]
pub struct Completions {
    /// Shell to write completions for
    shell: Shell,
}

impl Completions {
    /// Prints the completion script of the shell.
    pub fn run(self) -> Result<(), Error> {
        clap_complete::generate(
            self.shell,
            &mut super::Cli::command(),
            "fsct",
            &mut std::io::stdout(),
        );
        Ok(())
    }
}
