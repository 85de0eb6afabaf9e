//! `fsct completions`

use clap::CommandFactory;
use clap_complete::Shell;

use crate::Error;
use crate::cli::print::out;

/// Print the completions of a shell
#[derive(Debug, clap::Args)]
pub struct Completions {
    /// Shell to write completions for
    shell: Shell,
}

impl Completions {
    /// Prints the completion script of the shell.
    pub fn run(self) -> Result<(), Error> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut super::Cli::command(), "fsct", &mut script);
        out!("{}", String::from_utf8_lossy(&script))
    }
}
