//! Training that continues with stronger memory settings when memory runs out.

use super::Format;
use crate::config::{OnOom, Pipeline};
use crate::device::is_cpu;
use crate::plan::fit::stronger;
use crate::plan::footprint::Environment;
use crate::plan::{self, Plan};
use crate::run::checkpoint::Checkpoint;
use crate::run::events::{Event, Reporter};
use crate::run::folder::{RunFolder, write_atomically};
use crate::run::trainer::{Place, Start};
use crate::run::{RunError, experiment, guarded};

/// Trains and tests; with `memory.on_oom: escalate`, again with the next stronger setting each time
/// memory runs out.
pub(super) fn train(
    place: Place,
    mut plan: Plan,
    mut start: Start,
    environment: Environment,
    format: Format,
    reporter: &mut dyn Reporter,
) -> Result<(), RunError> {
    loop {
        let Place { device, folder, .. } = place;
        let (error, step) = match guarded(folder, || experiment::run(&plan, place, start, reporter))
        {
            Ok(_) => return Ok(()),
            Err(RunError::OutOfMemory { reason, step, kept, folder })
                if plan.pipeline.memory.on_oom == OnOom::Escalate =>
            {
                (RunError::OutOfMemory { reason, step, kept, folder }, step)
            }
            Err(error) => return Err(error),
        };
        let Some(next) = stronger(&plan.pipeline, environment) else { return Err(error) };
        if !folder.last().exists() {
            // The network alone does not fit, and no setting makes it smaller.
            return Err(error);
        }
        reporter.report(&Event::Escalated {
            step,
            memory: next.memory.clone(),
            predicted_peak_bytes: next.peak_bytes,
        })?;
        let asked = plan.pipeline.memory.clone();
        let pipeline = Pipeline { memory: next.memory, ..plan.pipeline };
        write_atomically(&folder.pipeline(), pipeline.to_yaml().as_bytes())?;
        if !is_cpu(&device.device) {
            // The CUDA context may be unusable after an out-of-memory error; a new process has a
            // new one.
            return Err(restarted(folder, &pipeline, format, error));
        }
        let mut checkpoint = Checkpoint::read(&folder.last())?;
        checkpoint.progress.memory_before_escalation.get_or_insert(asked);
        start = Start::Resume(checkpoint);
        plan = plan::compile(&pipeline);
    }
}

/// Continues a run in a new process, in the place of this one. Comes back only with an error.
fn restarted(folder: &RunFolder, pipeline: &Pipeline, format: Format, error: RunError) -> RunError {
    let Ok(program) = std::env::current_exe() else { return error };
    let mut command = std::process::Command::new(program);
    command.arg("run").arg("--escalated").arg("--resume").arg(folder.path());
    if format == Format::Json {
        command.args(["--format", "json"]);
    }
    for setting in memory_settings(pipeline) {
        command.arg("--set").arg(setting);
    }
    #[cfg(unix)]
    {
        use std::os::unix::process::CommandExt;
        // Only comes back when it fails.
        let _ = command.exec();
        error
    }
    #[cfg(not(unix))]
    match command.status() {
        Ok(status) => std::process::exit(status.code().unwrap_or(2)),
        Err(_) => error,
    }
}

/// The `--set`s that give another pipeline this one's memory settings.
fn memory_settings(pipeline: &Pipeline) -> Vec<String> {
    let memory = serde_json::to_value(&pipeline.memory).unwrap_or_default();
    let keys = memory.as_object().into_iter().flatten();
    keys.map(|(key, value)| match value.as_str() {
        Some(text) => format!("memory.{key}={text}"),
        None => format!("memory.{key}={value}"),
    })
    .collect()
}
