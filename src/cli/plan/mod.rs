//! `fsct plan`

mod graph;
mod json;
mod text;

use std::collections::BTreeMap;
use std::path::Path;

use super::PipelineArgs;
use crate::cli::print::{out, outln};
use crate::config::{ByteSize, DeviceSpec, Pipeline};
use crate::plan::fit::{Setting, fit};
use crate::plan::footprint::Environment;
use crate::plan::{self, Footprint};
use crate::{Error, Failure};
use crate::{data, device};

/// Print what a pipeline will do and the memory it will take
#[derive(Debug, clap::Args)]
pub struct Plan {
    #[command(flatten)]
    pipeline: PipelineArgs,
    /// Output format
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    /// Plan for this device in place of the pipeline's: cpu, cuda or cuda:N; it need not be there
    #[arg(long)]
    device: Option<DeviceSpec>,
    /// Check the text alone, without reading the data
    #[arg(long)]
    offline: bool,
}

/// How a plan is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
enum Format {
    /// Stages, layers and bytes as tables
    #[default]
    Text,
    /// One object
    Json,
    /// A graph for Graphviz
    Dot,
    /// A graph for Mermaid
    Mermaid,
}

/// A plan, what it takes, and what it may take.
struct Planned {
    plan: plan::Plan,
    footprint: Footprint,
    budget: Option<ByteSize>,
    /// The classes and images of training, as far as they were read.
    training: plan::TrainingSet,
}

impl Planned {
    fn fits(&self) -> bool {
        self.budget.is_none_or(|budget| self.footprint.taken() <= budget.0)
    }
}

impl Plan {
    /// Prints the plan.
    ///
    /// # Errors
    /// The prediction exceeds the budget; the error names settings that fit.
    pub fn run(mut self) -> Result<(), Error> {
        self.pipeline.set.extend(self.device.map(|device| format!("device={device}")));
        let loaded = self.pipeline.load()?;
        let pipeline = loaded.absolute();
        let environment = environment(&pipeline, self.offline);
        let plan = plan::compile(&pipeline);
        let footprint = Footprint::of(&plan, environment);
        let (budget, training) = (pipeline.memory.budget, environment.training);
        let planned = Planned { plan, footprint, budget, training };
        match self.format {
            Format::Text => out!("{}", text::write(&planned))?,
            Format::Json => outln!("{:#}", json::write(&planned))?,
            Format::Dot => out!("{}", graph::dot(&planned))?,
            Format::Mermaid => out!("{}", graph::mermaid(&planned))?,
        }
        match planned.budget.filter(|_| !planned.fits()) {
            Some(budget) => Err(over(&pipeline, &footprint, budget, environment)),
            None => Ok(()),
        }
    }
}

/// This machine, and the images that a pipeline keeps in its memory, as far as they can be told.
pub(super) fn environment(pipeline: &Pipeline, offline: bool) -> Environment {
    let device = device::kind_of(pipeline.device);
    if offline {
        return Environment::detect(device);
    }
    match data::open(pipeline, Path::new(".")) {
        Ok(data) => Environment::with_data(device, pipeline, &data),
        // A plan may be made before the data is there.
        Err(_) => Environment::detect(device),
    }
}

/// The error of a plan over its budget, with the cheapest changes that fit.
pub(super) fn over(
    pipeline: &Pipeline,
    footprint: &Footprint,
    budget: ByteSize,
    environment: Environment,
) -> Error {
    let needed = footprint.taken();
    let failure = Failure::new(format!(
        "`memory.budget: {budget}` is {} less than the {} that this pipeline takes",
        text::size(needed - budget.0),
        text::size(needed),
    ));
    Error::DoesNotFit(failure.help(match fit(pipeline, budget, environment) {
        Ok(setting) => format!(
            "this takes {}, and about {:.2}× the time of a plain step:\n\n{}",
            text::size(setting.peak_bytes),
            setting.slowdown,
            changes(pipeline, &setting),
        ),
        Err(smallest) => format!(
            "other settings can bring it down to {}:\n\n{}\nbelow that, use fewer queries, \
             smaller images or another backbone",
            text::size(smallest.peak_bytes),
            changes(pipeline, &smallest),
        ),
    }))
}

/// The keys that a setting changes, to paste; nothing where it changes none.
pub(super) fn changes(pipeline: &Pipeline, setting: &Setting) -> String {
    let before = serde_yaml::to_value(pipeline).unwrap_or_default();
    let after = serde_yaml::to_value(setting.applied(pipeline)).unwrap_or_default();
    let mut text = String::new();
    for section in ["data", "memory", "optimizer"] {
        let mut entries = String::new();
        for (key, value) in after[section].as_mapping().into_iter().flatten() {
            if before[section].get(key) != Some(value)
                && let Some(key) = key.as_str()
                && let Ok(entry) = serde_yaml::to_string(&BTreeMap::from([(key, value)]))
            {
                entry.lines().for_each(|line| entries.push_str(&format!("  {line}\n")));
            }
        }
        if !entries.is_empty() {
            text.push_str(&format!("{section}:\n{entries}"));
        }
    }
    text
}
