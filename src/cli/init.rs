//! `fsct init`

use std::path::{Path, PathBuf};

use super::{
    Output, data::write_splits, migrate::write_with_schema, survey::Survey, validate::outside,
};
use crate::cli::print::outln;
use crate::{
    Error, Failure,
    config::{self, ByteSize, Diagnostics, Format, Memory, Overrides, Starter, load, load_str},
    data, device,
    plan::{fit::fit_memory, footprint::Environment},
    report::bytes,
    run::RunError,
};

/// Write a commented starter pipeline for a data folder
#[derive(Debug, clap::Args)]
pub struct Init {
    /// Folder of the data set; synthetic glyphs by default
    #[arg(value_name = "DATA")]
    root: Option<PathBuf>,
    /// File to write; an existing one is kept
    #[arg(long, short, value_name = "FILE", default_value = "pipeline.yaml")]
    output: PathBuf,
    /// Memory limit of a run, such as 8GiB; memory settings are chosen to fit
    #[arg(long)]
    budget: Option<ByteSize>,
    /// Name of the pipeline; by default the file name
    #[arg(long)]
    name: Option<String>,
}

impl Init {
    /// Writes the file and prints the next command.
    pub fn run(self, output: Output) -> Result<(), Error> {
        if self.output.exists() {
            return Err(Error::failed_with_help(
                format!("`{}` exists", self.output.display()),
                "choose another name, or remove the file first",
            ));
        }
        let stem = self.output.file_stem().map(|stem| stem.to_string_lossy().into_owned());
        let name = self.name.clone().or(stem).unwrap_or_else(|| "pipeline".into());
        let root = self.root.as_deref().map(|root| relative(root, &self.output)).transpose()?;
        let mut starter = Starter { name: &name, root: root.as_deref(), ..Starter::default() };
        if let Some(root) = &self.root {
            starter.format = layout(root)?;
            let survey = Survey::of(root, starter.format)?;
            starter.episode = survey.episode;
            (starter.validates, starter.tests) = (survey.validates, survey.tests);
            if let Some(shares) = survey.shares {
                starter.splits = Some(SPLITS);
                self.split(root, starter.format, shares, output)?;
            }
        }
        if let Some(budget) = self.budget {
            starter.memory = memory(&starter, budget)?;
        }
        write_with_schema(&self.output, &config::init(&starter))?;
        // What was found in the folder is checked as `fsct validate` does it.
        let loaded = load(&self.output, &Overrides::default())?;
        let wrong = Diagnostics::new(outside(&loaded));
        if wrong.has_errors() {
            outln!("wrote {0}, which needs a change:", self.output.display())?;
            return Err(wrong.into());
        }
        outln!("wrote {0}; next: fsct run {0}", self.output.display())?;
        Ok(())
    }

    /// Writes which class is in which split beside the pipeline; an existing file is used.
    fn split(
        &self,
        root: &Path,
        format: Format,
        shares: [f64; 3],
        output: Output,
    ) -> Result<(), Error> {
        let path = self.output.with_file_name(SPLITS);
        if path.exists() {
            return Ok(());
        }
        let options = data::Options { one_split: true, ..data::Options::default() };
        let listing = data::list(format, Some(root), options).map_err(RunError::from)?;
        let [train, val, test] = write_splits(root, &listing, shares, SEED, &path)?;
        if !output.quiet {
            outln!(
                "wrote {}: {train} classes to train, {val} to validate, {test} to test; \
                 `fsct data split` makes another",
                path.display()
            )?;
        }
        Ok(())
    }
}

/// File that says which class is in which split.
const SPLITS: &str = "splits.json";
/// Seed of the split, as in `fsct data split`.
const SEED: u64 = 4040;

fn layout(root: &Path) -> Result<Format, Error> {
    data::guess(root).ok_or_else(|| {
        let problem = match root.exists() {
            true => "holds no data set that fsct knows",
            false => "does not exist",
        };
        Error::failed_with_help(
            format!("`{}` {problem}", root.display()),
            "name a folder with one of the layouts that `fsct explain data.format` lists, or none \
             at all",
        )
    })
}

/// The cheapest memory settings that fit.
fn memory(starter: &Starter, budget: ByteSize) -> Result<Memory, Error> {
    let pipeline = load_str(starter.name, &config::init(starter), &Overrides::default())?.pipeline;
    let setting =
        fit_memory(&pipeline, budget, Environment::detect(device::kind_of(pipeline.device)))
            .map_err(|smallest| {
                Error::DoesNotFit(
                    Failure::new(format!(
                        "a starter pipeline takes {} at least, and --budget is {budget}",
                        bytes(smallest.peak_bytes)
                    ))
                    .help("give it more, or write a pipeline for smaller images by hand"),
                )
            })?;
    Ok(Memory { budget: Some(budget), ..setting.memory })
}

/// The folder as it is seen from the file: a path in a pipeline is relative to its file.
fn relative(root: &Path, file: &Path) -> Result<String, Error> {
    let root = std::path::absolute(root)?;
    let folder = std::path::absolute(file)?.parent().map(Path::to_owned).unwrap_or_default();
    let shared = root.components().zip(folder.components()).take_while(|(a, b)| a == b).count();
    let path: PathBuf = if shared > 1 {
        let up = folder.components().skip(shared).map(|_| Path::new("..").to_owned());
        let down =
            root.components().skip(shared).map(|part| Path::new(part.as_os_str()).to_owned());
        up.chain(down).collect()
    } else {
        root
    };
    let text =
        path.to_str().ok_or_else(|| Error::failed(format!("`{}` is not UTF-8", path.display())))?;
    Ok(if text.is_empty() { ".".into() } else { text.into() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_root_is_seen_from_the_file() -> Result<(), Error> {
        assert_eq!(
            relative(Path::new("/a/data/x"), Path::new("/a/pipelines/p.yaml"))?,
            "../data/x"
        );
        assert_eq!(relative(Path::new("/a/b"), Path::new("/a/b/p.yaml"))?, ".");
        assert_eq!(relative(Path::new("/data"), Path::new("/home/p.yaml"))?, "/data");
        Ok(())
    }
}
