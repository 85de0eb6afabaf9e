//! `fsct sweep plan`: from a sweep file to a folder with a manifest.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use serde_json::Map;

use super::check::{outer, resolve};
use crate::cli::print::outln;
use crate::cli::{Output, plan::environment, print_diagnostics};
use crate::config::{
    ByteSize, DeviceSpec, Loaded, Overrides, Pipeline, SearchMethod, Sweep, rungs,
};
use crate::device::{DeviceKind, kind_of, nvidia};
use crate::plan::footprint::Environment;
use crate::plan::{self, Footprint};
use crate::report::bytes;
use crate::sweep::machine;
use crate::sweep::manifest::{Entry, Growth, Head, Manifest, Planned, Searched, Wanted, id, label};
use crate::sweep::search::forget_unfit;
use crate::{Error, Failure};

/// Bytes of a process before it holds any tensor.
const PROCESS: u64 = 64 << 20;
/// Bytes of main memory of a process that computes on a GPU, besides its images.
const GPU_PROCESS: u64 = 1 << 30;
/// Passes of a training step, in forward passes.
const TRAINING: f64 = 3.0;
/// Cells that are named when many do not fit.
const NAMED: usize = 8;

/// Check every cell, predict its memory, and write the sweep's folder
///
/// Nothing is run. A folder that is there already keeps its results: cells are named by their content,
/// and new ones are added.
#[derive(Debug, clap::Args)]
pub struct Plan {
    /// Path of the sweep file
    sweep: PathBuf,
    /// Folder of the sweep
    #[arg(long, short, value_name = "FOLDER")]
    output: PathBuf,
    /// Set a value of the pipeline in every cell: `--set train.epochs=3`; may be repeated
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Main memory of the machine that will run the cells [default: this machine's]
    #[arg(long, value_name = "SIZE")]
    memory: Option<ByteSize>,
    /// Check the text alone, without reading data or devices
    #[arg(long)]
    offline: bool,
}

/// A cell that takes more memory than there is.
struct TooLarge {
    cell: String,
    taken: u64,
    of: String,
}

impl Plan {
    /// Plans the sweep and says what it has.
    pub fn run(self, output: Output) -> Result<(), Error> {
        let overrides = Overrides::from_process(self.set.clone());
        let (sweep, resolved) = resolve(&self.sweep, &overrides, self.offline)?;
        if !output.quiet {
            print_diagnostics(&resolved.warnings);
        }
        let limits = Limits::new(self.memory, self.offline);
        let mut environments = HashMap::new();
        let mut cells = Vec::with_capacity(resolved.cells.len());
        let mut too_large = Vec::new();
        for (cell, loaded) in &resolved.cells {
            let values: Map<_, _> = sweep.values(cell).into_iter().collect();
            let mut planned = planned(loaded, values, self.offline, &mut environments);
            planned.entry.candidate = cell.candidate;
            too_large.extend(limits.exceeded(&planned, sweep.label(cell)));
            cells.push(planned);
        }
        refuse(&too_large, cells.len())?;
        distinct(&cells)?;
        let path = std::path::absolute(&self.sweep).unwrap_or(self.sweep);
        let compare = sweep.compare.clone();
        let baseline = compare.baseline.into_iter().collect();
        let mut head = Head::new(path, sweep.axes(), baseline, compare.across);
        head.search = searched(&sweep, &cells);
        head.published = sweep.published.clone();
        let (manifest, growth) = Manifest::write(&self.output, head, cells)?;
        let forgotten = forget_unfit(&manifest)?;
        if !output.quiet {
            if forgotten > 0 {
                outln!(
                    "the sweep has changed: its rungs are decided again, from the results that are there"
                )?;
            }
            outln!("{}", describe(&manifest, growth, &self.output))?;
        }
        Ok(())
    }
}

/// How the candidates are searched, for the manifest.
fn searched(sweep: &Sweep, cells: &[Planned]) -> Option<Searched> {
    let search = sweep.search.as_ref()?;
    // The same in all cells: nothing may vary it.
    let epochs = cells.first().map_or(0, |cell| cell.pipeline.train.epochs);
    let rungs = match search.method {
        SearchMethod::Random => Vec::new(),
        SearchMethod::Halving => rungs(search.budget, search.factor, epochs),
    };
    let (method, budget, seed) = (search.method, search.budget, search.seed);
    Some(Searched { method, budget, seed, keys: search.keys(), rungs })
}

/// A cell's line of the manifest, with what is predicted for it.
fn planned(
    loaded: &Loaded,
    values: Map<String, serde_json::Value>,
    offline: bool,
    environments: &mut HashMap<String, Environment>,
) -> Planned {
    let pipeline = loaded.absolute();
    let environment =
        *environments.entry(outer(&pipeline)).or_insert_with(|| environment(&pipeline, offline));
    let plan = plan::compile(&pipeline);
    let footprint = Footprint::of(&plan, environment);
    let gpu = footprint.gpu.map(|gpu| gpu.total());
    let memory_bytes = match gpu {
        Some(_) => GPU_PROCESS + environment.data_bytes,
        None => PROCESS + footprint.whole_run(),
    };
    let device = match (kind_of(pipeline.device), pipeline.device) {
        (DeviceKind::Cpu, _) => Wanted::Cpu,
        // `cuda` is the first GPU, and means any.
        (DeviceKind::Gpu, DeviceSpec::Cuda(number)) if number > 0 => Wanted::GpuNumber(number),
        (DeviceKind::Gpu, _) => Wanted::Gpu,
    };
    let operations = operations(&plan, environment);
    let (index, id) = (0, String::new());
    let entry = Entry {
        index,
        id,
        values,
        candidate: None,
        episodes_per_epoch: pipeline.train.episodes_per_epoch,
        test_episodes: pipeline.test.episodes,
        device,
        memory_bytes,
        gpu_bytes: gpu,
        operations,
    };
    Planned { entry, pipeline }
}

/// Floating-point operations of a whole run.
fn operations(plan: &plan::Plan, environment: Environment) -> f64 {
    let Pipeline { train, validate, test, episode, .. } = &plan.pipeline;
    let an_image: u64 = plan.network.backbone.blocks().iter().map(|block| block.flops()).sum();
    let an_episode: u64 = plan.network.head_layers().iter().map(|layer| layer.flops()).sum();
    let of = |episodes: usize, shape: crate::config::Episode| {
        let images = shape.n_way * (shape.k_shot + shape.n_query);
        episodes as f64 * (images as f64 * an_image as f64 + an_episode as f64)
    };
    let trained = train.epochs * train.episodes_per_epoch;
    // Each training image once an epoch; a validation after each.
    let pretraining = train.pretrain.as_ref().map_or(0.0, |pretrain| {
        let images = (pretrain.epochs * environment.training.images) as f64 * an_image as f64;
        let validations = pretrain.epochs * validate.episodes;
        TRAINING * plan.slowdown(environment.device) * images
            + of(validations, plan.pipeline.validate_episode())
    });
    pretraining
        + TRAINING * plan.slowdown(environment.device) * of(trained, episode.largest())
        + of(train.trained_epochs() * validate.episodes, plan.pipeline.validate_episode())
        + of(test.episodes, plan.pipeline.test_episode())
}

/// What the cells may take.
struct Limits {
    memory: Option<u64>,
    gpu: Option<u64>,
}

impl Limits {
    fn new(memory: Option<ByteSize>, offline: bool) -> Self {
        let gpus = if offline { None } else { nvidia::driver().ok() };
        Self {
            memory: memory.map(|size| size.0).or_else(machine::memory),
            gpu: gpus.and_then(|driver| driver.gpus.iter().map(|gpu| gpu.total_bytes).max()),
        }
    }

    fn exceeded(&self, planned: &Planned, cell: String) -> Option<TooLarge> {
        let entry = &planned.entry;
        let taken = entry.gpu_bytes.unwrap_or(entry.memory_bytes - PROCESS);
        let budget = planned.pipeline.memory.budget.filter(|budget| budget.0 < taken);
        if let Some(budget) = budget {
            return Some(TooLarge { cell, taken, of: format!("`memory.budget: {budget}`") });
        }
        let host = entry.memory_bytes;
        if let Some(limit) = self.memory.filter(|limit| *limit < host) {
            let of = format!("the machine's {}", bytes(limit));
            return Some(TooLarge { cell, taken: host, of });
        }
        let limit = self.gpu.filter(|limit| *limit < taken && entry.gpu_bytes.is_some())?;
        Some(TooLarge { cell, taken, of: format!("the GPU's {}", bytes(limit)) })
    }
}

/// Refuses a sweep with cells that cannot fit.
fn refuse(too_large: &[TooLarge], cells: usize) -> Result<(), Error> {
    if too_large.is_empty() {
        return Ok(());
    }
    let lines = too_large
        .iter()
        .take(NAMED)
        .map(|it| format!("\n  {}: {} predicted, more than {}", it.cell, bytes(it.taken), it.of));
    let more = too_large.len().saturating_sub(NAMED);
    let more = if more > 0 { format!("\n  and {more} more") } else { String::new() };
    let message = format!(
        "{} of {cells} cells do not fit into the memory:{}{more}",
        too_large.len(),
        lines.collect::<String>()
    );
    Err(Error::DoesNotFit(Failure::new(message).help(
        "`fsct fit` finds memory settings that fit, to be written under `set`; or exclude these cells, \
         or plan for another machine with `--memory SIZE`",
    )))
}

/// Refuses two cells of one content: they would be one run.
fn distinct(cells: &[Planned]) -> Result<(), Error> {
    let mut seen: HashMap<String, &Entry> = HashMap::new();
    for cell in cells {
        if let Some(other) = seen.insert(id(&cell.pipeline), &cell.entry) {
            return Err(Error::failed_with_help(
                format!(
                    "two cells are the same pipeline: {} and {}",
                    label(&other.values),
                    label(&cell.entry.values)
                ),
                "remove one of the values: it changes nothing",
            ));
        }
    }
    Ok(())
}

fn describe(manifest: &Manifest, growth: Growth, folder: &Path) -> String {
    let entries = &manifest.entries;
    let range = |of: &dyn Fn(&Entry) -> u64| {
        let least = entries.iter().map(of).min().unwrap_or(0);
        let most = entries.iter().map(of).max().unwrap_or(0);
        match least == most {
            true => bytes(least),
            false => format!("{} to {}", bytes(least), bytes(most)),
        }
    };
    let Growth { added, kept, dropped } = growth;
    let mut counts = vec![format!("{added} new")];
    if kept > 0 {
        counts.push(format!("{kept} kept"));
    }
    if dropped > 0 {
        counts.push(format!("{dropped} no longer in the sweep, their folders stay"));
    }
    let noun = if entries.len() == 1 { "cell" } else { "cells" };
    let mut text = format!("{} {noun} ({})\n", entries.len(), counts.join(", "));
    if !manifest.rungs().is_empty() {
        let rungs = manifest.rungs().iter();
        let rungs: Vec<String> =
            rungs.map(|it| format!("{} to epoch {}", it.candidates, it.epochs)).collect();
        text += &format!("candidates that are trained: {}\n", rungs.join(", "));
    }
    text += &format!("predicted memory of a cell: {}", range(&|it| it.memory_bytes));
    if entries.iter().any(|it| it.gpu_bytes.is_some()) {
        text += &format!(", of a GPU: {}", range(&|it| it.gpu_bytes.unwrap_or(0)));
    }
    text + &format!("\nrun them with `fsct sweep run {}`", folder.display())
}
