//! `fsct init`

use std::path::{Path, PathBuf};

use super::migrate::write_with_schema;
use crate::cli::print::outln;
use crate::{
    Error, Failure,
    config::{self, ByteSize, Format, Memory, Overrides, load_str},
    data, device,
    plan::{fit::fit, footprint::Environment},
    report::bytes,
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
    pub fn run(self) -> Result<(), Error> {
        let format = match &self.root {
            None => Format::Synthetic,
            Some(root) => data::guess(root).ok_or_else(|| {
                let problem = if root.exists() { "holds no data set that fsct knows" } else { "does not exist" };
                Error::failed_with_help(
                    format!("`{}` {problem}", root.display()),
                    "name a folder with one of the layouts that `fsct explain data.format` lists, or none at all",
                )
            })?,
        };
        let root = self.root.as_deref().map(|root| relative(root, &self.output)).transpose()?;
        let stem = self.output.file_stem().map(|stem| stem.to_string_lossy().into_owned());
        let name = self.name.or(stem).unwrap_or_else(|| "pipeline".into());
        let mut memory = Memory::default();
        let text = config::init(root.as_deref(), format, &name, &memory);
        if let Some(budget) = self.budget {
            let starter = load_str(&name, &text, &Overrides::default())?.pipeline;
            let setting =
                fit(&starter, budget, Environment::detect(device::kind_of(starter.device)))
                    .map_err(|smallest| {
                        Error::DoesNotFit(
                            Failure::new(format!(
                                "a starter pipeline takes {} at least, and --budget is {budget}",
                                bytes(smallest.peak_bytes)
                            ))
                            .help("give it more, or write a pipeline for smaller images by hand"),
                        )
                    })?;
            memory = Memory { budget: Some(budget), ..setting.memory };
        }
        let text = config::init(root.as_deref(), format, &name, &memory);
        write_with_schema(&self.output, &text)?;
        outln!("wrote {0}; next: fsct run {0}", self.output.display())?;
        Ok(())
    }
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
