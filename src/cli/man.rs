//! `fsct man`

use std::path::{Path, PathBuf};

use clap::CommandFactory;

use crate::cli::print::outln;
use crate::{Error, atomic_file};

/// Write the manual pages: fsct.1, and one for each command
#[derive(Debug, clap::Args)]
pub struct Man {
    /// Folder to write to, such as `~/.local/share/man/man1`
    folder: PathBuf,
}

impl Man {
    /// Writes a page for the program and one for each command.
    pub fn run(self) -> Result<(), Error> {
        let mut program = super::Cli::command().disable_help_subcommand(true);
        program.build();
        let count = write(&program, &self.folder)?;
        outln!("wrote {count} manual pages to {}", self.folder.display())
    }
}

/// Writes the pages of a command and of those below it; returns how many.
fn write(command: &clap::Command, folder: &Path) -> Result<usize, Error> {
    let page = clap_mangen::Man::new(command.clone());
    let path = folder.join(page.get_filename());
    let mut text = Vec::new();
    page.render(&mut text).and_then(|()| atomic_file::write(&path, &text)).map_err(|error| {
        Error::failed_with_help(
            format!("`{}` cannot be written: {error}", path.display()),
            "name a folder that can be written to",
        )
    })?;
    let below = command.get_subcommands().filter(|it| !it.is_hide_set());
    below.map(|it| write(it, folder)).try_fold(1, |count, written| Ok(count + written?))
}
