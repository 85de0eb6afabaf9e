//! `fsct sweep slurm` and `fsct sweep kubernetes`: the cells as jobs of a scheduler.

use std::path::{Path, PathBuf};

use crate::Error;
use crate::cli::print::{errln, out};
use crate::run::folder::write_atomically;
use crate::sweep::cell_folder::Standing;
use crate::sweep::manifest::Manifest;
use crate::sweep::slurm::{Request, kubernetes, slurm};

/// Minutes that are asked for in addition to the prediction.
const SPARE_MINUTES: f64 = 10.0;
/// Share of the predicted time that is asked for.
const SPARE_SHARE: f64 = 2.0;

/// What every scheduler is asked for.
#[derive(Debug, clap::Args)]
struct Common {
    /// Folder of the sweep, which every machine sees under this path
    folder: PathBuf,
    /// Cells that run at once; in successive halving, workers that share the rungs
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..))]
    throttle: u16,
    /// Cores of a cell
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..))]
    cores: u16,
    /// Minutes that a cell may take [default: twice the time predicted from cells that are done]
    #[arg(long, value_name = "MINUTES", value_parser = clap::value_parser!(u64).range(5..))]
    time: Option<u64>,
    /// Write it to a file
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
}

impl Common {
    /// The manifest, with the path that jobs use, and the request.
    fn open(&self) -> Result<(Manifest, Request), Error> {
        let mut manifest = Manifest::read(&self.folder)?;
        let halves = !manifest.rungs().is_empty();
        let predicted = || if halves { None } else { predicted_minutes(&manifest) };
        let minutes = self.time.or_else(predicted);
        if minutes.is_none() && halves {
            errln!(
                "note: a worker runs as many cells as its time allows and is queued again: give `--time \
                 MINUTES`, or it has the cluster's own limit"
            );
        } else if minutes.is_none() {
            errln!(
                "note: no cell is done, so no time is predicted: give `--time MINUTES`, or run one \
                 first with `fsct sweep run {} --index 0`",
                self.folder.display()
            );
        }
        manifest.folder = std::path::absolute(&manifest.folder)?;
        let (throttle, cores) = (usize::from(self.throttle), usize::from(self.cores));
        let request = Request { throttle, cores, minutes, partition: None, extra: Vec::new() };
        Ok((manifest, request))
    }

    fn write(&self, text: &str) -> Result<(), Error> {
        match &self.output {
            Some(path) => Ok(write_atomically(path, text.as_bytes())?),
            None => out!("{text}"),
        }
    }
}

/// The time of the largest cell at the speed of those that are done, with a reserve.
fn predicted_minutes(manifest: &Manifest) -> Option<u64> {
    let (mut seconds, mut operations) = (0.0, 0.0);
    for entry in &manifest.entries {
        if let Standing::Done(metrics) = manifest.cell(entry).standing() {
            seconds += metrics.cost.seconds;
            operations += entry.operations;
        }
    }
    let most = manifest.entries.iter().map(|entry| entry.operations).fold(0.0, f64::max);
    let predicted = seconds / operations * most / 60.0;
    predicted.is_finite().then(|| (SPARE_SHARE * predicted + SPARE_MINUTES).ceil() as u64)
}

/// Write a script that submits the cells to Slurm
///
/// The cells are an array (several, above 1000 cells), and a job that collects their results follows. Memory
/// and time are predicted. A cell that reaches its time limit writes a checkpoint and is queued again.
#[derive(Debug, clap::Args)]
pub struct Slurm {
    #[command(flatten)]
    common: Common,
    /// Partition to submit to
    #[arg(long)]
    partition: Option<String>,
    /// A further option of sbatch, such as `--option=--account=lab`; may be repeated
    #[arg(long, value_name = "OPTION", allow_hyphen_values = true)]
    option: Vec<String>,
    /// The program on the cluster's machines [default: this one]
    #[arg(long, value_name = "FILE")]
    program: Option<PathBuf>,
}

impl Slurm {
    /// Writes the script for sbatch.
    pub fn run(self) -> Result<(), Error> {
        let (manifest, request) = self.common.open()?;
        let request = Request { partition: self.partition, extra: self.option, ..request };
        let own = || std::env::current_exe();
        let program = self.program.map_or_else(own, Ok)?;
        let program: &Path = &program;
        self.common.write(&slurm(&manifest, program, &request))
    }
}

/// Write the manifest of a Kubernetes Job that runs the cells
///
/// It is an indexed Job with an index for each cell. All pods share a volume that holds the sweep's folder
/// under its present path.
#[derive(Debug, clap::Args)]
pub struct Kubernetes {
    #[command(flatten)]
    common: Common,
    /// Image with `fsct` on its path
    #[arg(long)]
    image: String,
    /// Claim of the volume (ReadWriteMany) that is mounted as the folder above the sweep's
    #[arg(long)]
    claim: String,
}

impl Kubernetes {
    /// Writes the manifest of the job.
    pub fn run(self) -> Result<(), Error> {
        let (manifest, request) = self.common.open()?;
        self.common.write(&kubernetes(&manifest, &self.image, &self.claim, &request))
    }
}
