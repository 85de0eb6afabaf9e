//! `fsct data`: look at a data set, pack it, split it.

mod inspect;
mod pack;
mod sheet;
mod split;

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};

pub(super) use split::write_splits;

use super::Output;
use crate::Error;
use crate::cli::print::errln;
use crate::config::{Columns, Format};
use crate::data::{self, Listing};
use crate::run::RunError;

/// Look at a data set, pack it, split it.
#[derive(Debug, Args)]
pub struct Data {
    /// The command to run.
    #[command(subcommand)]
    command: DataCommand,
}

/// Subcommands of `fsct data`.
#[derive(Debug, Subcommand)]
enum DataCommand {
    /// Report on a data set: classes, sizes, broken files, overlaps, possible episodes
    Inspect(inspect::Inspect),
    /// Write a data set as one memory-mapped file
    Pack(pack::Pack),
    /// Write a seeded split of the classes of a data set
    Split(split::Split),
}

impl Data {
    /// Runs the command that was given.
    pub fn run(self, output: Output) -> Result<(), Error> {
        match self.command {
            DataCommand::Inspect(command) => command.run(output),
            DataCommand::Pack(command) => command.run(output),
            DataCommand::Split(command) => command.run(output),
        }
    }
}

/// A data set on the command line.
#[derive(Debug, Args)]
struct Root {
    /// Folder or file of the data set
    root: PathBuf,
    /// Its layout; detected by default
    #[arg(long, value_parser = format)]
    format: Option<Format>,
    /// Lists of classes by split, as `data.splits`
    #[arg(long, value_name = "FILE")]
    splits: Option<PathBuf>,
    /// Add classes rotated by 90, 180 and 270 degrees; omniglot only
    #[arg(long)]
    rotations: bool,
    /// Columns of a CSV list, as `data.columns`: `--columns image=image_id,class=dx`
    #[arg(long, value_name = "KEY=COLUMN,…", value_parser = columns, default_value = "", hide_default_value = true)]
    columns: Columns,
}

impl Root {
    /// Lists its images. Classes without splits become the split `base`.
    fn list(&self, output: Output) -> Result<Listing, Error> {
        let root = Some(self.root.as_path());
        let format = data::format_of(self.format, root).map_err(RunError::from)?;
        if self.format.is_none() && !output.quiet {
            errln!("note: the detected layout is `{}`", format.word());
        }
        let one_split = self.splits.is_none() && data::is_unsplit(format, &self.root);
        if one_split && !output.quiet {
            errln!("note: no split is defined; all classes are in base");
        }
        let columns = self.columns.clone();
        let options = data::Options {
            splits: self.splits.as_deref(),
            columns: Some(&columns),
            rotations: self.rotations,
            one_split,
        };
        data::list(format, root, options).map_err(|error| RunError::from(error).into())
    }
}

fn format(text: &str) -> Result<Format, String> {
    let words = || Format::ALL.map(Format::word).join(", ");
    Format::ALL
        .into_iter()
        .find(|format| format.word() == text)
        .ok_or_else(|| format!("there is no layout `{text}`: use one of {}", words()))
}

fn columns(text: &str) -> Result<Columns, String> {
    let mut columns = Columns::default();
    for pair in text.split(',').filter(|pair| !pair.is_empty()) {
        let (key, name) = pair.split_once('=').ok_or(format!("`{pair}` is not KEY=COLUMN"))?;
        let column = match key.trim() {
            "image" => &mut columns.image,
            "class" => &mut columns.class,
            "split" => &mut columns.split,
            other => return Err(format!("`{other}` is not image, class or split")),
        };
        *column = Some(name.trim().to_owned());
    }
    Ok(columns)
}

/// An existing file is kept unless it is to be replaced.
pub(super) fn free(path: &Path, force: bool) -> Result<(), Error> {
    if path.exists() && !force {
        return Err(Error::failed_with_help(
            format!("{} exists", path.display()),
            "name another file, or replace it with `--force`",
        ));
    }
    Ok(())
}
